//! Styles as the studio sees them.

use lorakeep_registry::{StyleFileState, StyleState};
use schemars::JsonSchema;
use serde::Serialize;

use super::time;

/// One style with what only the studio sees.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct StyleView {
    /// `lora_` and a ULID; the same for ever.
    id: String,
    /// Its name in addresses.
    slug: String,
    /// Slugs that it had before and that still lead to it.
    old_slugs: Vec<String>,
    /// What people call it.
    name: String,
    /// What it does.
    description: Option<String>,
    /// Whether every team sees it.
    is_public: bool,
    /// The team that it is for alone, by name.
    team: Option<String>,
    /// The same team by id.
    team_id: Option<String>,
    /// The pair that it was made from.
    pair_id: Option<String>,
    /// The model that it is for.
    base_model: Option<String>,
    /// The words that its LoRAs listen to.
    trigger_words: Vec<String>,
    /// Where its preview is on this server.
    preview_image_url: Option<String>,
    /// Strength of denoising, 0 to 1.
    default_denoise_strength: Option<f64>,
    /// Scale of classifier-free guidance, 0.1 to 30.
    default_guidance_scale: Option<f64>,
    /// Steps of diffusion, 1 to 100.
    default_steps: Option<u32>,
    /// What becomes of a prompt.
    template: Option<String>,
    /// Whether all of its files are here.
    ready: bool,
    /// Its files, one a role.
    files: Vec<StyleFileView>,
    /// When it was made.
    created_at: String,
    /// When it was last changed.
    updated_at: String,
    /// When it was deleted; it can be restored.
    deleted_at: Option<String>,
}

/// One file of a style.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct StyleFileView {
    /// `high`, `low` or `both`.
    role: &'static str,
    /// The file name.
    file: String,
    /// The folder below the models folder.
    dest: String,
    /// The entry, while a catalog has it.
    entry_id: Option<String>,
    /// Whether the file is on disk.
    present: bool,
    /// How strongly it is applied.
    strength: f64,
    /// SHA-256 of its content; null until it is known.
    sha256: Option<String>,
    /// Its length in bytes, while it is on disk.
    size_bytes: Option<u64>,
}

impl From<StyleState> for StyleView {
    fn from(state: StyleState) -> Self {
        let ready = state.is_ready();
        let style = state.style.as_ref();
        let preview = style.preview.as_ref();
        Self {
            id: style.id.to_string(),
            slug: style.slug.clone(),
            old_slugs: style.old_slugs.clone(),
            name: style.name.clone(),
            description: style.description.clone(),
            is_public: style.audience.team().is_none(),
            team: state.team,
            team_id: style.audience.team().map(|team| team.to_string()),
            pair_id: style.pair_id.clone(),
            base_model: Some(state.base_model).filter(|name| !name.is_empty()),
            trigger_words: state.trigger_words,
            preview_image_url: preview.map(|name| format!("/v1/previews/{name}")),
            default_denoise_strength: style.defaults.denoise_strength,
            default_guidance_scale: style.defaults.guidance_scale,
            default_steps: style.defaults.steps,
            template: style.template.as_ref().map(|template| template.as_str().to_owned()),
            ready,
            files: state.files.iter().map(StyleFileView::from).collect(),
            created_at: time(style.created_at),
            updated_at: time(style.updated_at),
            deleted_at: style.deleted_at.map(time),
        }
    }
}

impl From<&StyleFileState> for StyleFileView {
    fn from(state: &StyleFileState) -> Self {
        let path = state.path();
        Self {
            role: state.role().as_str(),
            file: path.file.as_str().to_owned(),
            dest: path.folder.as_str().to_owned(),
            entry_id: state.entry.as_ref().map(|entry| entry.id.to_string()),
            present: state.is_present,
            strength: state.file.strength,
            sha256: state.sha256.map(|sha256| sha256.to_string()),
            size_bytes: state.size_bytes,
        }
    }
}
