//! The queue's share of what all services share: every job that is not over, in memory beside its row.
//!
//! The row is the truth. Changes are made to it first, by whoever holds the turn, and then here; what moves while a job
//! runs is here alone and noted in the row every few seconds.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use lorakeep_transfer::{Engine, EngineOptions, HostPolicy};
use tokio::sync::{Notify, watch};

use super::live::{Intent, Live};
use super::{JobState, Registry};
use crate::config::Config;
use crate::domain::{CatalogName, Download, DownloadId, DownloadState, EntryId, ModelPath};
use crate::error::{Error, Result};
use crate::upstream::http::ApiLimits;
use crate::upstream::{Endpoints, USER_AGENT, UpstreamOptions, Upstreams};

/// How long an ended job is shown as live (decision 6).
pub(crate) const SHOWN_AFTER_END: TimeDelta = TimeDelta::minutes(15);
/// Ended jobs that the table keeps.
const HISTORY: u64 = 10_000;

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
#[derive(Debug)]
pub(crate) struct Jobs {
    table: Mutex<Table>,
    /// Held by whoever changes a job that does not run, and while one is claimed.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Counts up with every change that a list would show.
    revision: watch::Sender<u64>,
    /// Wakes the dispatcher: there may be a job to start or a place for one.
    pub(crate) wake: Notify,
    /// Jobs at once.
    pub(crate) max_concurrent: AtomicU32,
    /// Nothing is claimed while it is set.
    pub(crate) is_paused: AtomicBool,
    /// Names this installation as the holder of its jobs.
    pub(crate) holder: String,
    /// Bytes that stay free on the disk.
    pub(crate) reserve_bytes: u64,
    /// Moves bytes.
    pub(crate) engine: Engine,
    /// Knows where bytes are.
    pub(crate) upstreams: Upstreams,
}

#[derive(Debug, Default)]
struct Table {
    jobs: HashMap<DownloadId, Job>,
    /// The newest job of each entry.
    by_entry: HashMap<EntryId, DownloadId>,
    /// The newest job of each path.
    by_path: HashMap<ModelPath, DownloadId>,
}

#[derive(Debug)]
struct Job {
    at_rest: Arc<JobState>,
    live: Option<Arc<Live>>,
}

impl Job {
    fn state(&self) -> Arc<JobState> {
        match &self.live {
            Some(live) => Arc::new(live.snapshot(&self.at_rest.download)),
            None => Arc::clone(&self.at_rest),
        }
    }
}

