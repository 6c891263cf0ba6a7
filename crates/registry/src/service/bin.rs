//! Deleting moves to the bin; the bin gives back or frees (decision 9).

use chrono::{DateTime, Utc};

use super::{Page, PageRequest, Registry};
use crate::domain::{BinItemId, ModelPath};
use crate::error::Result;

/// One deleted file that can come back.
#[derive(Debug, Clone, PartialEq)]
pub struct BinItem {
    /// Its id.
    pub id: BinItemId,
    /// Where it was.
    pub path: ModelPath,
    /// Absolute path in the bin.
    pub bin_path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256, when it was known.
    pub sha256: Option<String>,
    /// When it was deleted.
    pub deleted_at: DateTime<Utc>,
    /// When it is purged by age.
    pub expires_at: DateTime<Utc>,
}

/// What a delete did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted {
    /// The file name.
    pub file: String,
    /// The item in the bin; `None` when there was no file or it was purged at once.
    pub item: Option<BinItem>,
}

/// What a purge freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Items removed.
    pub items: u64,
    /// Bytes freed.
    pub bytes: u64,
}

impl Registry {
    /// Moves an entry's file to the bin (or frees it at once with `purge`); a job for it is cancelled first. The entry
    /// stays in its catalog.
    pub async fn delete_file(&self, file: &str, dest: Option<&str>, purge: bool) -> Result<Deleted> {
        let _ = (file, dest, purge);
        todo!()
    }

    /// The bin, newest first.
    pub async fn list_bin(&self, page: PageRequest) -> Result<Page<BinItem>> {
        let _ = page;
        todo!()
    }

    /// Moves a file back to its place; `Conflict` (`exists`) when another file is there.
    pub async fn restore_bin_item(&self, id: BinItemId) -> Result<BinItem> {
        let _ = id;
        todo!()
    }

    /// Frees one item.
    pub async fn purge_bin_item(&self, id: BinItemId) -> Result<Purged> {
        let _ = id;
        todo!()
    }

    /// Frees every item that was deleted at least `min_age_days` ago; 0 frees all.
    pub async fn purge_bin(&self, min_age_days: u32) -> Result<Purged> {
        let _ = min_age_days;
        todo!()
    }
}
