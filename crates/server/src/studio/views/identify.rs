//! A run of looking files up, and the files that are there more than once.

use lorakeep_registry::{
    DuplicateFile, DuplicateGroup, DuplicateReport, FileFacts, FoundVersion, LookedUp, LookupReport,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::time;

/// The run, going on or ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct LookupView {
    is_running: bool,
    started_at: String,
    finished_at: Option<String>,
    total_files: u64,
    done_files: u64,
    total_bytes: u64,
    done_bytes: u64,
    error: Option<String>,
    files: Vec<LookedUpView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LookedUpView {
    path: String,
    sha256: Option<String>,
    is_listed: bool,
    /// What CivitAI knows; null when it knows nothing.
    civitai: Option<FoundView>,
    /// What the file says of itself.
    file_facts: Option<FileFacts>,
    applied: Vec<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FoundView {
    model_id: Option<u64>,
    model: Option<String>,
    version_id: u64,
    version: Option<String>,
    base_model: Option<String>,
}

/// Groups of the same files.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct DuplicatesView {
    items: Vec<GroupView>,
    next_cursor: Option<String>,
    total: u64,
    wasted_bytes: u64,
    unhashed_files: u64,
    unhashed_bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DuplicateGroup")]
struct GroupView {
    same: &'static str,
    sha256: String,
    wasted_bytes: u64,
    files: Vec<FileView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DuplicateFile")]
struct FileView {
    path: String,
    size_bytes: u64,
    is_listed: bool,
    is_shared: bool,
    is_kept: bool,
}

impl From<LookupReport> for LookupView {
    fn from(report: LookupReport) -> Self {
        Self {
            is_running: report.is_running,
            started_at: time(report.started_at),
            finished_at: report.finished_at.map(time),
            total_files: report.total_files,
            done_files: report.done_files,
            total_bytes: report.total_bytes,
            done_bytes: report.done_bytes,
            error: report.error,
            files: report.files.into_iter().map(LookedUpView::from).collect(),
        }
    }
}

impl From<LookedUp> for LookedUpView {
    fn from(file: LookedUp) -> Self {
        Self {
            path: file.path,
            sha256: file.sha256.map(|sha256| sha256.to_string()),
            is_listed: file.is_listed,
            civitai: file.found.map(FoundView::from),
            file_facts: file.facts,
            applied: file.applied,
            error: file.error,
        }
    }
}

impl From<FoundVersion> for FoundView {
    fn from(found: FoundVersion) -> Self {
        let FoundVersion { model_id, model, version_id, version, base_model } = found;
        Self { model_id, model, version_id, version, base_model }
    }
}

impl From<DuplicateReport> for DuplicatesView {
    fn from(report: DuplicateReport) -> Self {
        Self {
            items: report.groups.into_iter().map(GroupView::from).collect(),
            next_cursor: None,
            total: report.total,
            wasted_bytes: report.wasted_bytes,
            unhashed_files: report.unhashed_files,
            unhashed_bytes: report.unhashed_bytes,
        }
    }
}

impl From<DuplicateGroup> for GroupView {
    fn from(group: DuplicateGroup) -> Self {
        let shown = |(index, file): (usize, DuplicateFile)| FileView {
            path: file.path.relative(),
            size_bytes: file.size_bytes,
            is_listed: file.is_listed,
            is_shared: file.is_shared,
            is_kept: index == 0,
        };
        Self {
            same: group.sameness.as_str(),
            sha256: group.sha256.to_string(),
            wasted_bytes: group.wasted_bytes,
            files: group.files.into_iter().enumerate().map(shown).collect(),
        }
    }
}
