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
        let image = self.inner.jobs.upstreams.civitai.image(image_id).await?;
        self.keep_image_of(image, "community", None).await
    }

    /// Fetches the bytes of a known image and keeps it for a model, which the versions name when nobody does.
    pub(super) async fn keep_image_of(
        &self,
        image: Image,
        source: &str,
        model_id: Option<u64>,
    ) -> Result<GalleryImage> {
        let (part, uuid) = (PartFile(self.media_part(image.id)), uuid_of(&image));
        let folder = self.gallery_dir().join(shard(image.id));
        tokio::fs::create_dir_all(&folder).await.map_err(not_written)?;
        let media = self.bytes_of(&image, uuid.as_deref(), &part.0).await?;
        let name = format!("{}{}", image.id, media.format.extension());
        tokio::fs::rename(&part.0, folder.join(&name)).await.map_err(not_written)?;
        let thumb_size = self
            .make_thumbnail(&folder.join(&name), media.format, &folder.join(thumb_name(image.id)))
            .await?;
        let mut record = self.record_of(image, source, uuid, media, thumb_size).await;
        record.model_id = model_id.unwrap_or(record.model_id);
        self.save_gallery_image(&record).await?;
        Ok(record)
    }

    fn media_part(&self, image_id: u64) -> PathBuf {
        // Another request for the same image writes a part of its own; the last one to finish is kept.
        let chance = fastrand::u64(..);
        self.gallery_dir().join(shard(image_id)).join(format!(".{image_id}.{chance:x}.part"))
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
    async fn make_thumbnail(&self, path: &Path, format: MediaFormat, target: &Path) -> Result<Option<u64>> {
        let _turn = self.inner.studio.thumbnails.acquire().await;
        let (path, target) = (path.to_owned(), target.to_owned());
        let made = self.blocking("making a thumbnail", move || {
            let bytes = thumbnail(&path, format)?;
            std::fs::write(&target, &bytes).ok().map(|()| bytes.len() as u64)
        });
        made.await
    }

    async fn record_of(
        &self,
        image: Image,
        source: &str,
        file_uuid: Option<String>,
        media: FetchedMedia,
        thumb_size: Option<u64>,
    ) -> GalleryImage {
        let folder = shard(image.id);
        // Worth having, not worth a failure.
        let generation = self.inner.jobs.upstreams.civitai.generation_data(image.id).await.ok().flatten();
        GalleryImage {
            id: image.id,
            file_uuid,
            kind: if media.format.is_video() { "video" } else { "image" }.to_owned(),
            extension: media.format.extension().to_owned(),
            file_path: format!("{folder}/{}{}", image.id, media.format.extension()),
            thumb_path: thumb_size.map(|_| format!("{folder}/{}", thumb_name(image.id))),
            file_size: media.size_bytes,
            thumb_size,
            model_id: self.model_of(&image),
            version_ids: image.resources().into_iter().map(|(version_id, ..)| version_id).collect(),
            post_id: image.post_id,
            username: image.username,
            base_model: image.base_model,
            width: image.width,
            height: image.height,
            created_at: image.created_at,
            downloaded_at: self.now(),
            reactions: image.reactions,
            comments: image.comments,
            source: source.to_owned(),
            is_starred: false,
            meta: image.meta,
            generation_data: generation.map(|generation| generation.data).filter(Value::is_object),
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

/// A file that is not whole yet; gone when it is given up, also when nobody waits for it any more.
struct PartFile(PathBuf);

impl Drop for PartFile {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        drop(std::fs::remove_file(&self.0));
    }
}

fn thumb_name(image_id: u64) -> String {
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
