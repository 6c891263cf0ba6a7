//! Re-hashing files and saying what changed.

use chrono::{DateTime, Utc};

use super::Registry;
use crate::domain::Verification;
use crate::error::Result;

/// The run of a verification, running or ended. One runs at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct VerificationReport {
    /// Whether it still runs.
    pub is_running: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Files to hash.
    pub total_files: u64,
    /// Bytes to hash.
    pub total_bytes: u64,
    /// Bytes hashed.
    pub done_bytes: u64,
    /// Results so far, in catalog order.
    pub files: Vec<VerifiedFile>,
}

/// One hashed file.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedFile {
    /// Path below the models root.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What the hash said.
    pub outcome: Verification,
    /// The content's SHA-256.
    pub sha256: Option<String>,
    /// The hash it should have.
    pub expected_sha256: Option<String>,
    /// Why it could not be hashed, when it could not.
    pub error: Option<String>,
}

impl Registry {
    /// Starts hashing the files of these entries, or of all present entries when `files` is empty, in the background.
    /// `Conflict` (`verification_running`) while one runs.
    pub async fn start_verification(&self, files: &[String]) -> Result<VerificationReport> {
        let _ = files;
        todo!()
    }

    /// The present or last run; `NotFound` before the first.
    pub fn verification(&self) -> Result<VerificationReport> {
        todo!()
    }

    /// Stops the present run; what was hashed is kept.
    pub async fn cancel_verification(&self) -> Result<VerificationReport> {
        todo!()
    }
}
