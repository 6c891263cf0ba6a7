//! Fetching many images of a model: one run a model, in the background, stoppable, with its progress in memory. What it
//! brought stays whatever becomes of the run, and a run that is started again passes over it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::service::Registry;
use crate::upstream::civitai::{Image, ImageFeed, ImagePage};

/// Images of a run when nobody says how many.
const USUAL: u32 = 200;
/// Images of a run at most.
const MOST: u32 = 1000;
/// Images that are fetched at once.
const AT_ONCE: usize = 4;

/// What a run is to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GalleryRequest {
    /// Images at most, 1 to 1,000; 200 when absent.
    pub limit: Option<u32>,
    /// Only those of the model's author, as its card shows them.
    pub only_author: bool,
    /// Only those made with this version.
    pub version_id: Option<u64>,
    /// `Most Reactions`, `Newest`, …
    pub sort: Option<String>,
    /// `AllTime`, `Month`, …
    pub period: Option<String>,
    /// Bits of CivitAI's levels; all of them when absent.
    pub browsing_level: Option<u32>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GalleryProgress {
    /// `idle`, `downloading`, `stopping`, `done`, `error`.
    pub status: &'static str,
    /// Images that it brought.
    pub downloaded: u64,
    /// Images that were here, or could not be fetched.
    pub skipped: u64,
    /// Images that it looked at.
    pub total: u64,
    /// Pages of the feed.
    pub pages_fetched: u64,
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

    fn change(&self, model_id: u64, change: impl FnOnce(&mut GalleryProgress)) {
        if let Some(run) = self.runs().get_mut(&model_id) {
            change(&mut run.progress);
        }
    }
}

impl Registry {
    /// Starts a run for a model; one that runs already goes on as it is.
    pub fn start_gallery(&self, model_id: u64, request: GalleryRequest) -> Result<()> {
        let limit = request.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            let message = format!("a gallery run takes 1 to {MOST} images, not {limit}");
            return Err(Error::invalid("out_of_range", "action", message));
        }
        let stop = self.inner.stopping.child_token();
        {
            let mut runs = self.inner.studio.gallery_runs.runs();
            if runs
                .get(&model_id)
                .is_some_and(|run| matches!(run.progress.status, "downloading" | "stopping"))
            {
                return Ok(());
            }
            let progress = GalleryProgress { status: "downloading", ..GalleryProgress::default() };
            runs.insert(model_id, Run { progress, stop: stop.clone() });
        }
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = registry.run_gallery(model_id, request, limit as usize) => ended,
                () = stop.cancelled() => Ok(()),
            };
            let status = if ended.is_ok() { "done" } else { "error" };
            if let Err(error) = ended {
                tracing::warn!(model_id, error = %crate::error::chain(&error), "a gallery run has failed");
            }
            registry.inner.studio.gallery_runs.change(model_id, |progress| progress.status = status);
        });
        Ok(())
    }

    /// Asks a run to stop; a file that is being written is dropped.
    pub fn stop_gallery(&self, model_id: u64) {
        if let Some(run) = self.inner.studio.gallery_runs.runs().get_mut(&model_id) {
            if run.progress.status == "downloading" {
                run.progress.status = "stopping";
            }
            run.stop.cancel();
        }
    }

    /// How the run of a model stands.
    pub fn gallery_progress(&self, model_id: u64) -> GalleryProgress {
        let idle = GalleryProgress { status: "idle", ..GalleryProgress::default() };
        self.inner.studio.gallery_runs.runs().get(&model_id).map_or(idle, |run| run.progress)
    }

    async fn run_gallery(&self, model_id: u64, request: GalleryRequest, limit: usize) -> Result<()> {
        let civitai = &self.inner.jobs.upstreams.civitai;
        let author = if request.only_author { civitai.model(model_id).await?.head.creator } else { None };
        let source = if author.is_some() { "original" } else { "community" };
        let feed = ImageFeed {
            model_id: Some(model_id),
            version_id: request.version_id,
            username: author,
            sort: request.sort,
            period: request.period,
            browsing_level: request.browsing_level,
        };
        let (mut cursor, mut left) = (None, limit);
        while left > 0 {
            let ImagePage { images, next_cursor } = civitai.images(&feed, cursor.as_deref()).await?;
            let images: Vec<Image> = images.into_iter().take(left).collect();
            left -= images.len();
            let is_last = images.is_empty();
            self.inner.studio.gallery_runs.change(model_id, |progress| {
                progress.pages_fetched += 1;
                progress.total += images.len() as u64;
            });
            stream::iter(images)
                .for_each_concurrent(AT_ONCE, |image| self.keep_one(model_id, image, source))
                .await;
            match next_cursor {
                Some(next) if !is_last && cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => break,
            }
        }
        Ok(())
    }

    async fn keep_one(&self, model_id: u64, image: Image, source: &str) {
        let image_id = image.id;
        let is_here = self.gallery_image(image_id).await.is_ok();
        let kept = if is_here { None } else { Some(self.keep_image_of(image, source, Some(model_id)).await) };
        if let Some(Err(error)) = &kept {
            tracing::info!(image_id, %error, "an image of a gallery was not fetched");
        }
        self.inner.studio.gallery_runs.change(model_id, |progress| match kept {
            Some(Ok(_)) => progress.downloaded += 1,
            _ => progress.skipped += 1,
        });
    }
}
