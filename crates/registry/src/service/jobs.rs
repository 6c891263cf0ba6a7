//! What the other services know of the download queue.

use std::sync::Arc;

use super::{JobState, Registry};
use crate::domain::{EntryId, ModelPath};
use crate::error::Result;

/// Sums over all jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct JobSums {
    /// Jobs that wait, paused ones included.
    pub(crate) queued: u64,
    /// Jobs that run.
    pub(crate) downloading: u64,
    /// Bytes per second of all running jobs together.
    pub(crate) bytes_per_second: f64,
}

/// The queue's share of what all services share.
#[derive(Debug, Default)]
pub(crate) struct Jobs {}

impl Registry {
    /// Puts jobs that a killed process held back into the queue; part of `open`.
    pub(crate) async fn open_downloads(&self) -> Result<()> {
        Ok(())
    }

    /// Starts the workers; part of `start`.
    pub(crate) fn start_downloads(&self) {}

    /// Parks running transfers, their journals written; part of `close`.
    pub(crate) async fn close_downloads(&self) {}

    /// Counts up whenever anything that a listing shows of a job changes.
    pub(crate) fn jobs_revision(&self) -> u64 {
        0
    }

    /// The live or last job of an entry.
    pub(crate) fn job_of(&self, _entry: EntryId) -> Option<Arc<JobState>> {
        None
    }

    /// Sums over all jobs.
    pub(crate) fn job_sums(&self) -> JobSums {
        JobSums::default()
    }

    /// Cancels what is queued or running for that path and returns when nothing writes there any more.
    pub(crate) async fn cancel_jobs_at(&self, _path: &ModelPath) -> Result<()> {
        Ok(())
    }
}
