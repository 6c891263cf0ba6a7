//! What is here of a model's gallery: list, star, choose, delete; and making the index anew from the records.

use std::path::{Path, PathBuf};

use super::record::{GalleryImage, record_path};
use crate::domain::Entry;
use crate::error::{Error, Result};
use crate::service::Registry;

/// Which images of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GalleryFilter {
    /// Only those made with this version.
    pub version_id: Option<u64>,
    /// Only starred ones.
    pub only_starred: bool,
}

/// What is here of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelGallery {
    /// Its images by id.
    pub images: Vec<GalleryImage>,
    /// The image that a user chose to stand for the model.
    pub preview: Option<u64>,
}

impl Registry {
    /// The images of a model.
    pub async fn gallery_of_model(&self, model_id: u64, filter: GalleryFilter) -> Result<ModelGallery> {
        let documents = self.inner.store.list_images(model_id as i64, filter.only_starred).await?;
        let images: Result<Vec<GalleryImage>> =
            documents.iter().map(|document| GalleryImage::of_document(document)).collect();
        let mut images = images?;
        if let Some(version_id) = filter.version_id {
            images.retain(|image| image.version_ids.contains(&version_id));
        }
        let preview = self.inner.store.load_preview(model_id as i64).await?;
        Ok(ModelGallery { images, preview: preview.map(|id| id as u64) })
    }

    /// The images of an entry's model.
    pub async fn gallery_of_entry(&self, entry: &Entry, filter: GalleryFilter) -> Result<ModelGallery> {
        self.gallery_of_model(entry.gallery_model_id(), filter).await
    }

    /// Stars an image, or takes the star away; answers whether it is starred now. An unknown one never is.
    pub async fn toggle_star(&self, image_id: u64) -> Result<bool> {
        let mut image = match self.gallery_image(image_id).await {
            Ok(image) => image,
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        image.is_starred = !image.is_starred;
        self.save_gallery_image(&image).await?;
        Ok(image.is_starred)
    }

    /// Lets an image stand for its model; answers the model.
    pub async fn set_preview(&self, image_id: u64) -> Result<u64> {
        let image = self.gallery_image(image_id).await?;
        self.inner.store.save_preview(image.model_id as i64, image_id as i64).await?;
        self.refresh_summary(image.model_id).await?;
        Ok(image.model_id)
    }

    /// Deletes an image with its record and thumbnail.
    pub async fn delete_gallery_image(&self, image_id: u64) -> Result<()> {
        let image = self.gallery_image(image_id).await?;
        // First out of the index: a file without a row is found again, a row without a file is a broken picture.
        self.inner.store.delete_image(image_id as i64).await?;
        self.refresh_summary(image.model_id).await?;
        let relative = [Some(image.file_path), image.thumb_path, Some(record_path(image_id))];
        for path in relative.into_iter().flatten().filter_map(|path| self.gallery_path(&path)) {
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(crate::files::io_error("the gallery", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes a model's images; starred ones stay. Answers how many went.
    pub async fn delete_gallery(&self, model_id: u64, version_id: Option<u64>) -> Result<u64> {
        let filter = GalleryFilter { version_id, only_starred: false };
        let images = self.gallery_of_model(model_id, filter).await?.images;
        let mut count = 0;
        for image in images.into_iter().filter(|image| !image.is_starred) {
            self.delete_gallery_image(image.id).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Removes what a killed process left half written, and makes the index anew when it is empty and records are there;
    /// part of `open`.
    pub(crate) async fn open_gallery(&self) -> Result<()> {
        let parts = self.media_parts();
        self.blocking("removing parts of the gallery", move || remove_files_in(&parts)).await?;
        self.restore_index().await?;
        self.open_summaries().await
    }

    async fn restore_index(&self) -> Result<()> {
        if self.inner.store.count_images().await? > 0 || !self.gallery_dir().join("media").is_dir() {
            return Ok(());
        }
        let count = self.rebuild_gallery().await?;
        if count > 0 {
            tracing::info!(count, "the gallery's index was made anew from its records");
        }
        Ok(())
    }

    /// Reads every record and puts it into the index; answers how many could be read.
    pub async fn rebuild_gallery(&self) -> Result<u64> {
        let root = self.gallery_dir().join("media");
        let images = self.blocking("reading the gallery", move || records_below(&root)).await?;
        for image in &images {
            self.index_image(image).await?;
        }
        Ok(images.len() as u64)
    }
}

/// The records of `media/AAA/BBB/`; what cannot be read is passed over with a line in the log.
fn records_below(root: &Path) -> Vec<GalleryImage> {
    let folders = || children(root).into_iter().flat_map(|outer| children(&outer));
    let files = folders().flat_map(|inner| children(&inner));
    let records = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    records
        .filter_map(|path| {
            let read =
                std::fs::read_to_string(&path).ok().and_then(|text| GalleryImage::of_document(&text).ok());
            if read.is_none() {
                tracing::warn!(path = %path.display(), "a record of the gallery cannot be read");
            }
            read
        })
        .collect()
}

/// Removes every file of a folder that holds nothing else; one that stays costs space, not more.
fn remove_files_in(folder: &Path) {
    for path in children(folder) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "a part of the gallery cannot be removed");
        }
    }
}

/// What a folder holds; a folder that cannot be read holds nothing.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}
