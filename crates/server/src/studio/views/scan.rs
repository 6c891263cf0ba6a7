//! What is on disk.

use lorakeep_registry::{AdoptReport, ScanReport, UnlistedFile};
use schemars::JsonSchema;
use serde::Serialize;

/// What a look at the models folder found.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct ScanView {
    files: u64,
    present: u64,
    missing: u64,
    appeared: u64,
    vanished: u64,
    changed: u64,
    unlisted: u64,
    elapsed_ms: u64,
}

impl From<ScanReport> for ScanView {
    fn from(report: ScanReport) -> Self {
        Self {
            files: report.files,
            present: report.present,
            missing: report.missing,
            appeared: report.appeared,
            vanished: report.vanished,
            changed: report.changed,
            unlisted: report.unlisted,
            elapsed_ms: report.elapsed.as_millis() as u64,
        }
    }
}

/// A file that no catalog knows.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct UnlistedView {
    path: String,
    size_bytes: u64,
}

impl From<UnlistedFile> for UnlistedView {
    fn from(file: UnlistedFile) -> Self {
        Self { path: file.path, size_bytes: file.size_bytes }
    }
}

/// What came of adopting.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct AdoptView {
    adopted: Vec<String>,
    skipped: Vec<NotAdoptedView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NotAdoptedView {
    path: String,
    reason: String,
}

impl From<AdoptReport> for AdoptView {
    fn from(report: AdoptReport) -> Self {
        let skipped = report.skipped.into_iter().map(|(path, reason)| NotAdoptedView { path, reason });
        Self { adopted: report.adopted, skipped: skipped.collect() }
    }
}
