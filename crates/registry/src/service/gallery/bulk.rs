//! Fetching many images of a model: one run a model, in the background, stoppable, with its progress in memory. What it
//! brought stays whatever becomes of the run, and a run that is started again passes over it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::fetch::{Known, Provenance};
use super::request::{GalleryRequest, Plan};
use crate::error::Result;
use crate::service::Registry;
use crate::upstream::civitai::{Image, ImagePage};

/// Runs whose progress is remembered; ended ones are forgotten first.
const REMEMBERED: usize = 1000;

/// How a run stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GalleryProgress {
    /// `idle`, `downloading`, `stopping`, `done`, `error`.
    pub status: &'static str,
    /// Images that it brought.
    pub downloaded: u64,
    /// Images that were here, were not wanted, or could not be fetched.
    pub skipped: u64,
    /// Images that it looked at.
    pub total: u64,
    /// Pages of the feed.
    pub pages_fetched: u64,
    /// Why it ended early.
    pub error: Option<String>,
}

/// Runs by model.
#[derive(Debug, Default)]
pub(crate) struct GalleryRuns(Mutex<HashMap<u64, Run>>);

#[derive(Debug)]
struct Run {
    progress: GalleryProgress,
    stop: CancellationToken,
}

impl GalleryRuns {
    fn runs(&self) -> MutexGuard<'_, HashMap<u64, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How every run stands that is remembered.
    pub(super) fn progress_of_all(&self) -> Vec<(u64, GalleryProgress)> {
        self.runs().iter().map(|(model_id, run)| (*model_id, run.progress.clone())).collect()
    }

    /// Begins a run unless one goes on already.
    fn begin(&self, model_id: u64, stop: &CancellationToken) -> bool {
        let mut runs = self.runs();
        if runs.get(&model_id).is_some_and(Run::goes_on) {
            return false;
        }
        if runs.len() >= REMEMBERED {
            runs.retain(|_, run| run.goes_on());
        }
        let progress = GalleryProgress { status: "downloading", ..GalleryProgress::default() };
        runs.insert(model_id, Run { progress, stop: stop.clone() });
        true
    }
}

impl Run {
    fn goes_on(&self) -> bool {
        matches!(self.progress.status, "downloading" | "stopping")
    }
}

impl Registry {
    /// Starts a run for a model; one that goes on already goes on as it is.
    ///
    /// `Invalid` for a wish out of bounds, `Unavailable` (`not_configured`) for one that CivitAI fulfils with a key alone.
    pub fn start_gallery(&self, model_id: u64, request: GalleryRequest) -> Result<()> {
        let plan = Plan::of(request, self.inner.jobs.upstreams.civitai.credential().is_some())?;
        let stop = self.inner.stopping.child_token();
        if !self.inner.studio.gallery_runs.begin(model_id, &stop) {
            return Ok(());
        }
        self.inner.studio.summaries.bump();
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = registry.run_gallery(model_id, plan) => ended,
                () = stop.cancelled() => Ok(()),
            };
            registry.end_gallery(model_id, ended);
        });
        Ok(())
    }

    fn end_gallery(&self, model_id: u64, ended: Result<()>) {
        if let Err(error) = &ended {
            tracing::warn!(model_id, error = %crate::error::chain(error), "a gallery run has failed");
        }
        self.change_run(model_id, |progress| match ended {
            Ok(()) => progress.status = "done",
            Err(error) => {
                (progress.status, progress.error) = ("error", Some(error.to_string()));
            }
        });
    }

    /// Asks a run to stop; a file that is being written is dropped.
    pub fn stop_gallery(&self, model_id: u64) {
        if let Some(run) = self.inner.studio.gallery_runs.runs().get_mut(&model_id) {
            if run.progress.status == "downloading" {
                run.progress.status = "stopping";
            }
            run.stop.cancel();
        }
        self.inner.studio.summaries.bump();
    }

    /// How the run of a model stands.
    pub fn gallery_progress(&self, model_id: u64) -> GalleryProgress {
        let idle = || GalleryProgress { status: "idle", ..GalleryProgress::default() };
        self.inner.studio.gallery_runs.runs().get(&model_id).map_or_else(idle, |run| run.progress.clone())
    }

    fn change_run(&self, model_id: u64, change: impl FnOnce(&mut GalleryProgress)) {
        if let Some(run) = self.inner.studio.gallery_runs.runs().get_mut(&model_id) {
            change(&mut run.progress);
        }
        self.inner.studio.summaries.bump();
    }

    async fn run_gallery(&self, model_id: u64, mut plan: Plan) -> Result<()> {
        let civitai = &self.inner.jobs.upstreams.civitai;
        plan.feed.model_id = Some(model_id);
        if plan.only_author {
            plan.feed.username = civitai.model(model_id).await?.head.creator;
            // Without an author nobody's images are the author's.
            plan.only_author = plan.feed.username.is_some();
        }
        let (mut cursor, mut left) = (None, plan.limit);
        while left > 0 {
            let ImagePage { images, next_cursor } = civitai.images(&plan.feed, cursor.as_deref()).await?;
            let images: Vec<Image> = images.into_iter().take(left).collect();
            left -= images.len();
            let is_last = images.is_empty();
            self.change_run(model_id, |progress| {
                progress.pages_fetched += 1;
                progress.total += images.len() as u64;
            });
            let keep = |image| self.keep_one(model_id, image, &plan);
            stream::iter(images).for_each_concurrent(plan.workers, keep).await;
            match next_cursor {
                Some(next) if !is_last && cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => break,
            }
        }
        Ok(())
    }

    async fn keep_one(&self, model_id: u64, image: Image, plan: &Plan) {
        let image_id = image.id;
        let kept = self.keep_wanted(model_id, image, plan).await;
        if let Err(error) = &kept {
            tracing::info!(image_id, %error, "an image of a gallery was not fetched");
        }
        self.change_run(model_id, |progress| match kept {
            Ok(true) => progress.downloaded += 1,
            _ => progress.skipped += 1,
        });
    }

    /// Answers whether the image is new here.
    async fn keep_wanted(&self, model_id: u64, image: Image, plan: &Plan) -> Result<bool> {
        let is_here = self.gallery_image(image.id).await.is_ok();
        if is_here || (plan.needs_meta && !image.meta.is_object()) {
            return Ok(false);
        }
        let mut known = Known::default();
        if plan.asks_the_site() {
            let data = self.inner.jobs.upstreams.civitai.generation_data(image.id).await?;
            let data = data.map_or(Value::Null, |data| data.data);
            if !plan.is_wanted(&data) {
                return Ok(false);
            }
            known.generation = Some(data);
        }
        let _place = self.inner.studio.media_places.acquire().await;
        let provenance =
            Provenance { source: plan.source(), search_mode: plan.mode.as_str(), model_id: Some(model_id) };
        self.keep_image_of(image, provenance, known).await.map(|_| true)
    }
}
