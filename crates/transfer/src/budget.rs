//! How much trouble one transfer bears: failures in a row, forgotten when bytes arrive.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::TransferError;
use crate::failure::Trouble;
use crate::observer::{Event, Observer};
use crate::retry::RetryPolicy;

/// A storage host that refuses fresh addresses is asked this often.
const MAX_REFUSALS: u32 = 3;

/// Counts the failures of a transfer over all its connections and restarts.
#[derive(Debug)]
pub(crate) struct Budget {
    policy: RetryPolicy,
    attempts: u32,
    refusals: u32,
    /// Most bytes of the file that there ever were. A restart does not lower it, so that fetching
    /// the same bytes again and again counts as no progress.
    most: u64,
    most_at_failure: u64,
    began: Instant,
}

impl Budget {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, attempts: 0, refusals: 0, most: 0, most_at_failure: 0, began: Instant::now() }
    }

    /// Notes how many bytes of the file there are.
    pub(crate) fn note(&mut self, bytes_done: u64) {
        self.most = self.most.max(bytes_done);
    }

    /// The shortest wait, for a connection that failed while others go on.
    pub(crate) fn short_wait(&self) -> Duration {
        self.policy.backoff(1, fastrand::f64())
    }

    /// Notes that everything stands still because of `trouble`: how long to wait, or the end.
    pub(crate) fn fail(
        &mut self,
        trouble: &Trouble,
        observer: &dyn Observer,
    ) -> Result<Duration, TransferError> {
        if self.most >= self.most_at_failure.saturating_add(self.policy.progress_bytes) {
            (self.attempts, self.refusals) = (0, 0);
        }
        self.most_at_failure = self.most;
        self.attempts += 1;
        if let Some(refusal) = &trouble.refusal {
            self.refusals += 1;
            if self.refusals >= MAX_REFUSALS {
                return Err(TransferError::Refused(refusal.clone()));
            }
        }
        let reason = trouble.reason.clone();
        if self.attempts >= self.policy.max_attempts {
            let (attempts, elapsed) = (self.attempts, self.began.elapsed());
            return Err(TransferError::Exhausted { attempts, last: reason, elapsed });
        }
        if let Some(wait) = trouble.wait.filter(|wait| *wait > self.policy.max_pause) {
            return Err(TransferError::Delayed { reason, wait });
        }
        let wait = trouble.wait.unwrap_or_else(|| self.policy.backoff(self.attempts, fastrand::f64()));
        tracing::info!(attempt = self.attempts, reason, wait_ms = wait.as_millis(), "retrying");
        observer.on_event(Event::Retrying { attempt: self.attempts, reason, wait });
        Ok(wait)
    }
}
