//! Making the thumbnails that are missing: one run at a time, in the background, which any number of clients may watch.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fetch::thumb_name;
use super::record::{GalleryImage, shard};
use crate::domain::MediaFormat;
use crate::error::{Error, Result};
use crate::service::Registry;

/// How the run stands, or how the last one ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThumbnailProgress {
    /// Whether it goes on.
    pub is_running: bool,
    /// Whether somebody ended it early.
    pub is_cancelled: bool,
    /// Images of the gallery.
    pub total: u64,
    /// Images that were looked at.
    pub done: u64,
    /// Thumbnails that it made.
    pub made: u64,
    /// Images that no thumbnail could be made of.
    pub failed: u64,
    /// The last thing that went wrong, for people.
    pub trouble: Option<String>,
}

/// Shared by all who ask.
#[derive(Debug, Default)]
pub(crate) struct ThumbnailRun {
    progress: watch::Sender<ThumbnailProgress>,
    stop: Mutex<CancellationToken>,
}

/// What became of one image.
enum Looked {
    HasOne,
    Made,
    Failed(String),
}

impl Registry {
    /// Starts the run unless it goes on already; answers how it stands, from now on.
    pub fn make_missing_thumbnails(&self) -> watch::Receiver<ThumbnailProgress> {
        let run = &self.inner.studio.thumbnail_run;
        let is_first = run.progress.send_if_modified(|progress| {
            let is_idle = !progress.is_running;
            if is_idle {
                *progress = ThumbnailProgress { is_running: true, ..ThumbnailProgress::default() };
            }
            is_idle
        });
        if is_first {
            let stop = self.inner.stopping.child_token();
            *run.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop.clone();
            let registry = self.clone();
            self.inner.tasks.spawn(async move { registry.run_thumbnails(stop).await });
        }
        run.progress.subscribe()
    }

    /// Ends the run after the image that it works on; answers whether one went on.
    pub fn cancel_thumbnails(&self) -> bool {
        let run = &self.inner.studio.thumbnail_run;
        run.stop.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        run.progress.borrow().is_running
    }

    async fn run_thumbnails(&self, stop: CancellationToken) {
        let ended = self.look_at_all(&stop).await;
        self.change_thumbnails(|progress| {
            progress.is_running = false;
            progress.is_cancelled = stop.is_cancelled();
            if let Err(error) = ended {
                tracing::error!(error = %crate::error::chain(&error), "the making of thumbnails has failed");
                progress.trouble = Some(error.to_string());
            }
        });
    }

    async fn look_at_all(&self, stop: &CancellationToken) -> Result<()> {
        let ids = self.inner.store.list_image_ids().await?;
        self.change_thumbnails(|progress| progress.total = ids.len() as u64);
        for id in ids {
            if stop.is_cancelled() {
                return Ok(());
            }
            let looked = match self.gallery_image(id as u64).await {
                Ok(image) => self.look_at(image).await?,
                // Deleted in the meantime.
                Err(Error::NotFound { .. }) => Looked::HasOne,
                Err(error) => return Err(error),
            };
            self.change_thumbnails(|progress| {
                progress.done += 1;
                match looked {
                    Looked::HasOne => {}
                    Looked::Made => progress.made += 1,
                    Looked::Failed(why) => {
                        progress.failed += 1;
                        progress.trouble = Some(why);
                    }
                }
            });
        }
        Ok(())
    }

    async fn look_at(&self, mut image: GalleryImage) -> Result<Looked> {
        let thumb = image.thumb_path.as_deref().and_then(|path| self.gallery_path(path));
        if thumb.is_some_and(|path| path.is_file()) {
            return Ok(Looked::HasOne);
        }
        let failed = |why: &str| Ok(Looked::Failed(format!("image {}: {why}", image.id)));
        let path = self.gallery_path(&image.file_path).filter(|path| path.is_file());
        let (Some(path), Some(format)) = (path, MediaFormat::of_extension(&image.extension)) else {
            return failed("its file is gone");
        };
        let relative = format!("{}/{}", shard(image.id), thumb_name(image.id));
        let Some(size) = self.make_thumbnail(&path, format, &self.gallery_dir().join(&relative)).await?
        else {
            let why = if format.is_video() {
                "no frame could be read; is `ffmpeg` installed?"
            } else {
                "it cannot be read"
            };
            return failed(why);
        };
        (image.thumb_path, image.thumb_size) = (Some(relative), Some(size));
        self.save_gallery_image(&image).await?;
        Ok(Looked::Made)
    }

    fn change_thumbnails(&self, change: impl FnOnce(&mut ThumbnailProgress)) {
        self.inner.studio.thumbnail_run.progress.send_modify(change);
    }
}
