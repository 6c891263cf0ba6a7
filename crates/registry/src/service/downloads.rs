//! The life of a download: asked for, queued, run, verified, published; paused, moved, cancelled, tried again.

use std::collections::HashSet;
use std::sync::Arc;

use super::live::Intent;
use super::{Page, PageRequest, Registry, jobs};
use crate::domain::{Download, DownloadId, DownloadState, Entry, ModelPath, Progress, Trigger};
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

/// What is to be done for one entry that was asked for.
enum Answer {
    Present,
    Already(Arc<JobState>),
    /// An ended job goes back to the queue, so that its parts are used.
    PutBack(DownloadId),
    New(Box<Download>),
}

impl Registry {
    /// Asks for one file of the catalog.
    pub async fn enqueue(&self, file: &str, dest: Option<&str>, how: Enqueue) -> Result<Enqueued> {
        let entry =
            self.library().find(file, dest).cloned().ok_or_else(|| Error::not_found(Thing::Entry, file))?;
        let _turn = self.inner.jobs.turn.lock().await;
        let queued = match self.judge(&entry, how).await? {
            Answer::Present => return Ok(Enqueued::Present),
            Answer::Already(job) => return Ok(Enqueued::Already(JobState::clone(&job))),
            Answer::PutBack(id) => self.put_back(id, how).await?,
            Answer::New(download) => match self.insert(vec![*download]).await?.pop() {
                Some(job) => job,
                // Another node was faster.
                None => return self.already_at(&entry.path).await,
            },
        };
        self.inner.jobs.wake.notify_one();
        Ok(Enqueued::Queued(JobState::clone(&queued)))
    }

