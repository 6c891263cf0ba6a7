//! The queue, live.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::domain::DownloadState;
use lorakeep_registry::{DownloadFilter, JobState, PageRequest, Registry, Settings};

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

/// Jobs on the page; ended ones beyond it are in the API's list.
const SHOWN: u32 = 200;

#[derive(Template)]
#[template(path = "downloads.html")]
struct DownloadsPage {
    frame: Frame,
    list: JobList,
}

#[derive(Template)]
#[template(path = "downloads_list.html")]
struct JobList {
    jobs: Vec<JobRow>,
    total: u64,
    settings: Settings,
    bandwidth_mebibytes: String,
}

/// One job.
struct JobRow {
    id: String,
    name: String,
    file: String,
    entry: String,
    state: &'static str,
    percent: u64,
    bytes_done: u64,
    bytes_total: u64,
    error: Option<String>,
    is_moving: bool,
    /// Whether its place in the queue can be changed.
    is_waiting: bool,
    /// The jobs beside it in the queue.
    before: Option<String>,
    after: Option<String>,
    can_pause: bool,
    can_resume: bool,
    can_retry: bool,
    can_cancel: bool,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let request = PageRequest { limit: Some(SHOWN), cursor: None };
    let jobs = registry.list_downloads(DownloadFilter::default(), request).await?;
    let settings = registry.settings();
    let mut rows: Vec<JobRow> = jobs.items.iter().map(|job| JobRow::new(registry, job)).collect();
    name_neighbours(&mut rows);
    let list = JobList {
        jobs: rows,
        total: jobs.total,
        bandwidth_mebibytes: filters::mebibytes(settings.bandwidth_bytes_per_second),
        settings,
    };
    if page::wants_part(&headers) {
        return page::render(&headers, &list);
    }
    page::render(&headers, &DownloadsPage { frame: Frame::new("/downloads"), list })
}

/// Tells each job that waits which ones wait before and after it.
fn name_neighbours(rows: &mut [JobRow]) {
    let ids: Vec<String> = rows.iter().filter(|row| row.is_waiting).map(|row| row.id.clone()).collect();
    for (at, row) in rows.iter_mut().filter(|row| row.is_waiting).enumerate() {
        row.before = at.checked_sub(1).map(|before| ids[before].clone());
        row.after = ids.get(at + 1).cloned();
    }
}

impl JobRow {
    fn new(registry: &Registry, job: &JobState) -> Self {
        use DownloadState as State;
        let JobState { download, progress, wait, .. } = job;
        let state = download.state;
        let entry = registry.find_entry_by_id(download.entry_id);
        let file = download.path.file.as_str();
        Self {
            id: download.id.to_string(),
            name: entry.map_or_else(|| file.to_owned(), |entry| entry.document.name().to_owned()),
            file: download.path.to_string(),
            entry: download.entry_id.to_string(),
            state: state.as_str(),
            percent: (progress.bytes_done * 100).checked_div(progress.bytes_total).unwrap_or(0),
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            error: wait.as_ref().map(ToString::to_string).or_else(|| download.error.clone()),
            is_moving: matches!(state, State::Downloading | State::Verifying | State::Retrying),
            is_waiting: matches!(state, State::Queued | State::Paused),
            before: None,
            after: None,
            can_pause: matches!(state, State::Queued | State::Downloading | State::Retrying),
            can_resume: state == State::Paused,
            can_retry: matches!(state, State::Error | State::Cancelled),
            can_cancel: !state.is_ended(),
        }
    }
}
