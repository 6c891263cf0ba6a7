//! Pictures of a model beside its gallery: fetched when its versions are added, named by entries, sent by name.

use std::path::PathBuf;

use url::Url;

use crate::domain::MediaFormat;
use crate::error::{Error, Result, Thing};
use crate::service::{MediaFile, Registry};
use crate::upstream::civitai::{Version, VersionImage};

/// Pictures of a version that are fetched.
const MOST: usize = 10;

/// The pictures of one version, with the names that its entry knows them by.
#[derive(Debug, Default)]
pub(super) struct Previews(Vec<(String, Url)>);

impl Previews {
    pub(super) fn of(version: &Version) -> Self {
        let named = |image: &VersionImage| {
            let url = Url::parse(&image.url).ok()?;
            let is_video = image.kind.as_deref() == Some("video");
            Some((format!("{}.{}", uuid_in(&url)?, if is_video { "mp4" } else { "jpeg" }), url))
        };
        Self(version.images.iter().filter_map(named).take(MOST).collect())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// The part of an address that names the file at the image host.
fn uuid_in(url: &Url) -> Option<String> {
    let is_uuid = |part: &&str| part.len() == 36 && uuid::Uuid::try_parse(part).is_ok();
    url.path_segments()?.find(is_uuid).map(str::to_owned)
}

impl Registry {
    /// Fetches pictures in the background; one that cannot be had is worth a line in the log, not more.
    pub(super) fn fetch_previews(&self, model_id: u64, previews: Previews) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            for (name, url) in previews.0 {
                let fetched = tokio::select! {
                    fetched = registry.fetch_preview(model_id, &name, url) => fetched,
                    () = registry.inner.stopping.cancelled() => return,
                };
                if let Err(error) = fetched {
                    tracing::info!(model_id, name, %error, "a preview was not fetched");
                }
            }
        });
    }

    async fn fetch_preview(&self, model_id: u64, name: &str, url: Url) -> Result<()> {
        let stem = stem_of(name);
        if self.find_preview(model_id, stem).is_some() {
            return Ok(());
        }
        let _place = self.inner.studio.media_places.acquire().await;
        let (folder, parts) = (self.previews_dir(model_id), self.media_parts());
        let failed = |error| crate::files::io_error("the gallery", error);
        for folder in [&folder, &parts] {
            tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        }
        let part = parts.join(format!("preview.{:x}.part", fastrand::u64(..)));
        let fetched = self.inner.jobs.upstreams.api.fetch_media(url, &part).await;
        let kept = match fetched {
            Ok(media) => {
                let target = folder.join(format!("{stem}{}", media.format.extension()));
                tokio::fs::rename(&part, target).await.map_err(failed)
            }
            Err(error) => Err(error.into()),
        };
        if kept.is_err() {
            // What happened before is what to tell.
            drop(tokio::fs::remove_file(&part).await);
        }
        kept
    }

    /// A picture of a model by the name that its entries have; the ending means nothing.
    pub fn preview_file(&self, model_id: u64, name: &str) -> Result<MediaFile> {
        let found = self.find_preview(model_id, stem_of(name));
        let (path, format) = found.ok_or_else(|| Error::not_found(Thing::Image, name))?;
        Ok(MediaFile { path, media_type: format.media_type() })
    }

    fn find_preview(&self, model_id: u64, stem: &str) -> Option<(PathBuf, MediaFormat)> {
        uuid::Uuid::try_parse(stem).ok()?;
        let folder = self.previews_dir(model_id);
        MediaFormat::ALL.into_iter().find_map(|format| {
            let path = folder.join(format!("{stem}{}", format.extension()));
            path.is_file().then_some((path, format))
        })
    }

    fn previews_dir(&self, model_id: u64) -> PathBuf {
        self.gallery_dir().join("previews").join(model_id.to_string())
    }
}

fn stem_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(stem, _)| stem)
}
