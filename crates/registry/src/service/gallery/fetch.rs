//! Bringing one image of CivitAI into the gallery.

use std::path::{Path, PathBuf};

use serde_json::Value;
use url::Url;

use super::record::{GalleryImage, shard};
use super::thumbnail::thumbnail;
use crate::domain::MediaFormat;
use crate::error::{Error, Result};
use crate::service::Registry;
use crate::upstream::UpstreamError;
use crate::upstream::civitai::Image;
use crate::upstream::media::FetchedMedia;

impl Registry {
    /// Fetches an image with its metadata; one that is here already is answered as it is.
    pub async fn fetch_gallery_image(&self, image_id: u64) -> Result<GalleryImage> {
        match self.gallery_image(image_id).await {
            Err(Error::NotFound { .. }) => {}
            known => return known,
        }
        let image = self.image_of_civitai(image_id).await?;
        let provenance = Provenance { source: "community", search_mode: "fixed", model_id: None };
        self.keep_image_of(image, provenance, Known::default()).await
    }

    /// From the public API, else from the site itself, which shows more to those with a key.
    async fn image_of_civitai(&self, image_id: u64) -> Result<Image> {
        let civitai = &self.inner.jobs.upstreams.civitai;
        let refused = match civitai.image(image_id).await {
            Ok(image) => return Ok(image),
            Err(error) => error,
        };
        match civitai.site_image(image_id).await {
            Ok(Some(image)) => Ok(image),
            Ok(None) => Err(refused.into()),
            Err(error) => {
                tracing::debug!(image_id, %error, "the site itself does not show the image either");
                Err(refused.into())
            }
        }
    }

    /// Fetches the bytes of a known image and keeps it for a model, which the versions name when nobody does.
    pub(super) async fn keep_image_of(
        &self,
        image: Image,
        provenance: Provenance,
        known: Known,
    ) -> Result<GalleryImage> {
        let (part, uuid) = (PartFile(self.media_part(image.id)), uuid_of(&image));
        let folder = self.gallery_dir().join(shard(image.id));
        for folder in [&folder, &self.media_parts()] {
            tokio::fs::create_dir_all(folder).await.map_err(not_written)?;
        }
        let media = self.bytes_of(&image, uuid.as_deref(), &part.0).await?;
        let name = format!("{}{}", image.id, media.format.extension());
        tokio::fs::rename(&part.0, folder.join(&name)).await.map_err(not_written)?;
        let thumb_size = self
            .make_thumbnail(&folder.join(&name), media.format, &folder.join(thumb_name(image.id)))
            .await?;
        let generation = if known.generation.is_some() {
            known.generation
        } else {
            // Worth having, not worth a failure.
            let asked = self.inner.jobs.upstreams.civitai.generation_data(image.id).await;
            asked.ok().flatten().map(|generation| generation.data)
        };
        let record = self.record_of(image, &provenance, Kept { uuid, media, thumb_size, generation });
        self.save_gallery_image(&record).await?;
        Ok(record)
    }

    fn media_part(&self, image_id: u64) -> PathBuf {
        // Another request for the same image writes a part of its own; the last one to finish is kept.
        let chance = fastrand::u64(..);
        self.media_parts().join(format!("{image_id}.{chance:x}.part"))
    }

    /// Holds files that are not whole yet.
    pub(in crate::service) fn media_parts(&self) -> PathBuf {
        self.gallery_dir().join(".parts")
    }

    /// The bytes from the image host, or from a copy that is here under another id.
    async fn bytes_of(&self, image: &Image, uuid: Option<&str>, part: &Path) -> Result<FetchedMedia> {
        if let Some(copied) = self.copy_of_uuid(uuid, part).await? {
            return Ok(copied);
        }
        let url = image.url.as_deref().and_then(|text| Url::parse(text).ok()).ok_or_else(|| {
            let message = format!("CivitAI gives no address for image {}", image.id);
            UpstreamError::refused("no_address", None, message)
        })?;
        Ok(self.inner.jobs.upstreams.api.fetch_media(url, part).await?)
    }

