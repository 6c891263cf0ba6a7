//! Files that may not be loaded.

use serde::Deserialize;

use super::bin::{Purged, Restored};
use super::{Api, Reply, segment};
use crate::failure::Result;

/// One quarantined file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Quarantined {
    pub(crate) sha256: String,
    pub(crate) source: String,
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) dest: String,
    pub(crate) size_bytes: u64,
    pub(crate) reason: String,
}

impl Api {
    /// Quarantined files, newest first.
    pub(crate) async fn quarantine(&self) -> Result<Vec<Reply<Quarantined>>> {
        self.rows("/api/admin/quarantine").await
    }

    /// Puts the newest file of that content where it was to go.
    pub(crate) async fn release_quarantined(&self, sha256: &str) -> Result<Reply<Restored>> {
        self.post(&format!("/api/admin/quarantine/{}/release", segment(sha256))).await
    }

    /// Removes every file of that content.
    pub(crate) async fn remove_quarantined(&self, sha256: &str) -> Result<Reply<Purged>> {
        self.delete(&format!("/api/admin/quarantine/{}", segment(sha256))).await
    }
}
