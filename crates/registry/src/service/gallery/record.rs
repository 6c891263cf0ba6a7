//! The record of one image: a JSON file beside the picture, from which the index can be made anew.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::service::Registry;
use crate::store::StoredImage;

/// One picture or video. This is the form of the file beside it; answers are made from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GalleryImage {
    /// Its id on CivitAI.
    pub id: u64,
    /// Its name at the image host.
    pub file_uuid: Option<String>,
    /// `image` or `video`.
    pub kind: String,
    /// With the dot, by content.
    pub extension: String,
    /// Below the gallery's folder, `/` between parts.
    pub file_path: String,
    /// The same for its thumbnail, when there is one.
    pub thumb_path: Option<String>,
    /// Length of the file, bytes.
    pub file_size: u64,
    /// Length of the thumbnail, bytes.
    pub thumb_size: Option<u64>,
    /// The model that it belongs to; 0 when that is not known.
    pub model_id: u64,
    /// The versions that it was made with.
    pub version_ids: Vec<u64>,
    /// The post that it stands in.
    pub post_id: Option<u64>,
    /// The post's title, when the site told it.
    #[serde(default)]
    pub post_title: Option<String>,
    /// Who posted it.
    pub username: Option<String>,
    /// The base model.
    pub base_model: Option<String>,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
    /// Seconds of a video, when the site told them.
    #[serde(default)]
    pub duration: Option<f64>,
    /// Whether a video has sound, as far as the site told.
    #[serde(default)]
    pub has_audio: bool,
    /// When it was posted, as written.
    pub created_at: Option<String>,
    /// When it came here.
    pub downloaded_at: DateTime<Utc>,
    /// Hearts and likes at that time.
    pub reactions: u64,
    /// Comments at that time.
    pub comments: u64,
    /// Collections that held it at that time, as far as the site told.
    #[serde(default)]
    pub collected: u64,
    /// `original` (of the model's own card) or `community`.
    pub source: String,
    /// How it was searched for: `fixed`, `trpc` or `rest`.
    #[serde(default = "fixed")]
    pub search_mode: String,
    /// Whether a user starred it.
    pub is_starred: bool,
    /// What it was made with; null when that is hidden.
    pub meta: Value,
    /// The site's generation data, when a key was set.
    pub generation_data: Option<Value>,
}

impl GalleryImage {
    /// The record's own path below the gallery's folder.
    pub fn meta_path(&self) -> String {
        record_path(self.id)
    }

    /// The prompt, when it is known.
    pub fn prompt(&self) -> Option<&str> {
        self.meta.get("prompt").and_then(Value::as_str)
    }

    pub(super) fn of_document(document: &str) -> Result<Self> {
        serde_json::from_str(document)
            .map_err(|error| Error::internal("a record of the gallery cannot be read", error))
    }

    fn document(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record is always JSON")
    }
}

impl Registry {
    /// Writes the record beside the file, then into the index.
    pub(super) async fn save_gallery_image(&self, image: &GalleryImage) -> Result<()> {
        let (path, document) = (self.gallery_dir().join(record_path(image.id)), image.document());
        let bytes = document.clone().into_bytes();
        let written =
            self.blocking("writing a record", move || crate::files::replace_file(&path, &bytes, || true));
        written
            .await?
            .map_err(|error| Error::internal("a record of the gallery cannot be written", error))?;
        self.index_image(image).await?;
        self.refresh_summary(image.model_id).await
    }

    /// Puts a record into the index.
    pub(super) async fn index_image(&self, image: &GalleryImage) -> Result<()> {
        let stored = StoredImage {
            image_id: image.id as i64,
            file_uuid: image.file_uuid.clone(),
            model_id: image.model_id as i64,
            is_starred: image.is_starred,
            source: image.source.clone(),
            file_size: image.file_size as i64,
            document: image.document(),
        };
        self.inner.store.save_image(&stored).await
    }
}

fn fixed() -> String {
    "fixed".to_owned()
}

/// `media/AAA/BBB/`: the first and the next three characters of the id, short ones padded with 0.
pub(super) fn shard(image_id: u64) -> String {
    let digits = format!("{image_id:0<6}");
    format!("media/{}/{}", &digits[..3], &digits[3..6])
}

/// The record's path below the gallery's folder.
pub(super) fn record_path(image_id: u64) -> String {
    format!("{}/{image_id}.json", shard(image_id))
}