    async fn copy_of_uuid(&self, uuid: Option<&str>, part: &Path) -> Result<Option<FetchedMedia>> {
        let Some(uuid) = uuid else { return Ok(None) };
        let Some(document) = self.inner.store.load_image_of_uuid(uuid).await? else { return Ok(None) };
        let known = GalleryImage::of_document(&document)?;
        let format = MediaFormat::of_extension(&known.extension);
        let (Some(format), Some(path)) = (format, self.gallery_path(&known.file_path)) else {
            return Ok(None);
        };
        let copied = tokio::fs::hard_link(&path, part).await;
        Ok(copied.is_ok().then_some(FetchedMedia { format, size_bytes: known.file_size }))
    }

    /// Answers the thumbnail's length, when there is one.
    pub(super) async fn make_thumbnail(
        &self,
        path: &Path,
        format: MediaFormat,
        target: &Path,
    ) -> Result<Option<u64>> {
        let _turn = self.inner.studio.thumbnails.acquire().await;
        let (path, target) = (path.to_owned(), target.to_owned());
        let made = self.blocking("making a thumbnail", move || {
            let bytes = thumbnail(&path, format)?;
            std::fs::write(&target, &bytes).ok().map(|()| bytes.len() as u64)
        });
        made.await
    }

    fn record_of(&self, image: Image, provenance: &Provenance, kept: Kept) -> GalleryImage {
        let Kept { uuid, media, thumb_size, generation } = kept;
        let folder = shard(image.id);
        let generation = generation.filter(Value::is_object);
        let of_site = generation.as_ref().and_then(|data| data.get("meta")).filter(|meta| meta.is_object());
        let meta =
            if image.meta.is_null() { of_site.cloned().unwrap_or_default() } else { image.meta.clone() };
        GalleryImage {
            id: image.id,
            file_uuid: uuid,
            kind: if media.format.is_video() { "video" } else { "image" }.to_owned(),
            extension: media.format.extension().to_owned(),
            file_path: format!("{folder}/{}{}", image.id, media.format.extension()),
            thumb_path: thumb_size.map(|_| format!("{folder}/{}", thumb_name(image.id))),
            file_size: media.size_bytes,
            thumb_size,
            model_id: provenance.model_id.unwrap_or_else(|| self.model_of(&image)),
            version_ids: image.resources().into_iter().map(|(version_id, ..)| version_id).collect(),
            post_id: image.post_id,
            post_title: image.post_title,
            username: image.username,
            base_model: image.base_model,
            width: image.width,
            height: image.height,
            duration: image.duration,
            has_audio: image.has_audio,
            created_at: image.created_at,
            downloaded_at: self.now(),
            reactions: image.reactions,
            comments: image.comments,
            collected: image.collected,
            source: provenance.source.to_owned(),
            search_mode: provenance.search_mode.to_owned(),
            is_starred: false,
            meta,
            generation_data: generation,
        }
    }

    /// The first model of a catalog that the image was made with; 0 when there is none.
    fn model_of(&self, image: &Image) -> u64 {
        let library = self.library();
        let versions = image.resources().into_iter().map(|(version_id, ..)| version_id);
        let models = versions
            .flat_map(|id| library.entries_of_version(id))
            .filter_map(|entry| entry.document.id("civitai_model_id"));
        models.into_iter().next().unwrap_or_default()
    }
}

/// How an image came here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provenance {
    /// `original` or `community`.
    pub(super) source: &'static str,
    pub(super) search_mode: &'static str,
    /// The model that it is kept for; its versions tell when nobody does.
    pub(super) model_id: Option<u64>,
}

/// What is known of an image before it is fetched.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The site's generation data; asked for when absent.
    pub(super) generation: Option<Value>,
}

/// What came of fetching.
struct Kept {
    uuid: Option<String>,
    media: FetchedMedia,
    thumb_size: Option<u64>,
    generation: Option<Value>,
}

/// A file that is not whole yet; gone when it is given up, also when nobody waits for it any more.
struct PartFile(PathBuf);

impl Drop for PartFile {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        drop(std::fs::remove_file(&self.0));
    }
}

pub(super) fn thumb_name(image_id: u64) -> String {
    format!("{image_id}.thumb.jpg")
}

/// The part of the address that names the file: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid_of(image: &Image) -> Option<String> {
    let url = image.url.as_deref()?;
    url.split('/').find(|part| uuid::Uuid::try_parse(part).is_ok() && part.len() == 36).map(str::to_owned)
}

fn not_written(error: std::io::Error) -> Error {
    crate::files::io_error("the gallery", error)
}
