//! Acting on downloads: pause, resume, cancel, retry. A job that runs is told and waited for; the row of any other is
//! changed at once. Which state may follow which is the domain's rule.

use std::sync::Arc;

use super::downloads::missing;
use super::live::Intent;
use super::{Enqueue, JobState, Registry};
use crate::domain::{Download, DownloadId, DownloadState};
use crate::error::{Error, Result};

impl Registry {
    /// Stops it for now; its parts are kept.
    pub async fn pause_download(&self, id: DownloadId) -> Result<JobState> {
        let registry = self.clone();
        let stop = async move { registry.stop(id, Intent::Pause, DownloadState::Paused).await };
        self.uninterrupted(stop).await
    }

    /// Stops it for good and removes its parts; returns when nothing writes any more.
    pub async fn cancel_download(&self, id: DownloadId) -> Result<JobState> {
        let registry = self.clone();
        self.uninterrupted(async move {
            let job = registry.stop(id, Intent::Cancel, DownloadState::Cancelled).await?;
            registry.remove_parts_of(id).await?;
            Ok(job)
        })
        .await
    }

    /// Puts a paused job back into the queue.
    pub async fn resume_download(&self, id: DownloadId) -> Result<JobState> {
        let registry = self.clone();
        self.uninterrupted(async move { registry.resume(id).await }).await
    }

    /// Puts a failed or cancelled job back into the queue; kept parts are used.
    pub async fn retry_download(&self, id: DownloadId) -> Result<JobState> {
        let registry = self.clone();
        self.uninterrupted(async move { registry.retry(id).await }).await
    }

    /// Pauses every queued and running job; answers how many.
    pub async fn pause_all_downloads(&self) -> Result<u64> {
        let registry = self.clone();
        self.uninterrupted(async move { registry.pause_all().await }).await
    }

    /// Puts every paused job back; answers how many.
    pub async fn resume_all_downloads(&self) -> Result<u64> {
        let registry = self.clone();
        let resume = async move {
            let _turn = registry.inner.jobs.turn.lock().await;
            let changed = registry.change_all(DownloadState::Paused, DownloadState::Queued).await?;
            registry.inner.jobs.wake.notify_one();
            Ok(changed)
        };
        self.uninterrupted(resume).await
    }

    async fn resume(&self, id: DownloadId) -> Result<JobState> {
        let _turn = self.inner.jobs.turn.lock().await;
        let job = self.resume_paused(id).await?;
        self.inner.jobs.wake.notify_one();
        Ok(JobState::clone(&job))
    }

    /// A paused job is queued again, in its old place. The caller holds the turn.
    pub(super) async fn resume_paused(&self, id: DownloadId) -> Result<Arc<JobState>> {
        self.change(id, |download| match download.state {
            DownloadState::Paused => become_state(download, DownloadState::Queued),
            _ => Err(wrong_state(download, "resumed; only a paused one can")),
        })
        .await
    }

    async fn retry(&self, id: DownloadId) -> Result<JobState> {
        let _turn = self.inner.jobs.turn.lock().await;
        let store = &self.inner.store;
        let download = store.load_download(id).await?.ok_or_else(|| missing(id))?.download;
        if !download.state.is_ended() {
            return Err(wrong_state(&download, "tried again; it has not ended"));
        }
        if store.load_active_download(&download.path).await?.is_some() {
            let message = format!("`{}` is queued or running in another download", download.path);
            return Err(Error::conflict("already_queued", message));
        }
        let Download { force, trigger, priority, .. } = download;
        let job = self.put_back(id, Enqueue { force, trigger, priority }).await?;
        self.inner.jobs.wake.notify_one();
        Ok(JobState::clone(&job))
    }

