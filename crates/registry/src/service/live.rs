//! What moves: the progress of one running job, in numbers that the transfer stores and everybody reads.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{JobState, Wait};
use crate::domain::{Download, DownloadState, Progress};

/// Why a running job is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// The user wants it to wait.
    Pause,
    /// The user does not want it any more.
    Cancel,
    /// The program ends; the job goes back to its place in the queue.
    Park,
}

/// The running part of a job.
#[derive(Debug, Default)]
pub(crate) struct Live {
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    bytes_per_second: AtomicU64,
    connections: AtomicU32,
    phase: AtomicU8,
    tries: AtomicU32,
    /// How much of each part of the file is here, percent.
    segments: Mutex<Vec<u8>>,
    intent: Mutex<Option<Intent>>,
    /// What it waits for, while it does.
    wait: Mutex<Option<Wait>>,
    /// Whether others may use its place meanwhile.
    gave_way: AtomicBool,
    /// Stops the work.
    pub(crate) cancel: CancellationToken,
    /// Cancelled when nothing of the job writes any more.
    pub(crate) ended: CancellationToken,
    /// Wakes the keeper of the row when the phase has changed.
    pub(crate) phase_changed: Notify,
}

/// The states of a running job by the number that is stored.
const PHASES: [DownloadState; 3] =
    [DownloadState::Downloading, DownloadState::Retrying, DownloadState::Verifying];

impl Live {
    /// A job that was just claimed.
    pub(crate) fn of(download: &Download) -> Self {
        let live = Self::default();
        live.bytes_done.store(download.bytes_done, Ordering::Relaxed);
        live.bytes_total.store(download.bytes_total, Ordering::Relaxed);
        live
    }

    /// Asks the job to stop; the first reason counts, but a cancel beats a pause.
    pub(crate) fn stop(&self, intent: Intent) {
        let mut own = self.intent.lock().unwrap_or_else(PoisonError::into_inner);
        if own.is_none() || intent == Intent::Cancel {
            *own = Some(intent);
        }
        drop(own);
        self.cancel.cancel();
    }

    /// Why it was asked to stop.
    pub(crate) fn intent(&self) -> Option<Intent> {
        *self.intent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is doing.
    pub(crate) fn phase(&self) -> DownloadState {
        PHASES[usize::from(self.phase.load(Ordering::Relaxed)).min(PHASES.len() - 1)]
    }

    /// It does something else now; `true` when that is news. Nothing flows but while downloading.
    pub(crate) fn enter(&self, phase: DownloadState) -> bool {
        let number = PHASES.iter().position(|own| *own == phase).expect("only running states are entered");
        if phase != DownloadState::Downloading {
            self.bytes_per_second.store(0, Ordering::Relaxed);
            self.connections.store(0, Ordering::Relaxed);
        }
        let is_news = self.phase.swap(number as u8, Ordering::Relaxed) != number as u8;
        if is_news {
            self.phase_changed.notify_one();
        }
        is_news
    }

    /// It waits, and keeps its place.
    pub(crate) fn wait(&self, wait: Wait) {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
        self.enter(DownloadState::Retrying);
    }

    /// Others may use its place until it goes on.
    pub(crate) fn give_way(&self) {
        self.gave_way.store(true, Ordering::Relaxed);
    }

    /// Whether it takes one of the places.
    pub(crate) fn has_place(&self) -> bool {
        !self.gave_way.load(Ordering::Relaxed)
    }

    /// It waits no more and has its place again.
    pub(crate) fn go_on(&self) {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.gave_way.store(false, Ordering::Relaxed);
    }

    /// How far it is.
    pub(crate) fn moved(&self, bytes_done: u64, bytes_total: Option<u64>, bytes_per_second: u64) {
        self.bytes_done.store(bytes_done, Ordering::Relaxed);
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
        if let Some(total) = bytes_total {
            self.expect_bytes(total);
        }
    }

    /// Which parts of the file are here.
    pub(crate) fn filled(&self, segments: Vec<u8>) {
        *self.segments.lock().unwrap_or_else(PoisonError::into_inner) = segments;
    }

    /// How many bytes it will have.
    pub(crate) fn expect_bytes(&self, total: u64) {
        self.bytes_total.store(total, Ordering::Relaxed);
    }

    /// How many connections may work for it.
    pub(crate) fn connected(&self, connections: usize) {
        self.connections.store(connections as u32, Ordering::Relaxed);
    }

    /// Another try begins.
    pub(crate) fn count_try(&self) {
        self.tries.fetch_add(1, Ordering::Relaxed);
    }

    /// The job with what moves now.
    pub(crate) fn snapshot(&self, stored: &Download) -> JobState {
        let progress = Progress {
            bytes_done: self.bytes_done.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            bytes_per_second: self.bytes_per_second.load(Ordering::Relaxed) as f64,
            connections: self.connections.load(Ordering::Relaxed),
        };
        let download = Download {
            state: self.phase(),
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            attempts: stored.attempts + i64::from(self.tries.load(Ordering::Relaxed)),
            ..stored.clone()
        };
        let wait = self.wait.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let segments = match download.state {
            DownloadState::Downloading => {
                self.segments.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            _ => Vec::new(),
        };
        let wait = wait.filter(|_| download.state == DownloadState::Retrying);
        JobState { download, progress, segments, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_beats_a_pause_and_the_first_reason_stays_otherwise() {
        let live = Live::default();
        live.stop(Intent::Park);
        live.stop(Intent::Pause);
        assert_eq!(live.intent(), Some(Intent::Park));
        live.stop(Intent::Cancel);
        assert_eq!(live.intent(), Some(Intent::Cancel));
        assert!(live.cancel.is_cancelled());
    }

    #[test]
    fn nothing_flows_while_it_waits_or_verifies() {
        let live = Live::default();
        live.moved(5, Some(10), 1000);
        live.connected(4);
        assert!(live.enter(DownloadState::Verifying));
        assert!(!live.enter(DownloadState::Verifying));
        assert_eq!(live.bytes_per_second.load(Ordering::Relaxed), 0);
        assert_eq!(live.connections.load(Ordering::Relaxed), 0);
    }
}
