//! Deleting, and the bin.

use serde::Deserialize;

use super::{Api, FileName, Reply, segment};
use crate::failure::Result;

/// What a delete did.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) bin_id: Option<String>,
}

/// A deleted file that can come back.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BinItem {
    pub(crate) id: String,
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) dest: String,
    pub(crate) size_bytes: u64,
    pub(crate) deleted_at: String,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
}

/// Where a file came back.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Restored {
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) dest: String,
}

/// What a purge freed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Purged {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

impl Api {
    /// Moves a file to the bin, or frees it.
    pub(crate) async fn delete_file(&self, name: &FileName, purge: bool) -> Result<Reply<Deleted>> {
        let mut path = name.path("/api/admin/entries/by-file", "");
        if purge {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str("purge=true");
        }
        self.delete(&path).await
    }

    /// The bin, newest first.
    pub(crate) async fn bin(&self) -> Result<Vec<Reply<BinItem>>> {
        self.rows("/api/admin/bin").await
    }

    /// Moves an item back to its place.
    pub(crate) async fn restore(&self, id: &str) -> Result<Reply<Restored>> {
        self.post(&format!("/api/admin/bin/{}/restore", segment(id))).await
    }

    /// Frees one item.
    pub(crate) async fn purge_item(&self, id: &str) -> Result<Reply<Purged>> {
        self.delete(&format!("/api/admin/bin/{}", segment(id))).await
    }

    /// Frees what was deleted at least that many days ago.
    pub(crate) async fn purge_bin(&self, min_age_days: u32) -> Result<Reply<Purged>> {
        self.delete(&format!("/api/admin/bin?min_age_days={min_age_days}")).await
    }
}
