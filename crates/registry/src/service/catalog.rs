//! Entries: list, find, import, export, remove.

use std::sync::Arc;

use super::{JobState, Registry};
use crate::domain::{CatalogName, Category, Entry, FileFact, StatusWord};
use crate::error::Result;

/// A whole catalog with the state of each entry.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Counts up on every change of the catalog.
    pub version: i64,
    /// `YYYY-MM-DD HH:MM` of the last change in the configured zone.
    pub date: String,
    /// Sums for the head of the list.
    pub stats: Stats,
    /// In file order, empty ones kept.
    pub categories: Vec<CategoryListing>,
}

/// One category with its entries in file order.
#[derive(Debug, Clone)]
pub struct CategoryListing {
    /// Id, name, unknown fields.
    pub category: Category,
    /// Its entries.
    pub entries: Vec<EntryState>,
}

/// One entry and where its file stands.
#[derive(Debug, Clone)]
pub struct EntryState {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The contract's word (decision 5).
    pub status: StatusWord,
    /// The file, when it is on disk.
    pub file: Option<FileFact>,
    /// The live or last job, when there is one.
    pub job: Option<Arc<JobState>>,
}

/// Sums for the head of a list. Byte counts are exact; `free_bytes` is sampled every 10 s.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Jobs that wait (of both catalogs).
    pub queued_count: u64,
    /// Jobs that run (of both catalogs).
    pub downloading_count: u64,
    /// Metadata fetches that wait or run.
    pub fetching_count: u64,
    /// Entries of this catalog whose file is on disk.
    pub present_count: u64,
    /// Entries of this catalog.
    pub total_count: u64,
    /// Bytes per second of all running jobs together.
    pub global_speed: f64,
    /// Bytes on disk of this catalog's entries.
    pub models_bytes: u64,
    /// Free bytes on the file system of the models root.
    pub free_bytes: u64,
    /// Bytes held by the bin.
    pub bin_bytes: u64,
    /// Files on disk that no catalog knows.
    pub unlisted_count: u64,
}

/// Changes whenever the listing's bytes would: catalog, presence, jobs, sampled free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListingTag(pub u64);

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// File names that are new.
    pub added: Vec<String>,
    /// File names that were there, or were refused.
    pub skipped: Vec<String>,
    /// Why entries were refused, in document order.
    pub errors: Vec<ImportFault>,
}

/// One refused entry of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// Which entry of the document, from 0.
    pub index: usize,
    /// Its `file`, as far as it has one.
    pub file: String,
    /// The field at fault.
    pub field: String,
    /// What is wrong, with what would be accepted.
    pub message: String,
}

impl Registry {
    /// What an ETag of the listing follows.
    pub fn listing_tag(&self, catalog: CatalogName) -> ListingTag {
        let _ = catalog;
        todo!()
    }

    /// The whole catalog.
    pub fn listing(&self, catalog: CatalogName) -> Listing {
        let _ = catalog;
        todo!()
    }

    /// The entry of that file: the one in `dest` when given, else the first in `models`, then in `loras` (decision 1).
    pub fn find_entry(&self, file: &str, dest: Option<&str>) -> Result<EntryState> {
        let _ = (file, dest);
        todo!()
    }

    /// Adds the entries of a catalog file (object or bare array) that are new (decision 3).
    ///
    /// `Invalid` (`malformed_catalog`) names line, column and field.
    pub async fn import(&self, catalog: CatalogName, document: &[u8]) -> Result<ImportReport> {
        let _ = (catalog, document);
        todo!()
    }

    /// Adds the built-in list of well-known public models (decision 2).
    pub async fn import_builtin(&self) -> Result<ImportReport> {
        todo!()
    }

    /// The catalog as its file on disk has it: indent 2, no final newline.
    pub fn export(&self, catalog: CatalogName) -> String {
        let _ = catalog;
        todo!()
    }

    /// Takes an entry out of its catalog; `Conflict` (`file_present`) while its file is on disk.
    pub async fn remove_entry(&self, file: &str, dest: Option<&str>) -> Result<Arc<Entry>> {
        let _ = (file, dest);
        todo!()
    }
}
