//! Download jobs, with both sets of names for live progress (decision 6).

use std::collections::BTreeMap;

use lorakeep_registry::domain::{DownloadState, StatusWord};
use lorakeep_registry::{BatchReport, Enqueued, JobState, Registry};
use schemars::JsonSchema;
use serde::Serialize;

use super::{percent, time};

/// One job.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct DownloadView {
    id: String,
    file: String,
    dest: String,
    /// Null when the entry was taken out of its catalog meanwhile, as is the name.
    catalog: Option<&'static str>,
    name: Option<String>,
    status: &'static str,
    state: &'static str,
    priority: i64,
    force: bool,
    bytes_downloaded: u64,
    bytes_total: u64,
    bytes: u64,
    total: u64,
    speed: f64,
    percent: Option<f64>,
    eta_seconds: Option<u64>,
    connections: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<u8>,
    attempts: i64,
    error: Option<String>,
    error_code: Option<String>,
    /// When a job in state `retrying` goes on, and why it waits.
    retry_at: Option<String>,
    retry_reason: Option<String>,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl DownloadView {
    pub(in crate::studio) fn new(registry: &Registry, job: &JobState) -> Self {
        let JobState { download, progress, segments, wait } = job;
        let (file, dest) = (download.path.file.as_str(), download.path.folder.as_str());
        let entry = registry.find_entry_by_id(download.entry_id);
        Self {
            id: download.id.to_string(),
            file: file.to_owned(),
            dest: dest.to_owned(),
            catalog: entry.as_ref().map(|entry| entry.catalog.as_str()),
            name: entry.as_ref().map(|entry| entry.document.name().to_owned()),
            status: status(download.state),
            state: download.state.as_str(),
            priority: download.priority,
            force: download.force,
            bytes_downloaded: progress.bytes_done,
            bytes_total: progress.bytes_total,
            bytes: progress.bytes_done,
            total: progress.bytes_total,
            speed: progress.bytes_per_second,
            percent: percent(progress.bytes_done, progress.bytes_total),
            eta_seconds: eta_seconds(job),
            connections: progress.connections,
            segments: segments.clone(),
            attempts: download.attempts,
            error: download.error.clone(),
            error_code: download.error_code.clone(),
            retry_at: wait.as_ref().map(|wait| time(wait.until)),
            retry_reason: wait.as_ref().map(|wait| wait.reason.clone()),
            created_at: time(download.created_at),
            started_at: download.started_at.map(time),
            finished_at: download.finished_at.map(time),
        }
    }

    /// Whether something may still happen to it without the user.
    pub(in crate::studio) fn is_live(&self) -> bool {
        matches!(self.status, "queued" | "downloading")
    }
}

/// The words of the event stream (decision 5); a cancelled job is as if nobody had asked.
fn status(state: DownloadState) -> &'static str {
    match state.status_word() {
        Some(word) => word.as_str(),
        None if state == DownloadState::Done => "done",
        None => StatusWord::NotDownloaded.as_str(),
    }
}

/// Seconds to the end at the present speed, rounded up.
fn eta_seconds(job: &JobState) -> Option<u64> {
    let left = job.progress.bytes_total.checked_sub(job.progress.bytes_done)?;
    let is_moving = job.progress.bytes_total > 0 && job.progress.bytes_per_second >= 1.0;
    is_moving.then(|| (left as f64 / job.progress.bytes_per_second).ceil() as u64)
}

/// What came of asking for one file.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct EnqueuedView {
    status: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_id: Option<String>,
}

impl EnqueuedView {
    pub(in crate::studio) fn new(file: String, enqueued: Enqueued) -> Self {
        let (status, job) = match enqueued {
            Enqueued::Queued(job) => ("queued", Some(job)),
            Enqueued::Already(job) => (status(job.download.state), Some(job)),
            Enqueued::Present => ("present", None),
        };
        Self { status, file, download_id: job.map(|job| job.download.id.to_string()) }
    }
}

/// What came of asking for many.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct BatchView {
    queued: Vec<String>,
    skipped: Vec<String>,
    reasons: BTreeMap<String, &'static str>,
}

impl From<BatchReport> for BatchView {
    fn from(report: BatchReport) -> Self {
        Self {
            queued: report.queued,
            skipped: report.skipped.iter().map(|skipped| skipped.file.clone()).collect(),
            reasons: report.skipped.into_iter().map(|skipped| (skipped.file, skipped.reason)).collect(),
        }
    }
}

/// How many jobs were changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct ChangedView {
    pub(in crate::studio) changed: u64,
}
