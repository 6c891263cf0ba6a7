//! Asking for files: one job a path, nothing for what is present.

use std::collections::HashSet;
use std::sync::Arc;

use super::{BatchReport, Enqueue, Enqueued, JobState, Registry, Skipped};
use crate::domain::{Download, DownloadId, DownloadState, Entry, ModelPath, Trigger};
use crate::error::{Error, Result, Thing};
use crate::files::folder_error;

/// What is to be done for one entry that was asked for.
enum Answer {
    Present,
    Already(Arc<JobState>),
    /// A paused job is queued again: who asks for the file wants it.
    Resume(DownloadId),
    /// An ended job goes back to the queue, so that its parts are used.
    PutBack(DownloadId),
    New(Box<Download>),
}

impl Registry {
    /// Asks for one file of the catalog.
    pub async fn enqueue(&self, file: &str, dest: Option<&str>, how: Enqueue) -> Result<Enqueued> {
        let entry = self.library().find(file, dest).cloned();
        let entry = entry.ok_or_else(|| Error::not_found(Thing::Entry, file))?;
        let registry = self.clone();
        self.uninterrupted(async move { registry.enqueue_entry(&entry, how).await }).await
    }

    async fn enqueue_entry(&self, entry: &Entry, how: Enqueue) -> Result<Enqueued> {
        let _turn = self.inner.jobs.turn.lock().await;
        let queued = match self.judge(entry, how).await? {
            Answer::Present => return Ok(Enqueued::Present),
            Answer::Already(job) => return Ok(Enqueued::Already(JobState::clone(&job))),
            Answer::Resume(id) => self.resume_paused(id).await?,
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
        let (registry, files) = (self.clone(), files.to_vec());
        self.uninterrupted(async move { registry.enqueue_files(&files, force).await }).await
    }

    async fn enqueue_files(&self, files: &[String], force: bool) -> Result<BatchReport> {
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
                Ok(Answer::Already(job)) => {
                    let is_running = job.download.state.is_running();
                    report.skip(file, if is_running { "downloading" } else { "queued" });
                }
                Ok(Answer::Resume(id)) => {
                    self.resume_paused(id).await?;
                    report.queued.push(file.clone());
                }
                Ok(Answer::PutBack(id)) => {
                    self.put_back(id, how).await?;
                    report.queued.push(file.clone());
                }
                Ok(Answer::New(download)) => {
                    new.push(*download);
                    report.queued.push(file.clone());
                }
                Err(Error::Conflict { code: code @ ("no_source" | "linked_folder"), .. }) => {
                    report.skip(file, code);
                }
                Err(error) => return Err(error),
            }
        }
        self.insert(new).await?;
        self.inner.jobs.wake.notify_one();
        Ok(report)
    }

    /// What asking for this entry means now. The caller holds the turn.
    async fn judge(&self, entry: &Entry, how: Enqueue) -> Result<Answer> {
        let last = self.inner.jobs.at(&entry.path);
        if let Some(job) = last.as_ref().filter(|job| !job.download.state.is_ended()) {
            return Ok(match job.download.state {
                DownloadState::Paused => Answer::Resume(job.download.id),
                _ => Answer::Already(Arc::clone(job)),
            });
        }
        if !how.force && self.is_on_disk(&entry.path).await {
            return Ok(Answer::Present);
        }
        self.require_changeable(&entry.path).await?;
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
        added.iter().for_each(|download| self.tell_download(download));
        Ok(added.into_iter().map(|download| self.inner.jobs.put(download)).collect())
    }

    async fn already_at(&self, path: &ModelPath) -> Result<Enqueued> {
        let stored = self.inner.store.load_active_download(path).await?;
        let stored = stored
            .ok_or_else(|| Error::conflict("changed", format!("`{path}` changed meanwhile; ask again")))?;
        Ok(Enqueued::Already(JobState::clone(&self.inner.jobs.put(stored.download))))
    }

    /// `Conflict` (`linked_folder`) when a link is in the way that files are not changed through.
    pub(crate) async fn require_changeable(&self, path: &ModelPath) -> Result<()> {
        let (tree, folder) = (self.inner.tree.clone(), path.folder.clone());
        let checked = self.blocking("looking at a folder", move || tree.check(&folder)).await?;
        checked.map_err(|error| folder_error(&path.folder, &format!("`{path}` cannot be written"), error))
    }

    /// Whether there is a file at that path; a link to a file counts.
    pub(crate) async fn is_on_disk(&self, path: &ModelPath) -> bool {
        let path = path.below(&self.inner.config.models_dir);
        tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.is_file())
    }
}

impl BatchReport {
    fn skip(&mut self, file: &str, reason: &'static str) {
        self.skipped.push(Skipped { file: file.to_owned(), reason });
    }
}
