//! Sidecars of present entries: written when somebody asks, and kept in step with their entries where that is configured.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Writing, write_beside};
use crate::domain::{CatalogName, Entry, EntryId, FileFact, ModelPath, SidecarFlavour};
use crate::error::{Error, Result, Thing};
use crate::service::Registry;

/// Changes that come close together are written once.
const COLLECT: Duration = Duration::from_millis(500);
/// Refusals that a report names; all are counted.
const NAMED: usize = 1000;

/// A run that writes sidecars, running or ended. One runs at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarReport {
    /// Whether it still runs.
    pub is_running: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What is written.
    pub flavours: Vec<SidecarFlavour>,
    /// Model files whose sidecars are to be written.
    pub total_files: u64,
    /// Those that are done.
    pub done_files: u64,
    /// Sidecars that were written or added to; what is right already is left alone.
    pub written: u64,
    /// Sidecars that were left as they are.
    pub not_written: u64,
    /// Which ones and why, the first thousand.
    pub refusals: Vec<SidecarRefusal>,
    /// Why the run ended early, when it did.
    pub error: Option<String>,
}

/// A sidecar that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarRefusal {
    /// Path below the models root.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The share of what all services share.
#[derive(Debug, Default)]
pub(crate) struct Sidecars {
    /// Entries whose sidecars are behind.
    due: Mutex<BTreeSet<EntryId>>,
    wake: Notify,
    /// Held by whoever writes a sidecar, from knowing what was written before to noting what is written now.
    turn: tokio::sync::Mutex<()>,
    run: Mutex<Option<Run>>,
}

#[derive(Debug)]
struct Run {
    report: SidecarReport,
    cancel: CancellationToken,
    ended: CancellationToken,
}

impl Registry {
    /// Writes the sidecars of these entries, or of all present ones when `files` is empty, in the background. A file is
    /// named as `name`, or as `folder/name`; without flavours the configured ones are written.
    ///
    /// `Conflict` (`sidecars_running`) while a run goes on, `NotFound` for a file that no catalog knows.
    #[expect(clippy::unused_async, reason = "like everything that changes something")]
    pub async fn start_sidecars(
        &self,
        files: &[String],
        flavours: Vec<SidecarFlavour>,
    ) -> Result<SidecarReport> {
        let flavours = if flavours.is_empty() { self.inner.config.sidecars.clone() } else { flavours };
        let targets = self.sidecar_targets(files)?;
        let report = SidecarReport {
            is_running: true,
            started_at: self.now(),
            finished_at: None,
            flavours: flavours.clone(),
            total_files: targets.len() as u64,
            done_files: 0,
            written: 0,
            not_written: 0,
            refusals: Vec::new(),
            error: None,
        };
        let run =
            Run { report: report.clone(), cancel: CancellationToken::new(), ended: CancellationToken::new() };
        let (cancel, ended) = (run.cancel.clone(), run.ended.clone().drop_guard());
        {
            let mut current = self.sidecar_run();
            if current.as_ref().is_some_and(|run| run.report.is_running) {
                let message = "sidecars are being written; wait for the run or cancel it";
                return Err(Error::conflict("sidecars_running", message));
            }
            *current = Some(run);
        }
        self.inner.tasks.spawn(self.clone().write_sidecars(targets, flavours, cancel, ended));
        Ok(report)
    }

    /// The present or last run; `NotFound` before the first.
    pub fn sidecar_report(&self) -> Result<SidecarReport> {
        let run = self.sidecar_run();
        let run = run.as_ref().ok_or_else(|| Error::not_found(Thing::Task, "sidecars"))?;
        Ok(run.report.clone())
    }

    /// Stops the present run; what was written stays.
    pub async fn cancel_sidecars(&self) -> Result<SidecarReport> {
        let ended = self.sidecar_run().as_ref().map(|run| {
            run.cancel.cancel();
            run.ended.clone()
        });
        if let Some(ended) = ended {
            ended.cancelled().await;
        }
        self.sidecar_report()
    }

    /// These entries have changed: their sidecars follow, where that is configured.
    pub(in crate::service) fn sidecars_are_behind(&self, ids: impl IntoIterator<Item = EntryId>) {
        if !self.inner.config.keeps_sidecars {
            return;
        }
        let sidecars = &self.inner.studio.sidecars;
        sidecars.due.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        sidecars.wake.notify_one();
    }

