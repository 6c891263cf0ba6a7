//! What can be done: one method a thing, each the only place of its rule. Surfaces call nothing else.

mod add;
mod bin;
mod catalog;
mod doctor;
mod downloads;
mod presence;
mod settings;
mod verification;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;

pub use add::{AddRequest, Added};
pub use bin::{BinItem, Deleted, Purged};
pub use catalog::{CategoryListing, EntryState, ImportFault, ImportReport, Listing, ListingTag, Stats};
pub use doctor::{Check, CheckOutcome, Health};
pub use downloads::{BatchReport, DownloadFilter, Enqueue, Enqueued, JobState, Placement, Skipped};
pub use presence::{AdoptReport, ScanReport, UnlistedFile};
pub use settings::{Settings, SettingsChange};
pub use verification::{VerificationReport, VerifiedFile};

/// The product, opened on one data folder. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Registry {
    #[expect(dead_code, reason = "filled by the first slice")]
    inner: Arc<Inner>,
}

/// What all services share.
pub(crate) struct Inner {}

/// A page of a list: `items`, and where the next page starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Opaque; `None` on the last page.
    pub next_cursor: Option<String>,
    /// Rows on all pages.
    pub total: u64,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Rows a page; the default is 100, at most 1,000.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Registry {
    /// Opens the data folder: takes its lock, migrates the database, reads the catalogs, compares them with the disk
    /// (by `stat` alone), and puts jobs that a killed process held back into the queue.
    ///
    /// Fails with `Conflict` (`data_dir_locked`) when another process holds the folder.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let _ = (config, clock);
        todo!()
    }

    /// Starts the background work: download workers, folder watcher, catalog writer, bin purge, free-space sampling.
    pub fn start(&self) {
        todo!()
    }

    /// Stops claiming jobs, parks running transfers (their journals are written), flushes the catalog files, closes the
    /// database. Takes well under 10 s.
    pub async fn close(&self) {
        todo!()
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        todo!()
    }
}
