//! One job from its claim to its end: tries, the waits between them, the row that is kept up to date, the outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::DropGuard;

use super::attempt::{Attempt, Ended};
use super::failure::Failure;
use super::{lease, set_gauges, take_place};
use crate::domain::{Download, DownloadState, FileFact};
use crate::error::Result;
use crate::service::live::{Intent, Live};
use crate::service::{Registry, Wait};
use crate::store::StoredDownload;

/// Tries of one claim before a passing trouble counts as lasting. The engine has tried for minutes in each.
const TRIES: u32 = 3;
/// Pauses in a row that a host may ask for in one claim.
const MAX_PAUSES: u32 = 20;
/// The wait after the first failed try; doubles.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait that an upstream is granted.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How often progress is noted in the row.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// How a claim ended.
enum Outcome {
    Ended(Ended),
    Failed(Failure),
    Stopped(Intent),
    /// Somebody else holds the job by now.
    Lost,
}

/// Runs the job and writes how it ended. Never panics, so that a job is never held for ever.
pub(super) async fn run(registry: Registry, stored: StoredDownload, live: Arc<Live>) {
    // Dropped last: whoever waits for the end sees the row as it is then.
    let _ended: DropGuard = live.ended.clone().drop_guard();
    let claimed = stored.download.clone();
    tracing::info!(download.id = %claimed.id, file = %claimed.path, attempt = claimed.attempts, "download started");
    registry.tell_download(&Download { state: DownloadState::Downloading, ..claimed.clone() });
    let mut keeper = Keeper { registry: registry.clone(), live: Arc::clone(&live), noted: claimed.clone() };
    let work = AssertUnwindSafe(keeper.run(Attempt {
        registry: registry.clone(),
        stored,
        live: Arc::clone(&live),
        broken_rule: Arc::default(),
    }));
    let outcome = work.catch_unwind().await.unwrap_or_else(|_| {
        Outcome::Failed(Failure::lasting("internal", "an internal error occurred; the log says more"))
    });
    if let Err(error) = keeper.finish(outcome).await {
        tracing::error!(download.id = %claimed.id, %error, "how a download ended cannot be written; it runs again later");
        registry.inner.jobs.put(Download { state: DownloadState::Queued, ..claimed });
    }
    set_gauges(&registry);
    registry.inner.jobs.wake.notify_one();
}

/// Keeps the row of a running job up to date.
struct Keeper {
    registry: Registry,
    live: Arc<Live>,
    /// The row as it was last written.
    noted: Download,
}

