//! Files that may not be loaded.

use lorakeep_registry::QuarantinedFile;
use lorakeep_registry::domain::ModelPath;
use schemars::JsonSchema;
use serde::Serialize;

use super::time;

/// One quarantined file.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct QuarantinedView {
    id: String,
    source: &'static str,
    file: String,
    dest: String,
    size_bytes: u64,
    sha256: String,
    rule: Option<String>,
    reason: String,
    quarantined_at: String,
}

impl From<QuarantinedFile> for QuarantinedView {
    fn from(file: QuarantinedFile) -> Self {
        Self {
            id: file.id.to_string(),
            source: file.source.as_str(),
            file: file.path.file.to_string(),
            dest: file.path.folder.to_string(),
            size_bytes: file.size_bytes,
            sha256: file.sha256.to_string(),
            rule: file.rule,
            reason: file.reason,
            quarantined_at: time(file.quarantined_at),
        }
    }
}

/// A file that is where it was to go.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct ReleasedView {
    status: &'static str,
    file: String,
    dest: String,
}

impl From<ModelPath> for ReleasedView {
    fn from(path: ModelPath) -> Self {
        Self { status: "released", file: path.file.to_string(), dest: path.folder.to_string() }
    }
}
