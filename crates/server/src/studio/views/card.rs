//! A model of CivitAI as it is looked up.

use lorakeep_registry::domain::plain_text;
use lorakeep_registry::{CardFile, CardPreview, CardVersion, ModelCard};
use schemars::JsonSchema;
use serde::Serialize;

use crate::studio::civitai_image::catalog_status;

/// Characters of a description on a card.
const DESCRIPTION: usize = 4000;

/// One model with its versions.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelCard")]
pub(in crate::studio) struct CardView {
    model_id: u64,
    name: Option<String>,
    author: Option<String>,
    /// Text alone: pages build HTML of it.
    description: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    tags: Vec<String>,
    nsfw: bool,
    stats: StatsView,
    versions: Vec<VersionView>,
    preview_images: Vec<PreviewView>,
    /// The version that the reference names.
    selected_version_id: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelCardStats")]
struct StatsView {
    downloads: Option<u64>,
    thumbs_up: Option<u64>,
    rating: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelCardVersion")]
struct VersionView {
    id: u64,
    name: Option<String>,
    base_model: Option<String>,
    #[schemars(extend("x-origin" = "civitai"))]
    published_at: Option<String>,
    trained_words: Vec<String>,
    downloads: Option<u64>,
    /// The main file's name.
    file: Option<String>,
    /// In units of 1e9 bytes, three decimals; 0 when unknown.
    size_gb: f64,
    files: Vec<FileView>,
    /// Why it cannot be had; null when it can.
    restricted: Option<String>,
    /// `present`, `missing` or `not_found`.
    catalog_status: &'static str,
    catalog_file: Option<String>,
    catalog: Option<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelCardFile")]
struct FileView {
    id: Option<u64>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    size_bytes: Option<u64>,
    format: Option<String>,
    fp: Option<String>,
    sha256: Option<String>,
    primary: bool,
    usable: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelCardPreview")]
struct PreviewView {
    url: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    width: Option<u64>,
    height: Option<u64>,
    nsfw_level: Option<u64>,
}

impl From<ModelCard> for CardView {
    fn from(card: ModelCard) -> Self {
        let description = card.description.as_deref().unwrap_or_default();
        Self {
            model_id: card.model_id,
            description: plain_text(description, DESCRIPTION),
            name: card.name,
            author: card.author,
            kind: card.kind,
            tags: card.tags,
            nsfw: card.is_nsfw,
            stats: StatsView { downloads: card.downloads, thumbs_up: card.thumbs_up, rating: card.rating },
            versions: card.versions.into_iter().map(VersionView::from).collect(),
            preview_images: card.previews.into_iter().map(PreviewView::from).collect(),
            selected_version_id: card.selected_version_id,
        }
    }
}

impl From<CardVersion> for VersionView {
    fn from(version: CardVersion) -> Self {
        let main = version.files.iter().find(|file| file.is_primary).or_else(|| version.files.first());
        let entry = version.entry.as_ref();
        Self {
            id: version.id,
            file: main.and_then(|file| file.name.clone()),
            size_gb: main.and_then(|file| file.size_bytes).map_or(0.0, gigabytes),
            catalog_status: catalog_status(entry),
            catalog_file: entry.map(|mapped| mapped.entry.file().to_owned()),
            catalog: entry.map(|mapped| mapped.entry.catalog.as_str()),
            name: version.name,
            base_model: version.base_model,
            published_at: version.published_at,
            trained_words: version.trained_words,
            downloads: version.downloads,
            files: version.files.into_iter().map(FileView::from).collect(),
            restricted: version.restriction,
        }
    }
}

/// Units of 1e9 bytes, three decimals.
fn gigabytes(bytes: u64) -> f64 {
    (bytes as f64 / 1e6).round() / 1e3
}

impl From<CardFile> for FileView {
    fn from(file: CardFile) -> Self {
        Self {
            id: file.id,
            name: file.name,
            kind: file.kind,
            size_bytes: file.size_bytes,
            format: file.format,
            fp: file.precision,
            sha256: file.sha256,
            primary: file.is_primary,
            usable: file.is_usable,
        }
    }
}

impl From<CardPreview> for PreviewView {
    fn from(preview: CardPreview) -> Self {
        Self {
            url: preview.url,
            kind: preview.kind,
            width: preview.width,
            height: preview.height,
            nsfw_level: preview.level,
        }
    }
}
