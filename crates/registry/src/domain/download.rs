//! The life of a download: its states and which may follow which.

use chrono::{DateTime, Utc};

use super::{DownloadId, EntryId, ModelPath};

/// Where a job stands. Stored by `as_str`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DownloadState {
    /// Waits for its turn.
    Queued,
    /// A worker resolves its address or moves its bytes.
    Downloading,
    /// Waits before the next try, holding its place.
    Retrying,
    /// All bytes are here; hash and content are being checked.
    Verifying,
    /// Stopped by the user; parts are kept.
    Paused,
    /// Published.
    Done,
    /// Gave up; parts are kept when they can still be used.
    Error,
    /// Stopped for good by the user; parts are removed.
    Cancelled,
    /// Whole and right, but its content may not be loaded (hidden from ComfyUI).
    Quarantined,
}

/// The words of the contract (decision 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusWord {
    /// The file is on disk.
    Present,
    /// The file is not here and nobody fetches it.
    NotDownloaded,
    /// Bytes are moving.
    Downloading,
    /// It waits.
    Queued,
    /// The last try failed.
    Error,
}

/// Who asked for a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// One file was asked for.
    Manual,
    /// Asked for with others.
    Batch,
}

/// Live progress of one job.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Bytes safely received.
    pub bytes_done: u64,
    /// Size in bytes, 0 while unknown.
    pub bytes_total: u64,
    /// Bytes per second over the last seconds.
    pub bytes_per_second: f64,
    /// Connections at work.
    pub connections: u32,
}

/// One download job, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Download {
    /// Its id.
    pub id: DownloadId,
    /// The entry it fetches.
    pub entry_id: EntryId,
    /// Where the file goes, fixed when the job was made.
    pub path: ModelPath,
    /// Where it stands.
    pub state: DownloadState,
    /// Higher goes first.
    pub priority: i64,
    /// Order among equal priorities; lower goes first.
    pub position: i64,
    /// Fetch although the file is present, and replace it.
    pub force: bool,
    /// Who asked.
    pub trigger: Trigger,
    /// Bytes received and size, as last stored.
    pub bytes_done: u64,
    /// Size in bytes, 0 while unknown.
    pub bytes_total: u64,
    /// Tries so far.
    pub attempts: i64,
    /// Stable code of the last failure.
    pub error_code: Option<String>,
    /// Text of the last failure, saying what to do.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl DownloadState {
    /// Every state, in the order of a happy life.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Downloading,
        Self::Retrying,
        Self::Verifying,
        Self::Paused,
        Self::Done,
        Self::Error,
        Self::Cancelled,
        Self::Quarantined,
    ];

    /// The stored and shown name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Downloading => "downloading",
            Self::Retrying => "retrying",
            Self::Verifying => "verifying",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Quarantined => "quarantined",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more will happen without the user.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Error | Self::Cancelled | Self::Quarantined)
    }

    /// Whether a worker holds it.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Downloading | Self::Retrying | Self::Verifying)
    }

    /// The contract's word for it (decision 5); `None` says to look at the disk instead.
    pub fn status_word(self) -> Option<StatusWord> {
        match self {
            Self::Queued | Self::Paused => Some(StatusWord::Queued),
            Self::Downloading | Self::Retrying | Self::Verifying => Some(StatusWord::Downloading),
            Self::Error | Self::Quarantined => Some(StatusWord::Error),
            Self::Done | Self::Cancelled => None,
        }
    }

    /// Whether `next` may follow. The only place that knows.
    pub fn may_become(self, next: Self) -> bool {
        use DownloadState::{
            Cancelled, Done, Downloading, Error, Paused, Quarantined, Queued, Retrying, Verifying,
        };
        match self {
            Queued => matches!(next, Downloading | Paused | Cancelled),
            Downloading => {
                matches!(
                    next,
                    Queued | Retrying | Verifying | Paused | Done | Error | Cancelled | Quarantined
                )
            }
            Retrying => matches!(next, Queued | Downloading | Paused | Error | Cancelled),
            Verifying => matches!(
                next,
                Queued | Downloading | Retrying | Paused | Done | Error | Cancelled | Quarantined
            ),
            Paused => matches!(next, Queued | Cancelled),
            Cancelled => next == Queued,
            // Cancelling what failed dismisses it and removes its parts.
            Error | Quarantined => matches!(next, Queued | Cancelled),
            Done => false,
        }
    }
}

impl StatusWord {
    /// Every word.
    pub const ALL: [Self; 5] =
        [Self::Present, Self::NotDownloaded, Self::Downloading, Self::Queued, Self::Error];

    /// The word in the lists of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::NotDownloaded => "not_downloaded",
            Self::Downloading => "downloading",
            Self::Queued => "queued",
            Self::Error => "error",
        }
    }
}

impl Trigger {
    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Batch => "batch",
        }
    }

    /// The trigger of that name; an unknown one counts as manual.
    pub fn parse(name: &str) -> Self {
        if name == "batch" { Self::Batch } else { Self::Manual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_found_by_its_name() {
        for state in DownloadState::ALL {
            assert_eq!(DownloadState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn an_ended_job_goes_nowhere_but_back_to_the_queue() {
        for state in DownloadState::ALL.into_iter().filter(|state| state.is_ended()) {
            for next in DownloadState::ALL {
                let allowed = state.may_become(next);
                assert!(!allowed || matches!(next, DownloadState::Queued | DownloadState::Cancelled));
            }
        }
    }
}
