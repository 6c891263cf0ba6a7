//! Deleted files.

use lorakeep_registry::{BinItem, Deleted, Purged};
use schemars::JsonSchema;
use serde::Serialize;

use super::time;

/// One deleted file that can come back.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct BinItemView {
    id: String,
    file: String,
    dest: String,
    bin_path: String,
    size_bytes: u64,
    sha256: Option<String>,
    deleted_at: String,
    expires_at: String,
}

impl From<BinItem> for BinItemView {
    fn from(item: BinItem) -> Self {
        Self {
            id: item.id.to_string(),
            file: item.path.file.as_str().to_owned(),
            dest: item.path.folder.as_str().to_owned(),
            bin_path: item.bin_path,
            size_bytes: item.size_bytes,
            sha256: item.sha256,
            deleted_at: time(item.deleted_at),
            expires_at: time(item.expires_at),
        }
    }
}

/// What a delete did; without the bin's two when there was no file or it was purged at once.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct DeletedView {
    status: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bin_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bin_path: Option<String>,
}

impl From<Deleted> for DeletedView {
    fn from(deleted: Deleted) -> Self {
        let (bin_id, bin_path) = deleted.item.map(|item| (item.id.to_string(), item.bin_path)).unzip();
        Self { status: "deleted", file: deleted.file, bin_id, bin_path }
    }
}

/// A file that is back in its place.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct RestoredView {
    status: &'static str,
    file: String,
    dest: String,
}

impl From<BinItem> for RestoredView {
    fn from(item: BinItem) -> Self {
        let (file, dest) = (item.path.file.as_str().to_owned(), item.path.folder.as_str().to_owned());
        Self { status: "restored", file, dest }
    }
}

/// What a purge freed.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct PurgedView {
    status: &'static str,
    items: u64,
    bytes: u64,
}

impl From<Purged> for PurgedView {
    fn from(purged: Purged) -> Self {
        Self { status: "purged", items: purged.items, bytes: purged.bytes }
    }
}
