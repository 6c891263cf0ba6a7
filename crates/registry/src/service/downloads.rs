//! The life of a download: asked for, queued, run, verified, published; paused, moved, cancelled, tried again.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Page, PageRequest, Registry, bad_cursor, jobs};
use crate::domain::{Download, DownloadId, DownloadState, Progress, Trigger};
use crate::error::{Error, Result, Thing};

/// How a download is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Enqueue {
    /// Fetch and replace a present file.
    pub force: bool,
    /// Who asked.
    pub trigger: Trigger,
    /// Higher goes first; 0 is usual.
    pub priority: i64,
}

/// What came of asking.
#[derive(Debug, Clone)]
pub enum Enqueued {
    /// A new job (or an ended one that was put back).
    Queued(JobState),
    /// It is queued or running already.
    Already(JobState),
    /// The file is there (decision 7).
    Present,
}

/// What came of asking for many.
#[derive(Debug, Clone, Default)]
pub struct BatchReport {
    /// Files with a new job.
    pub queued: Vec<String>,
    /// Files without, and why.
    pub skipped: Vec<Skipped>,
}

/// One file of a batch that got no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The name as asked for.
    pub file: String,
    /// `present`, `queued`, `downloading`, `not_found`, `no_source`.
    pub reason: &'static str,
}

/// A job with its live progress.
#[derive(Debug, Clone, PartialEq)]
pub struct JobState {
    /// The job as stored.
    pub download: Download,
    /// What moves now; zero speed when nothing does.
    pub progress: Progress,
    /// How much of each of 64 equal parts of the file is here, percent; empty while nothing moves.
    pub segments: Vec<u8>,
    /// What a job in state `retrying` waits for.
    pub wait: Option<Wait>,
}

/// A wait before the next try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// When it goes on.
    pub until: DateTime<Utc>,
    /// What happened.
    pub reason: String,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct DownloadFilter {
    /// Only these states; all when empty.
    pub states: Vec<DownloadState>,
}

/// Where a job is moved to in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Before all others of its priority.
    Top,
    /// After all others of its priority.
    Bottom,
    /// Directly before that job, with its priority.
    Before(DownloadId),
    /// Directly after that job, with its priority.
    After(DownloadId),
    /// To another priority, at its end.
    Priority(i64),
}

/// The longest live list (decision 6).
const LIVE_AT_MOST: usize = 500;

impl Registry {
    /// What is active or queued, and what ended in the last 15 minutes; 500 at most (decision 6).
    pub fn live_downloads(&self) -> Vec<JobState> {
        let now = self.inner.clock.now();
        let mut shown = self.inner.jobs.all();
        shown.retain(|job| {
            let ended = job.download.finished_at.filter(|_| job.download.state.is_ended());
            ended.is_none_or(|at| now - at <= jobs::SHOWN_AFTER_END)
        });
        shown.sort_unstable_by_key(|job| rank(&job.download));
        shown.truncate(LIVE_AT_MOST);
        shown.into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// Resolves when any job has changed since the last call that returned this value; for event streams.
    pub async fn downloads_changed(&self, seen: u64) -> u64 {
        self.inner.jobs.changed(seen).await
    }

    /// Stored jobs: running first, then the queue in its order, then what ended, newest first.
    pub async fn list_downloads(&self, filter: DownloadFilter, page: PageRequest) -> Result<Page<JobState>> {
        let limit = page.rows();
        let offset = match &page.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| bad_cursor())?,
        };
        let store = &self.inner.store;
        let rows = store.list_downloads(&filter.states, limit, offset).await?;
        let total = store.count_downloads(&filter.states).await?;
        let next = offset.saturating_add(rows.len() as u64);
        let next_cursor = (!rows.is_empty() && next < total).then(|| next.to_string());
        let items = rows.into_iter().map(|row| self.with_progress(row.download)).collect();
        Ok(Page { items, next_cursor, total })
    }

    /// One job.
    pub async fn load_download(&self, id: DownloadId) -> Result<JobState> {
        let stored = self.inner.store.load_download(id).await?.ok_or_else(|| missing(id))?;
        Ok(self.with_progress(stored.download))
    }

    /// Runs the queue until it is empty, in the caller's task; for tests and for the command line.
    pub async fn run_until_empty(&self) -> Result<()> {
        crate::worker::run_until_empty(self).await
    }

    fn with_progress(&self, stored: Download) -> JobState {
        match self.inner.jobs.get(stored.id) {
            Some(job) if job.download.state.is_running() && stored.state.is_running() => {
                Arc::unwrap_or_clone(job)
            }
            _ => JobState::at_rest(stored),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; goes on at {}", self.reason, self.until.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl JobState {
    /// A job of which nothing moves.
    pub(crate) fn at_rest(download: Download) -> Self {
        let (bytes_done, bytes_total) = (download.bytes_done, download.bytes_total);
        let progress = Progress { bytes_done, bytes_total, ..Progress::default() };
        Self { download, progress, segments: Vec::new(), wait: None }
    }
}

/// Running first, then the queue in its order, then what ended, newest first.
fn rank(download: &Download) -> (u8, i64, i64, i64, DownloadId) {
    let Download { state, priority, position, finished_at, id, .. } = download;
    if state.is_running() {
        (0, 0, 0, 0, *id)
    } else if state.is_ended() {
        (2, 0, 0, -finished_at.map_or(0, |at| at.timestamp_millis()), *id)
    } else {
        (1, -priority, *position, 0, *id)
    }
}

/// What is said of an id that no job has.
pub(super) fn missing(id: DownloadId) -> Error {
    Error::not_found(Thing::Download, id.to_string())
}