impl Jobs {
    /// Sets up the engine and the clients of the upstreams.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let hosts = trusted_hosts(config)?;
        let options = EngineOptions {
            user_agent: USER_AGENT.to_owned(),
            bandwidth: config.downloads.bandwidth_bytes_per_second,
            hosts: hosts.clone().allow_url(&config.civitai.url).allow_url(&config.huggingface.url),
            ..EngineOptions::default()
        };
        let reserve_bytes = options.free_space_reserve;
        let engine = Engine::new(options);
        let upstreams = Upstreams::new(UpstreamOptions {
            endpoints: Endpoints {
                civitai: config.civitai.url.clone(),
                huggingface: config.huggingface.url.clone(),
            },
            civitai_key: config.civitai.token.clone(),
            huggingface_token: config.huggingface.token.clone(),
            comfyui: config.comfyui.url.clone(),
            hosts,
            limits: ApiLimits::default(),
        });
        let failed = |error| Error::internal("the HTTP client cannot be set up", error);
        Ok(Self {
            table: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            revision: watch::Sender::new(1),
            wake: Notify::new(),
            max_concurrent: AtomicU32::new(config.downloads.max_concurrent),
            is_paused: AtomicBool::new(false),
            holder: holder_name(config),
            reserve_bytes,
            engine: engine.map_err(failed)?,
            upstreams: upstreams.map_err(failed)?,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a row that was written; it does not run.
    pub(crate) fn put(&self, download: Download) -> Arc<JobState> {
        let job = self.table().put(download, None);
        self.bump();
        job
    }

    /// Takes over a row that was claimed.
    pub(crate) fn start(&self, download: Download) -> Arc<Live> {
        let live = Arc::new(Live::of(&download));
        self.table().put(download, Some(Arc::clone(&live)));
        self.bump();
        live
    }

    /// The running part of a job, if it runs.
    pub(crate) fn live(&self, id: DownloadId) -> Option<Arc<Live>> {
        self.table().jobs.get(&id)?.live.clone()
    }

    /// The job, if it is known here.
    pub(crate) fn get(&self, id: DownloadId) -> Option<Arc<JobState>> {
        self.table().jobs.get(&id).map(Job::state)
    }

    /// The newest job of a path.
    pub(crate) fn at(&self, path: &ModelPath) -> Option<Arc<JobState>> {
        let table = self.table();
        table.by_path.get(path).and_then(|id| table.jobs.get(id)).map(Job::state)
    }

    /// All jobs that are known here, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<JobState>> {
        self.table().jobs.values().map(Job::state).collect()
    }

    /// What the job of each entry that has one does, and whether it replaces a present file.
    pub(crate) fn states_by_entry(&self) -> Vec<(EntryId, DownloadState, bool)> {
        let table = self.table();
        let of = |(entry, id): (&EntryId, &DownloadId)| {
            let job = table.jobs.get(id)?;
            let state = job.live.as_ref().map_or(job.at_rest.download.state, |live| live.phase());
            Some((*entry, state, job.at_rest.download.force))
        };
        table.by_entry.iter().filter_map(of).collect()
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.table().jobs.values().filter(|job| job.live.is_some()).count()
    }

    /// How many of them take a place; one that waits for long does not.
    pub(crate) fn at_work(&self) -> usize {
        let table = self.table();
        table.jobs.values().filter(|job| job.live.as_ref().is_some_and(|live| live.has_place())).count()
    }

    /// Something that a list shows has changed.
    pub(crate) fn bump(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Forgets what nobody is shown any more: ended well or cancelled some time ago, or followed by a newer job.
    pub(crate) fn sweep(&self, now: DateTime<Utc>) {
        self.table().sweep(now);
    }

    /// Waits until the revision differs from `seen`, and answers it.
    pub(crate) async fn changed(&self, seen: u64) -> u64 {
        let mut revision = self.revision.subscribe();
        // The sender lives as long as `self`, so this cannot fail while we wait.
        revision.wait_for(|revision| *revision != seen).await.map_or(seen, |revision| *revision)
    }
}

impl Table {
    fn put(&mut self, download: Download, live: Option<Arc<Live>>) -> Arc<JobState> {
        let (id, entry_id, path) = (download.id, download.entry_id, download.path.clone());
        let job = Job { at_rest: Arc::new(JobState::at_rest(download)), live };
        let state = job.state();
        self.jobs.insert(id, job);
        if self.is_newest(id, self.by_entry.get(&entry_id)) {
            self.by_entry.insert(entry_id, id);
        }
        if self.is_newest(id, self.by_path.get(&path)) {
            self.by_path.insert(path, id);
        }
        state
    }

    /// Whether a job speaks for its entry or path from now on: a living one always does.
    fn is_newest(&self, id: DownloadId, known: Option<&DownloadId>) -> bool {
        let is_ended = |id| self.jobs.get(id).is_none_or(|job| job.at_rest.download.state.is_ended());
        known.is_none_or(|known| !is_ended(&id) || (is_ended(known) && *known <= id))
    }

    fn sweep(&mut self, now: DateTime<Utc>) {
        let Self { jobs, by_entry, by_path } = self;
        jobs.retain(|id, job| {
            let download = &job.at_rest.download;
            let is_old = download.finished_at.is_some_and(|at| now - at > SHOWN_AFTER_END);
            let is_last = by_path.get(&download.path) == Some(id);
            let tells_of_failure =
                matches!(download.state, DownloadState::Error | DownloadState::Quarantined);
            !(download.state.is_ended() && is_old) || (is_last && tells_of_failure)
        });
        by_entry.retain(|_, id| jobs.contains_key(id));
        by_path.retain(|_, id| jobs.contains_key(id));
    }
}

fn trusted_hosts(config: &Config) -> Result<HostPolicy> {
    config.downloads.allow_hosts.iter().try_fold(HostPolicy::public_only(), |policy, host| {
        let refused = |error: lorakeep_transfer::InvalidHost| {
            Error::invalid("bad_configuration", "downloads.allow_hosts", error.to_string())
        };
        policy.allow_host(host).map_err(refused)
    })
}

/// The same for every start on this data folder, and another for each other folder or machine.
fn holder_name(config: &Config) -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{machine}:{}", config.data_dir.display())
}

impl Registry {
    /// Puts jobs that a killed process held back into the queue and removes parts that belong to none; part of `open`.
    pub(crate) async fn open_downloads(&self) -> Result<()> {
        let (store, jobs, now) = (&self.inner.store, &self.inner.jobs, self.inner.clock.now());
        let requeued = store.requeue_abandoned_downloads(&jobs.holder, now).await?;
        if requeued > 0 {
            tracing::info!(count = requeued, "downloads of an interrupted run are queued again");
        }
        store.prune_downloads(HISTORY).await?;
        for stored in store.load_recent_downloads(now - SHOWN_AFTER_END).await? {
            jobs.put(stored.download);
        }
        self.remove_orphan_parts().await;
        Ok(())
    }

    /// Starts the workers; part of `start`.
    pub(crate) fn start_downloads(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move { crate::worker::run(&registry).await });
    }

    /// Parks running transfers, their journals written; part of `close`.
    pub(crate) async fn close_downloads(&self) {
        let jobs = &self.inner.jobs;
        // Whoever claims holds the turn; after it, nobody does, because `stopping` is set.
        drop(jobs.turn.lock().await);
        let running: Vec<Arc<Live>> = jobs.table().jobs.values().filter_map(|job| job.live.clone()).collect();
        for live in &running {
            live.stop(Intent::Park);
        }
        for live in running {
            live.ended.cancelled().await;
        }
    }