    /// Asks for many; a name that cannot be queued is skipped with a reason.
    pub async fn enqueue_batch(&self, files: &[String], force: bool) -> Result<BatchReport> {
        let how = Enqueue { force, trigger: Trigger::Batch, priority: 0 };
        let mut report = BatchReport::default();
        let mut new = Vec::new();
        let mut asked = HashSet::new();
        let _turn = self.inner.jobs.turn.lock().await;
        for file in files {
            let entry = self.library().find(file, None).cloned();
            let Some(entry) = entry else {
                report.skip(file, "not_found");
                continue;
            };
            if !asked.insert(entry.path.clone()) {
                report.skip(file, "queued");
                continue;
            }
            match self.judge(&entry, how).await {
                Ok(Answer::Present) => report.skip(file, "present"),
                Ok(Answer::Already(job)) if job.download.state.is_running() => {
                    report.skip(file, "downloading")
                }
                Ok(Answer::Already(_)) => report.skip(file, "queued"),
                Ok(Answer::PutBack(id)) => {
                    self.put_back(id, how).await?;
                    report.queued.push(file.clone());
                }
                Ok(Answer::New(download)) => {
                    new.push(*download);
                    report.queued.push(file.clone());
                }
                Err(Error::Conflict { code: "no_source", .. }) => report.skip(file, "no_source"),
                Err(error) => return Err(error),
            }
        }
        self.insert(new).await?;
        self.inner.jobs.wake.notify_one();
        Ok(report)
    }

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
        let limit = page.limit.unwrap_or(100).clamp(1, 1000);
        let offset = match &page.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| {
                Error::invalid(
                    "bad_cursor",
                    "cursor",
                    "the cursor is not one that a list gave out; start without it",
                )
            })?,
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

    /// Stops it for now; its parts are kept.
    pub async fn pause_download(&self, id: DownloadId) -> Result<JobState> {
        self.stop_download(id, Intent::Pause, DownloadState::Paused).await
    }

    /// Puts a paused job back into the queue.
    pub async fn resume_download(&self, id: DownloadId) -> Result<JobState> {
        let _turn = self.inner.jobs.turn.lock().await;
        let job = self
            .change(id, |download| match download.state {
                DownloadState::Paused => become_state(download, DownloadState::Queued),
                _ => Err(wrong_state(download, "resumed; only a paused one can")),
            })
            .await?;
        self.inner.jobs.wake.notify_one();
        Ok(JobState::clone(&job))
    }

    /// Stops it for good and removes its parts; returns when nothing writes any more.
    pub async fn cancel_download(&self, id: DownloadId) -> Result<JobState> {
        let job = self.stop_download(id, Intent::Cancel, DownloadState::Cancelled).await?;
        self.remove_parts_of(id).await?;
        Ok(job)
    }

    /// Puts a failed or cancelled job back into the queue; kept parts are used.
    pub async fn retry_download(&self, id: DownloadId) -> Result<JobState> {
        let _turn = self.inner.jobs.turn.lock().await;
        let stored = self.inner.store.load_download(id).await?.ok_or_else(|| missing(id))?;
        let (path, state) = (&stored.download.path, stored.download.state);
        if !state.is_ended() {
            return Err(wrong_state(&stored.download, "tried again; it has not ended"));
        }
        if self.inner.store.load_active_download(path).await?.is_some() {
            return Err(Error::conflict(
                "already_queued",
                format!("`{path}` is queued or running in another download"),
            ));
        }
        let Download { force, trigger, priority, .. } = stored.download;
        let job = self.put_back(id, Enqueue { force, trigger, priority }).await?;
        self.inner.jobs.wake.notify_one();
        Ok(JobState::clone(&job))
    }

    /// Pauses every queued and running job; answers how many.
    pub async fn pause_all_downloads(&self) -> Result<u64> {
        let turn = self.inner.jobs.turn.lock().await;
        let mut changed = self.change_all(DownloadState::Queued, DownloadState::Paused).await?;
        let running: Vec<_> =
            self.inner.jobs.all().into_iter().filter(|job| job.download.state.is_running()).collect();
        drop(turn);
        for job in &running {
            // All stop at once; each is waited for below.
            if let Some(live) = self.inner.jobs.live(job.download.id) {
                live.stop(Intent::Pause);
            }
        }
        for job in running {
            changed += u64::from(self.pause_download(job.download.id).await.is_ok());
        }
        Ok(changed)
    }

    /// Puts every paused job back; answers how many.
    pub async fn resume_all_downloads(&self) -> Result<u64> {
        let _turn = self.inner.jobs.turn.lock().await;
        let changed = self.change_all(DownloadState::Paused, DownloadState::Queued).await?;
        self.inner.jobs.wake.notify_one();
        Ok(changed)
    }

    /// Runs the queue until it is empty, in the caller's task; for tests and for the command line.
    pub async fn run_until_empty(&self) -> Result<()> {
        crate::worker::run_until_empty(self).await
    }

    /// What asking for this entry means now. The caller holds the turn.
    async fn judge(&self, entry: &Entry, how: Enqueue) -> Result<Answer> {
        let last = self.inner.jobs.at(&entry.path);
        if let Some(job) = last.as_ref().filter(|job| !job.download.state.is_ended()) {
            return Ok(Answer::Already(Arc::clone(job)));
        }
        if !how.force && self.is_on_disk(&entry.path).await {
            return Ok(Answer::Present);
        }
        if entry.document.origin().is_none() {
            let message = format!(
                "`{}` has no source to download it from; give its entry a `url`, a `civitai_version_id`, or `hf_repo` with \
                 `hf_file`",
                entry.file()
            );
            return Err(Error::conflict("no_source", message));
        }
        let failed = last
            .filter(|job| job.download.state == DownloadState::Error && job.download.entry_id == entry.id);
        Ok(match failed {
            Some(job) => Answer::PutBack(job.download.id),
            None => Answer::New(Box::new(self.new_download(entry, how))),
        })
    }

    fn new_download(&self, entry: &Entry, how: Enqueue) -> Download {
        let now = self.inner.clock.now();
        Download {
            id: DownloadId::new(now),
            entry_id: entry.id,
            path: entry.path.clone(),
            state: DownloadState::Queued,
            priority: how.priority,
            position: 0,
            force: how.force,
            trigger: how.trigger,
            bytes_done: 0,
            bytes_total: entry.document.expected_bytes(),
            attempts: 0,
            error_code: None,
            error: None,
            created_at: now,
            started_at: None,
            finished_at: None,
        }
    }

    async fn insert(&self, new: Vec<Download>) -> Result<Vec<Arc<JobState>>> {
        let added = self.inner.store.insert_downloads(new).await?;
        Ok(added.into_iter().map(|download| self.inner.jobs.put(download)).collect())
    }

    async fn already_at(&self, path: &ModelPath) -> Result<Enqueued> {
        let stored = self.inner.store.load_active_download(path).await?;
        let stored = stored
            .ok_or_else(|| Error::conflict("changed", format!("`{path}` changed meanwhile; ask again")))?;
        Ok(Enqueued::Already(JobState::clone(&self.inner.jobs.put(stored.download))))
    }

    /// An ended job goes to the end of the queue. The caller holds the turn.
    async fn put_back(&self, id: DownloadId, how: Enqueue) -> Result<Arc<JobState>> {
        self.remove_quarantined_of(id).await?;
        let last = self
            .inner
            .store
            .waiting_positions(how.priority)
            .await?
            .last()
            .map_or(0, |(_, position)| *position);
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
    async fn stop_download(&self, id: DownloadId, intent: Intent, state: DownloadState) -> Result<JobState> {
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

    fn with_progress(&self, stored: Download) -> JobState {
        match self.inner.jobs.get(stored.id) {
            Some(job) if job.download.state.is_running() && stored.state.is_running() => {
                Arc::unwrap_or_clone(job)
            }
            _ => JobState::at_rest(stored),
        }
    }

    /// Whether there is a file at that path; a link to a file counts.
    pub(crate) async fn is_on_disk(&self, path: &ModelPath) -> bool {
        let path = path.below(&self.inner.config.models_dir);
        tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.is_file())
    }
}

impl JobState {
    /// A job of which nothing moves.
    pub(crate) fn at_rest(download: Download) -> Self {
        let (bytes_done, bytes_total) = (download.bytes_done, download.bytes_total);
        Self { download, progress: Progress { bytes_done, bytes_total, ..Progress::default() } }
    }
}

impl BatchReport {
    fn skip(&mut self, file: &str, reason: &'static str) {
        self.skipped.push(Skipped { file: file.to_owned(), reason });
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

fn missing(id: DownloadId) -> Error {
    Error::not_found(Thing::Download, id.to_string())
}