impl Keeper {
    /// Works and notes progress beside it.
    async fn run(&mut self, attempt: Attempt) -> Outcome {
        let live = Arc::clone(&self.live);
        let work = tries(attempt);
        tokio::pin!(work);
        let mut ticks = tokio::time::interval(NOTE_EVERY);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                _ = ticks.tick() => {}
                () = live.phase_changed.notified() => {}
            }
            self.registry.inner.jobs.bump();
            // The work goes on meanwhile: it may be the one that holds the connection which the note waits for.
            let noting = self.note();
            tokio::pin!(noting);
            let (is_ours, outcome) = tokio::select! {
                is_ours = &mut noting => (is_ours, None),
                outcome = &mut work => (noting.await, Some(outcome)),
            };
            if !is_ours {
                // Whoever took it over must not meet a second writer.
                live.cancel.cancel();
                if outcome.is_none() {
                    work.await;
                }
                return Outcome::Lost;
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// Writes how far it is; `false` when the job is somebody else's. A database that is busy is no reason to stop.
    async fn note(&mut self) -> bool {
        let now = self.live.snapshot(&self.noted).download;
        let lease = lease(&self.registry);
        match self.registry.inner.store.touch_download(&now, &lease).await {
            Ok(true) => {
                self.noted.state = now.state;
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::warn!(download.id = %now.id, %error, "the progress of a download cannot be noted");
                true
            }
        }
    }

    /// Writes the end, together with the fact of the published file.
    async fn finish(&mut self, outcome: Outcome) -> Result<()> {
        let inner = Arc::clone(&self.registry.inner);
        let mut download = self.live.snapshot(&self.noted).download;
        let fact = match outcome {
            Outcome::Lost => {
                tracing::warn!(download.id = %download.id, "another node took this download over");
                if let Some(stored) = inner.store.load_download(download.id).await? {
                    inner.jobs.put(stored.download);
                }
                return Ok(());
            }
            Outcome::Stopped(intent) => {
                stop(&mut download, intent);
                None
            }
            Outcome::Failed(failure) => {
                fail(&mut download, failure);
                None
            }
            Outcome::Ended(ended) => end(&mut download, ended),
        };
        if !self.noted.state.may_become(download.state) {
            // The last phase was too short to be noted; no end follows directly on a wait.
            self.live.enter(DownloadState::Downloading);
            self.note().await;
        }
        if download.state.is_ended() {
            download.finished_at = Some(inner.clock.now());
        }
        if let Some(fact) = &fact {
            // Who hears of the end finds an entry that is complete.
            self.registry.identify_at(&download.path, fact.stamp).await;
        }
        self.save(download, fact).await
    }

    /// The row first, then what everybody reads.
    async fn save(&self, download: Download, fact: Option<FileFact>) -> Result<()> {
        let inner = &self.registry.inner;
        debug_assert!(
            self.noted.state.may_become(download.state),
            "{:?} to {:?}",
            self.noted.state,
            download.state
        );
        let _turn = inner.jobs.turn.lock().await;
        if !inner.store.save_download(self.noted.state, &download, fact.as_ref()).await? {
            tracing::warn!(download.id = %download.id, "the row of a download changed under its worker");
            if let Some(stored) = inner.store.load_download(download.id).await? {
                inner.jobs.put(stored.download);
            }
            return Ok(());
        }
        if let Some(fact) = fact {
            self.registry.library_mut().set_file(download.path.clone(), Some(fact));
        }
        self.registry.tell_download(&download);
        inner.jobs.put(download);
        Ok(())
    }
}

fn stop(download: &mut Download, intent: Intent) {
    download.state = match intent {
        Intent::Pause => DownloadState::Paused,
        Intent::Cancel => DownloadState::Cancelled,
        Intent::Park => DownloadState::Queued,
    };
    tracing::info!(download.id = %download.id, file = %download.path, state = download.state.as_str(), "download stopped");
}

fn fail(download: &mut Download, failure: Failure) {
    let Failure { code, message, .. } = failure;
    tracing::warn!(download.id = %download.id, file = %download.path, code, message, "download failed");
    download.state = DownloadState::Error;
    (download.error_code, download.error) = (Some(code), Some(message));
}

fn end(download: &mut Download, ended: Ended) -> Option<FileFact> {
    match ended {
        Ended::Published(fact) => {
            let size_bytes = fact.stamp.size_bytes;
            (download.bytes_done, download.bytes_total) = (size_bytes, size_bytes);
            download.state = DownloadState::Done;
            let verification = fact.verification().as_str();
            tracing::info!(download.id = %download.id, file = %download.path, size_bytes, verification, "download done");
            Some(fact)
        }
        Ended::Quarantined { reason } => {
            tracing::warn!(download.id = %download.id, file = %download.path, reason, "download quarantined");
            download.state = DownloadState::Quarantined;
            (download.error_code, download.error) = (Some("quarantined".to_owned()), Some(reason));
            None
        }
    }
}

/// Tries until it ends, somebody stops it, or patience does.
async fn tries(attempt: Attempt) -> Outcome {
    let (live, registry) = (Arc::clone(&attempt.live), attempt.registry.clone());
    let mut patience = Patience::default();
    loop {
        let result = attempt.run().await;
        live.go_on();
        if let Some(intent) = live.intent().filter(|_| result.is_err()) {
            return Outcome::Stopped(intent);
        }
        let failure = match result {
            Ok(ended) => return Outcome::Ended(ended),
            Err(failure) => failure,
        };
        let Some(pause) = patience.pause_after(&failure) else { return Outcome::Failed(failure) };
        tracing::warn!(
            download.id = %attempt.stored.download.id,
            code = failure.code,
            message = failure.message,
            wait_seconds = pause.as_secs(),
            "a download waits and tries again"
        );
        let until = registry.inner.clock.now() + pause;
        live.wait(Wait { until, reason: failure.message });
        live.give_way();
        registry.inner.jobs.wake.notify_one();
        tokio::select! {
            () = live.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
        take_place(&registry, &live).await;
        if let Some(intent) = live.intent() {
            return Outcome::Stopped(intent);
        }
        live.count_try();
        live.enter(DownloadState::Downloading);
    }
}

/// What is left of the patience of one claim.
#[derive(Default)]
struct Patience {
    failures: u32,
    pauses: u32,
}

impl Patience {
    /// How long to wait after this failure; `None` when it is the last one. A pause that was asked for is no failure.
    fn pause_after(&mut self, failure: &Failure) -> Option<Duration> {
        if !failure.is_transient {
            return None;
        }
        if let Some(asked) = failure.wait {
            self.pauses += 1;
            return (self.pauses <= MAX_PAUSES).then(|| asked.min(LONGEST_WAIT));
        }
        self.failures += 1;
        (self.failures < TRIES).then(|| FIRST_WAIT * 2_u32.pow(self.failures - 1))
    }
}
