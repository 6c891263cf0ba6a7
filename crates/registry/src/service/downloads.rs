//! The life of a download: asked for, queued, run, verified, published; paused, moved, cancelled, tried again.

use super::{Page, PageRequest, Registry};
use crate::domain::{Download, DownloadId, DownloadState, Progress, Trigger};
use crate::error::Result;

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

impl Registry {
    /// Asks for one file of the catalog.
    pub async fn enqueue(&self, file: &str, dest: Option<&str>, how: Enqueue) -> Result<Enqueued> {
        let _ = (file, dest, how);
        todo!()
    }

    /// Asks for many; a name that cannot be queued is skipped with a reason.
    pub async fn enqueue_batch(&self, files: &[String], force: bool) -> Result<BatchReport> {
        let _ = (files, force);
        todo!()
    }

    /// What is active or queued, and what ended in the last 15 minutes; 500 at most (decision 6).
    pub fn live_downloads(&self) -> Vec<JobState> {
        todo!()
    }

    /// Resolves when any job has changed since the last call that returned this value; for event streams.
    pub async fn downloads_changed(&self, seen: u64) -> u64 {
        let _ = seen;
        todo!()
    }

    /// Stored jobs: running first, then the queue in its order, then what ended, newest first.
    pub async fn list_downloads(&self, filter: DownloadFilter, page: PageRequest) -> Result<Page<JobState>> {
        let _ = (filter, page);
        todo!()
    }

    /// One job.
    pub async fn load_download(&self, id: DownloadId) -> Result<JobState> {
        let _ = id;
        todo!()
    }

    /// Stops it for now; its parts are kept.
    pub async fn pause_download(&self, id: DownloadId) -> Result<JobState> {
        let _ = id;
        todo!()
    }

    /// Puts a paused job back into the queue.
    pub async fn resume_download(&self, id: DownloadId) -> Result<JobState> {
        let _ = id;
        todo!()
    }

    /// Stops it for good and removes its parts; returns when nothing writes any more.
    pub async fn cancel_download(&self, id: DownloadId) -> Result<JobState> {
        let _ = id;
        todo!()
    }

    /// Puts a failed or cancelled job back into the queue; kept parts are used.
    pub async fn retry_download(&self, id: DownloadId) -> Result<JobState> {
        let _ = id;
        todo!()
    }

    /// Moves a job within the queue.
    pub async fn move_download(&self, id: DownloadId, to: Placement) -> Result<JobState> {
        let _ = (id, to);
        todo!()
    }

    /// Pauses every queued and running job; answers how many.
    pub async fn pause_all_downloads(&self) -> Result<u64> {
        todo!()
    }

    /// Puts every paused job back; answers how many.
    pub async fn resume_all_downloads(&self) -> Result<u64> {
        todo!()
    }

    /// Runs the queue until it is empty, in the caller's task; for tests and for the command line.
    pub async fn run_until_empty(&self) -> Result<()> {
        todo!()
    }
}
