//! A run of re-hashing.

use lorakeep_registry::{VerificationReport, VerifiedFile};
use schemars::JsonSchema;
use serde::Serialize;

use super::{entry, time};

/// The run, running or ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct VerificationView {
    is_running: bool,
    started_at: String,
    finished_at: Option<String>,
    total_files: u64,
    total_bytes: u64,
    done_bytes: u64,
    files: Vec<VerifiedFileView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VerifiedFileView {
    path: String,
    size_bytes: u64,
    outcome: &'static str,
    sha256: Option<String>,
    expected_sha256: Option<String>,
    error: Option<String>,
}

impl From<VerificationReport> for VerificationView {
    fn from(report: VerificationReport) -> Self {
        Self {
            is_running: report.is_running,
            started_at: time(report.started_at),
            finished_at: report.finished_at.map(time),
            total_files: report.total_files,
            total_bytes: report.total_bytes,
            done_bytes: report.done_bytes,
            files: report.files.into_iter().map(VerifiedFileView::from).collect(),
        }
    }
}

impl From<VerifiedFile> for VerifiedFileView {
    fn from(file: VerifiedFile) -> Self {
        Self {
            path: file.path,
            size_bytes: file.size_bytes,
            outcome: entry::verification(Some(file.outcome)),
            sha256: file.sha256,
            expected_sha256: file.expected_sha256,
            error: file.error,
        }
    }
}
