//! A model of CivitAI on one card: what it is, its versions with what of them is here, and pictures of it.

use super::add::restriction;
use super::map::MappedEntry;
use crate::error::{Error, Result};
use crate::service::Registry;
use crate::upstream::civitai::{Model, Version, VersionFile, VersionImage, is_weights};
use crate::upstream::reference::Reference;

/// Pictures that a card shows.
const PREVIEWS: usize = 20;

/// A model with its versions.
#[derive(Debug, Clone, Default)]
pub struct ModelCard {
    /// Model id.
    pub model_id: u64,
    /// Its name.
    pub name: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// HTML of a stranger.
    pub description: Option<String>,
    /// `LORA`, `Checkpoint`, …
    pub kind: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is for adults.
    pub is_nsfw: bool,
    /// How often it was downloaded.
    pub downloads: Option<u64>,
    /// How many liked it.
    pub thumbs_up: Option<u64>,
    /// Stars, of old models alone.
    pub rating: Option<f64>,
    /// Its versions, newest first.
    pub versions: Vec<CardVersion>,
    /// Pictures of its versions.
    pub previews: Vec<CardPreview>,
    /// The version that the link names.
    pub selected_version_id: Option<u64>,
}

/// One version.
#[derive(Debug, Clone)]
pub struct CardVersion {
    /// Version id.
    pub id: u64,
    /// Its name.
    pub name: Option<String>,
    /// The base model.
    pub base_model: Option<String>,
    /// When it was published, as written.
    pub published_at: Option<String>,
    /// Trigger words.
    pub trained_words: Vec<String>,
    /// How often it was downloaded.
    pub downloads: Option<u64>,
    /// Why it cannot be downloaded.
    pub restriction: Option<String>,
    /// Its files.
    pub files: Vec<CardFile>,
    /// Its entry, when a catalog has it.
    pub entry: Option<MappedEntry>,
}

/// One file of a version.
#[derive(Debug, Clone)]
pub struct CardFile {
    /// File id.
    pub id: Option<u64>,
    /// Its name, as a stranger wrote it.
    pub name: Option<String>,
    /// `Model`, `VAE`, `Training Data`, …
    pub kind: Option<String>,
    /// Bytes, as far as the record is right.
    pub size_bytes: Option<u64>,
    /// `SafeTensor`, `PickleTensor`, …
    pub format: Option<String>,
    /// `fp16`, `bf16`, …
    pub precision: Option<String>,
    /// SHA-256, lower-case hex.
    pub sha256: Option<String>,
    /// Whether the site gives this one when nobody chooses.
    pub is_primary: bool,
    /// Whether a loader could use it.
    pub is_usable: bool,
}

/// One picture.
#[derive(Debug, Clone)]
pub struct CardPreview {
    /// Where it is.
    pub url: String,
    /// `image` or `video`.
    pub kind: Option<String>,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
    /// Bits of CivitAI's levels.
    pub level: Option<u64>,
}

impl Registry {
    /// The card of the model that a link, an id or an AIR names; digits alone are a model's id.
    pub async fn model_card(&self, reference: &str) -> Result<ModelCard> {
        let (model_id, version_id) = self.model_named(reference.trim()).await?;
        let model = self.inner.jobs.upstreams.civitai.model(model_id).await?;
        let model = self.with_version(model, version_id).await;
        Ok(self.card_of(model, version_id))
    }

    async fn model_named(&self, reference: &str) -> Result<(u64, Option<u64>)> {
        if let Ok(model_id) = reference.parse() {
            return Ok((model_id, None));
        }
        let upstreams = &self.inner.jobs.upstreams;
        match Reference::parse(reference, &upstreams.endpoints)? {
            Reference::CivitaiModel { model_id } => Ok((model_id, None)),
            Reference::CivitaiVersion { version_id, model_id: Some(model_id), .. } => {
                Ok((model_id, Some(version_id)))
            }
            Reference::CivitaiVersion { version_id, .. } => {
                let version = upstreams.civitai.version(version_id, None).await?;
                let model_id = version.model_id.ok_or_else(|| {
                    let message = format!("CivitAI does not say which model version {version_id} belongs to");
                    Error::Upstream { code: "unexpected_shape", status: Some(200), message }
                })?;
                Ok((model_id, Some(version_id)))
            }
            _ => {
                let message = "this is no model of CivitAI; give its link, such as \
                               `https://civitai.com/models/1?modelVersionId=2`, or its id";
                Err(Error::invalid("unknown_reference", "url", message))
            }
        }
    }

    /// Versions that the site's list has lost are asked for one by one.
    async fn with_version(&self, mut model: Model, version_id: Option<u64>) -> Model {
        let missing = version_id.filter(|id| !model.versions.iter().any(|version| version.id == *id));
        if let Some(version_id) = missing
            && let Ok(version) = self.inner.jobs.upstreams.civitai.version(version_id, None).await
        {
            model.versions.push(Version { model_id: Some(model.id), model: model.head.clone(), ..version });
        }
        model
    }

    fn card_of(&self, model: Model, selected_version_id: Option<u64>) -> ModelCard {
        let images = model.versions.iter().flat_map(|version| &version.images);
        let previews = images.take(PREVIEWS).map(preview).collect();
        let versions = model.versions.iter().map(|version| self.card_version(version)).collect();
        let head = model.head;
        ModelCard {
            model_id: model.id,
            name: head.name,
            author: head.creator,
            description: head.description,
            kind: head.kind,
            tags: head.tags,
            is_nsfw: head.is_nsfw,
            downloads: head.downloads,
            thumbs_up: head.thumbs_up,
            rating: head.rating,
            versions,
            previews,
            selected_version_id,
        }
    }

    fn card_version(&self, version: &Version) -> CardVersion {
        CardVersion {
            id: version.id,
            name: version.name.clone(),
            base_model: version.base_model.clone(),
            published_at: version.published_at.clone(),
            trained_words: version.trained_words.clone(),
            downloads: version.downloads,
            restriction: restriction(version, false, self.now()),
            files: version.files.iter().map(card_file).collect(),
            entry: self.entry_of_version(version.id, None).map(|entry| self.mapped(entry)),
        }
    }
}

fn card_file(file: &VersionFile) -> CardFile {
    CardFile {
        id: file.id,
        name: file.name.clone(),
        kind: file.kind.clone(),
        size_bytes: file.estimated_bytes(),
        format: file.format.clone(),
        precision: file.precision.clone(),
        sha256: file.sha256.clone(),
        is_primary: file.is_primary,
        is_usable: is_weights(file),
    }
}

fn preview(image: &VersionImage) -> CardPreview {
    CardPreview {
        url: image.url.clone(),
        kind: image.kind.clone(),
        width: image.width,
        height: image.height,
        level: image.level,
    }
}
