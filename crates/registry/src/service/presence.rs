//! What is on disk: the rescan, files that no catalog knows, and adopting them.

use std::time::Duration;

use super::{Page, PageRequest, Registry};
use crate::error::Result;

/// What a look at the whole models folder found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScanReport {
    /// Files seen.
    pub files: u64,
    /// Entries whose file is there.
    pub present: u64,
    /// Entries whose file is not there.
    pub missing: u64,
    /// Files that appeared since the last look.
    pub appeared: u64,
    /// Files that vanished since the last look.
    pub vanished: u64,
    /// Files that changed since the last look.
    pub changed: u64,
    /// Files that no catalog knows.
    pub unlisted: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// A file on disk that no catalog knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlistedFile {
    /// Path below the models root, `/` between parts.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// What came of adopting files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdoptReport {
    /// Paths that are entries now.
    pub adopted: Vec<String>,
    /// Paths that are not, and why.
    pub skipped: Vec<(String, String)>,
}

impl Registry {
    /// Looks at every file below the models root by `stat` alone.
    pub async fn rescan(&self) -> Result<ScanReport> {
        todo!()
    }

    /// Files that no catalog knows, by path.
    pub fn unlisted_files(&self, page: &PageRequest) -> Result<Page<UnlistedFile>> {
        let _ = page;
        todo!()
    }

    /// Makes entries of unlisted files (`loras/…` in `models` too, category by folder); all of them when `paths` is empty.
    pub async fn adopt_unlisted(&self, paths: &[String]) -> Result<AdoptReport> {
        let _ = paths;
        todo!()
    }
}
