//! Taking over the folder of another program: a studio with its catalogs, its gallery and its clone of a repository, and
//! the models with what other programs wrote beside them.
//!
//! Nothing of the folder is changed. A run is a row: what a killed process left running is begun again at the next start,
//! and since every step passes over what is here already, it goes on where it was.

mod catalogs;
mod folder;
mod gallery;
mod report;
mod repository;
mod run;
mod sidecars;
mod status;
mod unlisted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::activity::ActivityLevel;
use super::{Registry, Severity};
use crate::domain::AdoptionId;
use crate::error::{Error, Result};
use crate::store::StoredAdoption;
use folder::StudioFolder;
pub use folder::models_tree_of;
pub use report::*;
use run::Run;
pub use status::{AdoptionRequest, AdoptionState, AdoptionStatus};
use status::{request_of, status_of};

/// The share of what all services share.
#[derive(Debug, Default)]
pub(crate) struct Adoptions(Mutex<Option<Current>>);

#[derive(Debug)]
struct Current {
    status: AdoptionStatus,
    progress: Arc<Progress>,
    /// What a user asks to stop with; the registry's own end leaves the row running.
    cancel: CancellationToken,
    ended: CancellationToken,
}

/// How far a run is.
#[derive(Debug, Default)]
struct Progress(Mutex<(&'static str, u64, u64)>);

impl Progress {
    fn now(&self) -> MutexGuard<'_, (&'static str, u64, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, phase: &'static str, steps: u64) {
        *self.now() = (phase, 0, steps);
    }

    fn step(&self) {
        let mut now = self.now();
        now.1 = (now.1 + 1).min(now.2);
    }
}

impl Adoptions {
    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Begins to take a folder over, in the background.
    ///
    /// `Invalid` when the path is no folder that can be adopted, `Conflict` (`adoption_running`) while one runs.
    pub async fn start_adoption(&self, request: AdoptionRequest) -> Result<AdoptionStatus> {
        let (path, models_dir) = (request.path.clone(), self.inner.config.models_dir.clone());
        let folder =
            self.blocking("looking at a folder", move || StudioFolder::find(&path, &models_dir)).await??;
        let id = AdoptionId::new(self.now());
        self.begin_adoption(id, request, folder, true).await
    }

    /// The present or last adoption.
    pub fn adoption(&self) -> AdoptionStatus {
        let current = self.inner.studio.adoptions.current();
        let Some(current) = current.as_ref() else { return AdoptionStatus::idle() };
        let mut status = current.status.clone();
        (status.phase, status.done, status.total) = *current.progress.now();
        status
    }

    /// Stops the present adoption and waits for its end; what was taken stays.
    pub async fn cancel_adoption(&self) -> AdoptionStatus {
        let ended = self.inner.studio.adoptions.current().as_ref().map(|current| {
            current.cancel.cancel();
            current.ended.clone()
        });
        if let Some(ended) = ended {
            ended.cancelled().await;
        }
        self.adoption()
    }

    /// Knows the last adoption; part of `open`.
    pub(crate) async fn open_adoptions(&self) -> Result<()> {
        let Some(last) = self.inner.store.last_adoption().await? else { return Ok(()) };
        let ended = CancellationToken::new();
        ended.cancel();
        *self.inner.studio.adoptions.current() = Some(Current {
            status: status_of(&last),
            progress: Arc::default(),
            cancel: CancellationToken::new(),
            ended,
        });
        Ok(())
    }

    /// Goes on with what a killed process left, or takes over the gallery of a studio whose folder is the data folder;
    /// part of `start`.
    pub(crate) fn resume_adoption(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            if let Err(error) = registry.adopt_by_itself().await {
                tracing::error!(error = %crate::error::chain(&error), "a folder was not adopted by itself");
            }
        });
    }

    async fn adopt_by_itself(&self) -> Result<()> {
        let left = self.inner.store.last_adoption().await?.filter(|last| last.state == "running");
        let (id, request, is_new) = if let Some(left) = left {
            (AdoptionId(left.id), request_of(&left), false)
        } else {
            let path = self.inner.config.data_dir.clone();
            let is_studio = path.join("assets/images").is_dir();
            if !is_studio || self.inner.store.was_adopted(&path.display().to_string()).await? {
                return Ok(());
            }
            (AdoptionId::new(self.now()), AdoptionRequest { path, ..AdoptionRequest::default() }, true)
        };
        let (path, models_dir) = (request.path.clone(), self.inner.config.models_dir.clone());
        let found =
            self.blocking("looking at a folder", move || StudioFolder::find(&path, &models_dir)).await?;
        match found {
            Ok(folder) => {
                tracing::info!(path = %request.path.display(), "adopting a folder");
                self.begin_adoption(id, request, folder, is_new).await.map(drop)
            }
            Err(error) => {
                let status = AdoptionStatus {
                    state: AdoptionState::Failed,
                    request: Some(request),
                    error: Some(error.to_string()),
                    ..AdoptionStatus::idle()
                };
                self.finish_adoption(id, &status).await
            }
        }
    }

    async fn begin_adoption(
        &self,
        id: AdoptionId,
        request: AdoptionRequest,
        folder: StudioFolder,
        is_new: bool,
    ) -> Result<AdoptionStatus> {
        let status = AdoptionStatus {
            state: AdoptionState::Running,
            request: Some(request.clone()),
            started_at: Some(self.now()),
            ..AdoptionStatus::idle()
        };
        let (progress, cancel, ended) =
            (Arc::<Progress>::default(), CancellationToken::new(), CancellationToken::new());
        {
            let mut current = self.inner.studio.adoptions.current();
            let is_running = |current: &Current| current.status.state == AdoptionState::Running;
            if current.as_ref().is_some_and(is_running) {
                let message = "an adoption is running; wait for it or cancel it";
                return Err(Error::conflict("adoption_running", message));
            }
            let (progress, cancel, ended) = (Arc::clone(&progress), cancel.clone(), ended.clone());
            *current = Some(Current { status: status.clone(), progress, cancel, ended });
        }
        // However it ends, whoever waits for the end hears of it.
        let ended = ended.drop_guard();
        if is_new
            && !request.is_dry
            && let Err(error) = self.note_adoption(id, &request).await
        {
            if let Some(current) = self.inner.studio.adoptions.current().as_mut() {
                (current.status.state, current.status.error) =
                    (AdoptionState::Failed, Some(error.to_string()));
            }
            return Err(error);
        }
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            let _ended = ended;
            registry.run_adoption(id, request, folder, progress, cancel).await;
        });
        Ok(status)
    }

    async fn note_adoption(&self, id: AdoptionId, request: &AdoptionRequest) -> Result<()> {
        let Some(path) = request.path.to_str() else {
            let message = format!("`{}` is not UTF-8; rename the folder", request.path.display());
            return Err(Error::invalid("not_utf8", "path", message));
        };
        self.inner.store.insert_adoption(id, path, &request.to_stored(), self.now()).await
    }

    async fn run_adoption(
        &self,
        id: AdoptionId,
        request: AdoptionRequest,
        folder: StudioFolder,
        progress: Arc<Progress>,
        cancel: CancellationToken,
    ) {
        let stop = cancel.child_token();
        let is_dry = request.is_dry;
        let run = Run::new(self.clone(), request, folder, progress, stop.clone());
        let stopping = self.inner.stopping.clone();
        let mut all = std::pin::pin!(run.all());
        let (report, outcome) = tokio::select! {
            ended = &mut all => ended,
            () = stopping.cancelled() => {
                stop.cancel();
                all.await
            }
        };
        let was_cancelled = cancel.is_cancelled();
        let (state, error) = match outcome {
            Err(error) => (AdoptionState::Failed, Some(crate::error::chain(&error))),
            Ok(()) if was_cancelled => (AdoptionState::Cancelled, None),
            // The row stays as it is, so that the next start goes on.
            Ok(()) if stopping.is_cancelled() => return,
            Ok(()) => (AdoptionState::Done, None),
        };
        let status = AdoptionStatus {
            state,
            finished_at: Some(self.now()),
            error,
            report: Some(Arc::new(report)),
            ..self.adoption()
        };
        if !is_dry {
            if let Err(error) = self.finish_adoption(id, &status).await {
                tracing::error!(error = %crate::error::chain(&error), "the end of an adoption was not noted");
            }
            self.tell_adoption(&status).await;
        }
        // Last of all: who sees the end may begin the next one.
        if let Some(current) = self.inner.studio.adoptions.current().as_mut() {
            current.status = status;
        }
    }

    async fn finish_adoption(&self, id: AdoptionId, status: &AdoptionStatus) -> Result<()> {
        let report = status.report.as_deref().map(serde_json::to_string).transpose();
        let ended = StoredAdoption {
            id: id.0,
            path: String::new(),
            request: String::new(),
            state: status.state.as_str().to_owned(),
            started_at: status.started_at.unwrap_or_else(|| self.now()),
            finished_at: status.finished_at,
            error: status.error.clone(),
            report: report.map_err(|error| Error::internal("a report cannot be written", error))?,
        };
        self.inner.store.finish_adoption(&ended).await
    }

    async fn tell_adoption(&self, status: &AdoptionStatus) {
        let (Some(request), Some(report)) = (&status.request, &status.report) else { return };
        let path = request.path.display();
        if status.state == AdoptionState::Failed {
            let reason = status.error.as_deref().unwrap_or_default();
            tracing::error!(%path, reason, "a folder was not adopted whole");
            self.log_activity(ActivityLevel::Error, format!("ERROR -- adopting {path}: {reason}")).await;
            let message = format!("Adopting {path} failed: {reason}");
            let data = json!({ "path": request.path, "error": reason });
            self.tell("adoption.failed", Severity::Error, message, data);
            return;
        }
        let entries: u64 = report.catalogs.iter().map(|catalog| catalog.added).sum();
        let (entries, images) =
            (entries + report.files.adopted, report.gallery.as_ref().map_or(0, |gallery| gallery.added));
        let (state, warnings) = (status.state.as_str(), report.warnings_total);
        tracing::info!(%path, state, entries, images, warnings, "adopting a folder has ended");
        let text = format!("OK -- adopting {path}: {state}, +{entries} entries, +{images} images");
        self.log_activity(ActivityLevel::Ok, text).await;
        let data =
            json!({ "path": request.path, "entries": entries, "images": images, "warnings": warnings });
        let kind = format!("adoption.{state}");
        self.tell(&kind, Severity::Success, format!("Adopting {path}: {state}"), data);
    }
}
