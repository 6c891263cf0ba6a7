//! The files of the gallery.

use std::path::{Path, PathBuf};

use super::record::GalleryImage;
use crate::domain::MediaFormat;
use crate::error::{Error, Result, Thing};
use crate::service::Registry;

/// A file of the gallery that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFile {
    /// Absolute.
    pub path: PathBuf,
    /// Its media type, by content.
    pub media_type: &'static str,
}

impl Registry {
    /// Holds `media/`.
    pub(in crate::service) fn gallery_dir(&self) -> PathBuf {
        self.inner.config.data_dir.join("gallery")
    }

    /// One image; `NotFound` (`Image`) when the gallery lacks it.
    pub async fn gallery_image(&self, image_id: u64) -> Result<GalleryImage> {
        let document = self.inner.store.load_image(image_id as i64).await?;
        let document = document.ok_or_else(|| Error::not_found(Thing::Image, image_id.to_string()))?;
        GalleryImage::of_document(&document)
    }

    /// The picture or video itself.
    pub async fn gallery_media(&self, image_id: u64) -> Result<MediaFile> {
        let image = self.gallery_image(image_id).await?;
        let format = MediaFormat::of_extension(&image.extension);
        let media_type = format.map_or("application/octet-stream", MediaFormat::media_type);
        self.existing(&image, &image.file_path, media_type)
    }

    /// Its thumbnail; an image without one stands for itself.
    pub async fn gallery_thumbnail(&self, image_id: u64) -> Result<MediaFile> {
        let image = self.gallery_image(image_id).await?;
        if let Some(thumb) = &image.thumb_path {
            return self.existing(&image, thumb, MediaFormat::Jpeg.media_type());
        }
        if image.kind == "video" {
            return Err(Error::not_found(Thing::Image, image_id.to_string()));
        }
        self.gallery_media(image_id).await
    }

    fn existing(&self, image: &GalleryImage, relative: &str, media_type: &'static str) -> Result<MediaFile> {
        match self.gallery_path(relative) {
            Some(path) if path.is_file() => Ok(MediaFile { path, media_type }),
            _ => Err(Error::not_found(Thing::Image, image.id.to_string())),
        }
    }

    /// A path below the gallery's folder; records may have been edited, so it is judged.
    pub(super) fn gallery_path(&self, relative: &str) -> Option<PathBuf> {
        let is_plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
        relative.split('/').all(is_plain).then(|| self.gallery_dir().join(Path::new(relative)))
    }
}