    /// The same for what is at these paths.
    pub(in crate::service) fn sidecars_of_files_are_behind<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a ModelPath>,
    ) {
        if self.inner.config.keeps_sidecars {
            let library = self.library();
            let entries = paths.into_iter().flat_map(|path| library.entries_at(path));
            let ids: Vec<EntryId> = entries.map(|entry| entry.id).collect();
            drop(library);
            self.sidecars_are_behind(ids);
        }
    }

    /// Starts what keeps sidecars in step; part of `start`.
    pub(crate) fn start_keeping_sidecars(&self) {
        if self.inner.config.keeps_sidecars {
            self.inner.tasks.spawn(self.clone().keep_sidecars());
        }
    }

    async fn keep_sidecars(self) {
        loop {
            tokio::select! {
                () = self.inner.stopping.cancelled() => return,
                () = self.inner.studio.sidecars.wake.notified() => self.rest(COLLECT).await,
            }
            let due = std::mem::take(
                &mut *self.inner.studio.sidecars.due.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for id in due {
                if let Err(error) = self.follow_with_sidecars(id).await {
                    tracing::error!(error = %crate::error::chain(&error), "sidecars were not kept in step");
                }
            }
        }
    }

    async fn follow_with_sidecars(&self, id: EntryId) -> Result<()> {
        let present = {
            let library = self.library();
            let entry = library.entry(id).cloned();
            entry.and_then(|entry| Some((Arc::clone(&entry), *library.file(&entry.path)?)))
        };
        let Some((entry, fact)) = present else { return Ok(()) };
        for (path, writing) in self.write_sidecars_of(&entry, fact, &self.inner.config.sidecars).await? {
            if let Writing::Refused(reason) = writing {
                tracing::warn!(%path, reason, "a sidecar was left as it is");
            }
        }
        Ok(())
    }

    /// Writes the sidecars of one present entry; what came of each that has something to say.
    pub(in crate::service) async fn write_sidecars_of(
        &self,
        entry: &Arc<Entry>,
        fact: FileFact,
        flavours: &[SidecarFlavour],
    ) -> Result<Vec<(ModelPath, Writing)>> {
        let _turn = self.inner.studio.sidecars.turn.lock().await;
        let mut writings = Vec::new();
        for flavour in flavours.iter().copied() {
            let Some(path) = flavour.beside(&entry.path) else { continue };
            let last = self.inner.store.find_written_sidecar(&path).await?;
            let (tree, entry) = (self.inner.tree.clone(), Arc::clone(entry));
            let write = move || write_beside(&tree, flavour, (&entry.path, &fact), &entry.document, last);
            let writing = self.blocking("writing a sidecar", write).await?;
            if let Writing::Written(sha256) = writing {
                self.inner.store.save_written_sidecar(&path, sha256).await?;
            }
            writings.push((path, writing));
        }
        Ok(writings)
    }

    /// Entries whose file is on disk, each file once, in the order of the catalogs.
    pub(in crate::service) fn present_entries(&self) -> Vec<(Arc<Entry>, FileFact)> {
        let library = self.library();
        let entries = CatalogName::ALL.into_iter().flat_map(|name| library.catalog(name).entries());
        let mut seen = HashSet::new();
        entries
            .filter_map(|entry| Some((Arc::clone(entry), *library.file(&entry.path)?)))
            .filter(|(entry, _)| seen.insert(entry.path.clone()))
            .collect()
    }

    fn sidecar_targets(&self, files: &[String]) -> Result<Vec<(Arc<Entry>, FileFact)>> {
        if files.is_empty() {
            return Ok(self.present_entries());
        }
        let library = self.library();
        let mut targets = Vec::new();
        for file in files {
            let (dest, name) =
                file.rsplit_once('/').map_or((None, file.as_str()), |(dest, name)| (Some(dest), name));
            let entry = library.find(name, dest).ok_or_else(|| Error::not_found(Thing::Entry, file))?;
            let fact = library.file(&entry.path);
            targets.extend(fact.map(|fact| (Arc::clone(entry), *fact)));
        }
        Ok(targets)
    }

    async fn write_sidecars(
        self,
        targets: Vec<(Arc<Entry>, FileFact)>,
        flavours: Vec<SidecarFlavour>,
        cancel: CancellationToken,
        _ended: DropGuard,
    ) {
        let mut error = None;
        for (entry, fact) in targets {
            if cancel.is_cancelled() || self.inner.stopping.is_cancelled() {
                break;
            }
            match self.write_sidecars_of(&entry, fact, &flavours).await {
                Ok(writings) => self.change_sidecar_report(|report| report.note(writings)),
                Err(failed) => {
                    tracing::error!(error = %crate::error::chain(&failed), "sidecars were not written");
                    error = Some(failed.to_string());
                    break;
                }
            }
        }
        let now = self.now();
        self.change_sidecar_report(|report| {
            (report.is_running, report.finished_at, report.error) = (false, Some(now), error);
        });
    }

    fn sidecar_run(&self) -> MutexGuard<'_, Option<Run>> {
        self.inner.studio.sidecars.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_sidecar_report(&self, change: impl FnOnce(&mut SidecarReport)) {
        if let Some(run) = self.sidecar_run().as_mut() {
            change(&mut run.report);
        }
    }
}

impl SidecarReport {
    fn note(&mut self, writings: Vec<(ModelPath, Writing)>) {
        self.done_files += 1;
        for (path, writing) in writings {
            match writing {
                Writing::Written(_) | Writing::Added => self.written += 1,
                Writing::Unchanged => {}
                Writing::Refused(reason) => {
                    self.not_written += 1;
                    if self.refusals.len() < NAMED {
                        self.refusals.push(SidecarRefusal { path: path.relative(), reason });
                    }
                }
            }
        }
    }
}
