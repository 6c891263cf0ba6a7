//! What an entry of the styles shows of its model's gallery, and a gallery's images, with the columns that existing
//! clients know.

use lorakeep_registry::{GalleryImage, GallerySummary};
use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::SerializeMap;

use super::time;

/// The fields of [`write()`]; a document cannot set them.
pub(super) const FIELDS: [&str; 9] = [
    "gallery_count",
    "gallery_thumb",
    "gallery_thumb_default",
    "gallery_thumb_custom",
    "gallery_orig_count",
    "gallery_orig_bytes",
    "gallery_comm_count",
    "gallery_comm_bytes",
    "gallery_dl",
];

/// The run that fetches more.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunView {
    status: &'static str,
    downloaded: u64,
    skipped: u64,
    total: u64,
}

/// Writes the fields; ids of images are text, as everywhere in the gallery.
pub(super) fn write<M: SerializeMap>(map: &mut M, summary: Option<&GallerySummary>) -> Result<(), M::Error> {
    let none = GallerySummary::default();
    let summary = summary.unwrap_or(&none);
    let text = |id: Option<u64>| id.map(|id| id.to_string());
    map.serialize_entry("gallery_count", &(summary.original_count + summary.community_count))?;
    map.serialize_entry("gallery_thumb", &text(summary.chosen.or(summary.first)))?;
    map.serialize_entry("gallery_thumb_default", &text(summary.first))?;
    map.serialize_entry("gallery_thumb_custom", &text(summary.chosen))?;
    map.serialize_entry("gallery_orig_count", &summary.original_count)?;
    map.serialize_entry("gallery_orig_bytes", &summary.original_bytes)?;
    map.serialize_entry("gallery_comm_count", &summary.community_count)?;
    map.serialize_entry("gallery_comm_bytes", &summary.community_bytes)?;
    let run = summary.run.as_ref().map(|run| RunView {
        status: run.status,
        downloaded: run.downloaded,
        skipped: run.skipped,
        total: run.total,
    });
    map.serialize_entry("gallery_dl", &run)
}

/// One image as a row.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "GalleryImage")]
pub(in crate::studio) struct GalleryRowView {
    civitai_id: String,
    file_uuid: Option<String>,
    /// `image` or `video`.
    #[serde(rename = "type")]
    kind: String,
    ext: String,
    file_path: String,
    thumb_path: Option<String>,
    meta_path: String,
    model_id: u64,
    post_id: Option<u64>,
    post_title: Option<String>,
    username: Option<String>,
    base_model: Option<String>,
    width: Option<u64>,
    height: Option<u64>,
    duration: Option<f64>,
    /// 0 or 1, as the other flags.
    audio: u8,
    file_size: u64,
    /// As CivitAI gives it.
    #[schemars(extend("x-origin" = "civitai"))]
    created_at: Option<String>,
    downloaded_at: String,
    reactions: u64,
    comments: u64,
    collected: u64,
    has_meta: u8,
    has_gen_data: u8,
    /// `original` is the author's.
    source: String,
    search_mode: String,
    starred: u8,
    prompt: Option<String>,
    thumb_size: Option<u64>,
}

impl From<&GalleryImage> for GalleryRowView {
    fn from(image: &GalleryImage) -> Self {
        Self {
            civitai_id: image.id.to_string(),
            file_uuid: image.file_uuid.clone(),
            kind: image.kind.clone(),
            ext: image.extension.clone(),
            file_path: image.file_path.clone(),
            thumb_path: image.thumb_path.clone(),
            meta_path: image.meta_path(),
            model_id: image.model_id,
            post_id: image.post_id,
            post_title: image.post_title.clone(),
            username: image.username.clone(),
            base_model: image.base_model.clone(),
            width: image.width,
            height: image.height,
            duration: image.duration,
            audio: u8::from(image.has_audio),
            file_size: image.file_size,
            created_at: image.created_at.clone(),
            downloaded_at: time(image.downloaded_at),
            reactions: image.reactions,
            comments: image.comments,
            collected: image.collected,
            has_meta: u8::from(!image.meta.is_null()),
            has_gen_data: u8::from(image.generation_data.is_some()),
            source: image.source.clone(),
            search_mode: image.search_mode.clone(),
            starred: u8::from(image.is_starred),
            prompt: image.prompt().map(str::to_owned),
            thumb_size: image.thumb_size,
        }
    }
}