    async fn pause_all(&self) -> Result<u64> {
        let turn = self.inner.jobs.turn.lock().await;
        let mut changed = self.change_all(DownloadState::Queued, DownloadState::Paused).await?;
        let mut running = self.inner.jobs.all();
        running.retain(|job| job.download.state.is_running());
        drop(turn);
        for job in &running {
            // All stop at once; each is waited for below.
            if let Some(live) = self.inner.jobs.live(job.download.id) {
                live.stop(Intent::Pause);
            }
        }
        for job in running {
            let paused = self.stop(job.download.id, Intent::Pause, DownloadState::Paused).await;
            changed += u64::from(paused.is_ok());
        }
        Ok(changed)
    }

    /// An ended job goes to the end of the queue. The caller holds the turn.
    pub(super) async fn put_back(&self, id: DownloadId, how: Enqueue) -> Result<Arc<JobState>> {
        self.remove_quarantined_of(id).await?;
        let waiting = self.inner.store.waiting_positions(how.priority).await?;
        let last = waiting.last().map_or(0, |(_, position)| *position);
        self.change(id, |download| {
            become_state(download, DownloadState::Queued)?;
            download.position = last + crate::store::STEP;
            download.priority = how.priority;
            download.force = how.force;
            download.trigger = how.trigger;
            Ok(())
        })
        .await
    }

    /// Stops a job: a running one is told and waited for, another is changed at once.
    async fn stop(&self, id: DownloadId, intent: Intent, state: DownloadState) -> Result<JobState> {
        let turn = self.inner.jobs.turn.lock().await;
        let Some(live) = self.inner.jobs.live(id) else {
            let job = self.change(id, |download| become_state(download, state)).await?;
            return Ok(JobState::clone(&job));
        };
        drop(turn);
        live.stop(intent);
        live.ended.cancelled().await;
        let job = self.load_download(id).await?;
        if job.download.state == state { Ok(job) } else { Err(refuse(&job.download, state)) }
    }

    /// Changes the row of a job that does not run. The caller holds the turn.
    pub(super) async fn change(
        &self,
        id: DownloadId,
        change: impl FnOnce(&mut Download) -> Result<()>,
    ) -> Result<Arc<JobState>> {
        let stored = self.inner.store.load_download(id).await?.ok_or_else(|| missing(id))?;
        let mut download = stored.download;
        let from = download.state;
        change(&mut download)?;
        let is_ending = download.state.is_ended() && !from.is_ended();
        if is_ending {
            download.finished_at = Some(self.inner.clock.now());
        }
        if !self.inner.store.save_download(from, &download, None).await? {
            return Err(Error::conflict(
                "changed",
                format!("`{}` changed meanwhile; ask again", download.path),
            ));
        }
        if download.state != from {
            self.tell_download(&download);
        }
        Ok(self.inner.jobs.put(download))
    }

    /// Changes every job of one state. The caller holds the turn.
    async fn change_all(&self, from: DownloadState, to: DownloadState) -> Result<u64> {
        debug_assert!(from.may_become(to), "the domain allows it");
        let changed = self.inner.store.change_all_downloads(from, to).await?;
        let count = changed.len() as u64;
        for stored in changed {
            self.inner.jobs.put(stored.download);
        }
        Ok(count)
    }
}

/// Moves a job to another state if the domain allows it.
fn become_state(download: &mut Download, next: DownloadState) -> Result<()> {
    if !download.state.may_become(next) {
        return Err(refuse(download, next));
    }
    download.state = next;
    if next == DownloadState::Queued {
        (download.error, download.error_code, download.finished_at) = (None, None, None);
    }
    Ok(())
}

fn refuse(download: &Download, next: DownloadState) -> Error {
    let verb = match next {
        DownloadState::Paused => "paused",
        DownloadState::Cancelled => "cancelled",
        _ => "queued",
    };
    wrong_state(download, verb)
}

fn wrong_state(download: &Download, verb: &str) -> Error {
    let message =
        format!("the download of `{}` is `{}` and cannot be {verb}", download.path, download.state.as_str());
    Error::conflict("wrong_state", message)
}
