//! Hashing files again.

use serde::Deserialize;

use super::{Api, Reply};
use crate::failure::Result;

/// A run, going on or ended.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct VerificationReport {
    pub(crate) is_running: bool,
    pub(crate) total_files: u64,
    pub(crate) total_bytes: u64,
    pub(crate) done_bytes: u64,
    pub(crate) files: Vec<VerifiedFile>,
}

/// One hashed file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct VerifiedFile {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    /// `verified`, `hashed`, `mismatch` or `unverified`.
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) sha256: Option<String>,
    #[serde(default)]
    pub(crate) expected_sha256: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

impl Api {
    /// Starts hashing these files, or all that are present.
    pub(crate) async fn start_verification(&self, files: &[String]) -> Result<Reply<VerificationReport>> {
        self.post_json("/api/admin/verify", &serde_json::json!({ "filenames": files })).await
    }

    /// The present or last run.
    pub(crate) async fn verification(&self) -> Result<Reply<VerificationReport>> {
        self.get("/api/admin/verify").await
    }

    /// Stops the present run.
    pub(crate) async fn cancel_verification(&self) -> Result<Reply<VerificationReport>> {
        self.delete("/api/admin/verify").await
    }
}