    /// Takes over changed settings at once.
    pub(crate) fn apply_download_settings(&self, settings: &super::Settings) {
        let jobs = &self.inner.jobs;
        jobs.max_concurrent.store(settings.max_concurrent_downloads, Ordering::Relaxed);
        jobs.is_paused.store(settings.downloads_paused, Ordering::Relaxed);
        jobs.engine.set_bandwidth(settings.bandwidth_bytes_per_second);
        jobs.wake.notify_one();
    }

    /// Counts up whenever anything that a listing shows of a job changes.
    pub(crate) fn jobs_revision(&self) -> u64 {
        *self.inner.jobs.revision.borrow()
    }

    /// The live or last job of an entry.
    pub(crate) fn job_of(&self, entry: EntryId) -> Option<Arc<JobState>> {
        let table = self.inner.jobs.table();
        table.by_entry.get(&entry).and_then(|id| table.jobs.get(id)).map(Job::state)
    }

    /// Sums over the jobs that a catalog's list counts: all of them in `models`, those of its entries in `loras`.
    pub(crate) fn job_sums(&self, catalog: CatalogName) -> JobSums {
        let others = match catalog {
            CatalogName::Models => HashSet::new(),
            CatalogName::Loras => self.jobs_outside(catalog),
        };
        let mut sums = JobSums::default();
        let table = self.inner.jobs.table();
        for job in table.jobs.values().filter(|job| !others.contains(&job.at_rest.download.id)) {
            match &job.live {
                Some(live) => {
                    sums.downloading += 1;
                    sums.bytes_per_second += live.snapshot(&job.at_rest.download).progress.bytes_per_second;
                }
                None if !job.at_rest.download.state.is_ended() => sums.queued += 1,
                None => {}
            }
        }
        sums
    }

    /// The jobs of entries that are not in that catalog. The two locks are taken one after the other.
    fn jobs_outside(&self, catalog: CatalogName) -> HashSet<DownloadId> {
        let table = self.inner.jobs.table();
        let all: Vec<(DownloadId, EntryId)> =
            table.jobs.values().map(|job| (job.at_rest.download.id, job.at_rest.download.entry_id)).collect();
        drop(table);
        let library = self.library();
        let is_inside = |id| library.entry(id).is_some_and(|entry| entry.catalog == catalog);
        all.into_iter().filter(|(_, entry)| !is_inside(*entry)).map(|(id, _)| id).collect()
    }

    /// Cancels what is queued or running for that path and returns when nothing writes there any more. A failure is
    /// dismissed, so that the entry's word is what the disk says.
    pub(crate) async fn cancel_jobs_at(&self, path: &ModelPath) -> Result<()> {
        let is_in_the_way = |state: DownloadState| !state.is_ended() || state == DownloadState::Error;
        let Some(job) = self.inner.jobs.at(path).filter(|job| is_in_the_way(job.download.state)) else {
            return Ok(());
        };
        match self.cancel_download(job.download.id).await {
            // It ended by itself in the meantime.
            Err(Error::Conflict { code: "wrong_state", .. }) => Ok(()),
            other => other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Trigger;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn job(file: &str, state: DownloadState) -> Download {
        Download {
            id: DownloadId::new(now()),
            entry_id: EntryId::new(now()),
            path: ModelPath::parse("loras", file).unwrap(),
            state,
            priority: 0,
            position: 0,
            force: false,
            trigger: Trigger::Manual,
            bytes_done: 0,
            bytes_total: 0,
            attempts: 0,
            error_code: None,
            error: None,
            created_at: now(),
            started_at: None,
            finished_at: state.is_ended().then(now),
        }
    }

    #[test]
    fn a_living_job_speaks_for_its_path_before_ended_ones() {
        let mut table = Table::default();
        let (failed, waiting) = (job("a.pt", DownloadState::Error), job("a.pt", DownloadState::Queued));
        table.put(failed.clone(), None);
        table.put(waiting.clone(), None);
        assert_eq!(table.by_path.get(&waiting.path), Some(&waiting.id));
        table.put(failed, None);
        assert_eq!(table.by_path.get(&waiting.path), Some(&waiting.id));
    }

    #[test]
    fn old_jobs_are_forgotten_but_not_the_failure_that_a_list_still_shows() {
        let mut table = Table::default();
        let states =
            [DownloadState::Done, DownloadState::Cancelled, DownloadState::Error, DownloadState::Queued];
        let jobs: Vec<Download> = states.iter().map(|state| job(state.as_str(), *state)).collect();
        for job in &jobs {
            table.put(job.clone(), None);
        }
        table.sweep(now() + SHOWN_AFTER_END);
        assert_eq!(table.jobs.len(), 4, "all are shown for a while");
        table.sweep(now() + SHOWN_AFTER_END + TimeDelta::seconds(1));
        let kept: Vec<_> =
            jobs.iter().filter(|job| table.jobs.contains_key(&job.id)).map(|job| job.state).collect();
        assert_eq!(kept, [DownloadState::Error, DownloadState::Queued]);
        assert_eq!(table.by_path.len(), 2);
    }
}
