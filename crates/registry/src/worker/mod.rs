//! Runs the download queue: claims jobs while there is room, keeps their leases alive, parks them at the end.
//!
//! - [`job`]: one job from its claim to its end
//! - [`attempt`]: one try: what is there, where the bytes are, the transfer
//! - [`reuse`]: content that is on disk under another name
//! - [`gate`], [`failure`]: what may be published, and what is said when it fails

mod attempt;
mod failure;
mod gate;
mod job;
mod observer;
mod reuse;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::DownloadState;
use crate::error::Result;
use crate::service::Registry;
use crate::service::live::Live;
use crate::store::Lease;

/// How long a job counts as alive without a sign of its holder.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often the dispatcher looks around although nobody woke it.
const LOOK_AROUND: Duration = Duration::from_secs(20);

/// How many of these make a day.
const LOOKS_A_DAY: u32 = 24 * 3600 / 20;

/// What came of looking for a job.
enum Claim {
    Started,
    NoJob,
    NoRoom,
}

/// Runs until the program ends.
pub(crate) async fn run(registry: &Registry) {
    let mut rounds: u32 = 0;
    loop {
        let woken = registry.inner.jobs.wake.notified();
        if let Err(error) = start_jobs(registry).await {
            tracing::error!(%error, source = ?std::error::Error::source(&error), "the download queue cannot be read; trying again");
        }
        tokio::select! {
            () = registry.inner.stopping.cancelled() => return,
            () = woken => {}
            () = tokio::time::sleep(LOOK_AROUND) => {
                rounds = rounds.wrapping_add(1);
                look_after(registry, rounds).await;
            }
        }
    }
}

/// Runs the queue until nothing waits and nothing runs.
pub(crate) async fn run_until_empty(registry: &Registry) -> Result<()> {
    loop {
        let mut changes = registry.jobs_revision();
        let last = start_jobs(registry).await?;
        let jobs = &registry.inner.jobs;
        let stands_still = jobs.is_paused.load(Ordering::Relaxed) || registry.inner.stopping.is_cancelled();
        let is_empty = matches!(last, Claim::NoJob) || stands_still;
        if is_empty && jobs.running() == 0 {
            return Ok(());
        }
        // Until a place is free or a job came; progress wakes it too, which is harmless.
        while jobs.running() > 0 && !may_start(registry) {
            changes = jobs.changed(changes).await;
        }
        if is_empty && jobs.running() > 0 {
            jobs.changed(changes).await;
        }
    }
}

/// Starts jobs while there are some and there is room; answers why it stopped.
async fn start_jobs(registry: &Registry) -> Result<Claim> {
    loop {
        match start_one(registry).await? {
            Claim::Started => {}
            other => return Ok(other),
        }
    }
}

fn may_start(registry: &Registry) -> bool {
    let jobs = &registry.inner.jobs;
    has_room(registry) && !jobs.is_paused.load(Ordering::Relaxed) && !registry.inner.stopping.is_cancelled()
}

fn has_room(registry: &Registry) -> bool {
    let jobs = &registry.inner.jobs;
    jobs.at_work() < jobs.max_concurrent.load(Ordering::Relaxed) as usize
}

/// A job that had waited takes a place again as soon as there is one.
async fn take_place(registry: &Registry, live: &Live) {
    let jobs = &registry.inner.jobs;
    let mut seen = registry.jobs_revision();
    loop {
        {
            // Nobody claims a job at the same time.
            let _turn = jobs.turn.lock().await;
            if has_room(registry) {
                live.go_on();
                return;
            }
        }
        tokio::select! {
            () = live.cancel.cancelled() => return live.go_on(),
            revision = jobs.changed(seen) => seen = revision,
        }
    }
}

async fn start_one(registry: &Registry) -> Result<Claim> {
    let inner = &registry.inner;
    let _turn = inner.jobs.turn.lock().await;
    if !may_start(registry) {
        return Ok(Claim::NoRoom);
    }
    let now = inner.clock.now();
    let Some(stored) = inner.store.claim_download(now, &lease(registry)).await? else {
        return Ok(Claim::NoJob);
    };
    let live = inner.jobs.start(stored.download.clone());
    let registry = registry.clone();
    inner.tasks.spawn(async move { job::run(registry, stored, live).await });
    Ok(Claim::Started)
}

fn lease(registry: &Registry) -> Lease {
    let inner = &registry.inner;
    Lease { holder: inner.jobs.holder.clone(), until: inner.clock.now() + LEASE }
}

/// What is due now and then: old jobs are forgotten, those of dead nodes taken back, and the gauges set.
async fn look_after(registry: &Registry, rounds: u32) {
    let inner = &registry.inner;
    inner.jobs.sweep(inner.clock.now());
    set_gauges(registry);
    if rounds.is_multiple_of(LOOKS_A_DAY) {
        registry.remove_orphan_parts().await;
    }
    if !rounds.is_multiple_of(3) {
        return;
    }
    // An empty holder is nobody's: only leases that ran out come back.
    match inner.store.requeue_abandoned_downloads("", inner.clock.now()).await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "downloads of a node that died are queued again"),
        Err(error) => tracing::error!(%error, "abandoned downloads cannot be looked for"),
    }
}

/// Jobs by state, for `/metrics`.
pub(crate) fn set_gauges(registry: &Registry) {
    let jobs = registry.inner.jobs.all();
    for state in DownloadState::ALL {
        let count = jobs.iter().filter(|job| job.download.state == state).count();
        metrics::gauge!("lorakeep_downloads", "state" => state.as_str()).set(count as f64);
    }
}
