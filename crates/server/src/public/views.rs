//! The shapes of the public API, one a dated version.

use http::StatusCode;
use lorakeep_registry::domain::{ApiVersion, GenerationSettings};
use lorakeep_registry::{ListedStyle, RenderedFile, RenderedStyle};
use schemars::JsonSchema;
use serde::Serialize;

use crate::problem::Problem;
use crate::uploaded::second;

/// A style as version `2026-05-15` shows it. Every field is always there; what is not set is null.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StyleView<'a> {
    /// Opaque and the same for ever: `lora_` and a ULID.
    id: String,
    /// What people call it.
    name: &'a str,
    /// Whether every team sees it.
    is_public: bool,
    /// When it was made, RFC 3339 in UTC.
    created_at: String,
    /// Its name in addresses; may change.
    slug: Option<&'a str>,
    /// What it does.
    description: Option<&'a str>,
    /// Where its preview is.
    preview_image_url: Option<String>,
    /// Strength of denoising that holds when a request says none, 0 to 1.
    default_denoise_strength: Option<f64>,
    /// Scale of classifier-free guidance that holds when a request says none, 0.1 to 30.
    default_guidance_scale: Option<f64>,
    /// Steps of diffusion that hold when a request says none, 1 to 100.
    default_steps: Option<u32>,
    /// Whether a template is applied to prompts.
    has_template: bool,
}

/// A style as versions from `2026-11-01` on show it: the defaults stand together, and the base model is said.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GroupedStyleView<'a> {
    /// Opaque and the same for ever: `lora_` and a ULID.
    id: String,
    /// What people call it.
    name: &'a str,
    /// Whether every team sees it.
    is_public: bool,
    /// When it was made, RFC 3339 in UTC.
    created_at: String,
    /// Its name in addresses; may change.
    slug: Option<&'a str>,
    /// What it does.
    description: Option<&'a str>,
    /// Where its preview is.
    preview_image_url: Option<String>,
    /// The model that it is for.
    base_model: Option<&'a str>,
    /// What holds when a request does not say.
    defaults: SettingsView,
    /// Whether a template is applied to prompts.
    has_template: bool,
}

/// How a picture is made; null is left to the generator.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SettingsView {
    /// Strength of denoising, 0 to 1.
    denoise_strength: Option<f64>,
    /// Scale of classifier-free guidance, 0.1 to 30.
    guidance_scale: Option<f64>,
    /// Steps of diffusion, 1 to 100.
    steps: Option<u32>,
}

/// A style in whichever version.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum AnyStyleView<'a> {
    Flat(StyleView<'a>),
    Grouped(GroupedStyleView<'a>),
}

/// What a generator needs for a request.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RenderView {
    /// The style's id.
    id: String,
    /// The style's slug.
    slug: Option<String>,
    /// The style's name.
    name: String,
    /// The model that its LoRAs are for.
    base_model: Option<String>,
    /// The prompt with the style's template applied.
    prompt: String,
    /// Words that the LoRAs listen to; the prompt holds them when the template says so.
    trigger_words: Vec<String>,
    /// What the request said, else the style's default; null is left to the generator.
    #[serde(flatten)]
    settings: SettingsView,
    /// The LoRAs to apply: `high` and `low` to their models, `both` to every one.
    loras: Vec<RenderedFileView>,
}

/// One LoRA to apply.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RenderedFileView {
    /// `high`, `low` or `both`.
    role: &'static str,
    /// The file name.
    file: String,
    /// The path that ComfyUI's LoRA loader knows it by.
    path: String,
    /// How strongly it is applied.
    strength: f64,
    /// SHA-256 of its content, hexadecimal; null until the file was hashed.
    sha256: Option<String>,
    /// Its length in bytes.
    size_bytes: u64,
}

impl<'a> AnyStyleView<'a> {
    /// A style as that version shows it, on a server at `base`.
    pub(super) fn new(listed: &'a ListedStyle, version: ApiVersion, base: &str) -> Self {
        let style = StyleView::new(listed, base);
        if version < ApiVersion::GROUPED_DEFAULTS {
            return Self::Flat(style);
        }
        Self::Grouped(GroupedStyleView {
            id: style.id,
            name: style.name,
            is_public: style.is_public,
            created_at: style.created_at,
            slug: style.slug,
            description: style.description,
            preview_image_url: style.preview_image_url,
            base_model: some(&listed.base_model),
            defaults: listed.style.defaults.into(),
            has_template: style.has_template,
        })
    }
}

impl<'a> StyleView<'a> {
    fn new(listed: &'a ListedStyle, base: &str) -> Self {
        let style = &listed.style;
        Self {
            id: style.id.to_string(),
            name: &style.name,
            is_public: style.audience.team().is_none(),
            created_at: second(style.created_at),
            slug: some(&style.slug),
            description: style.description.as_deref(),
            preview_image_url: style.preview.as_deref().map(|name| format!("{base}/v1/previews/{name}")),
            default_denoise_strength: style.defaults.denoise_strength,
            default_guidance_scale: style.defaults.guidance_scale,
            default_steps: style.defaults.steps,
            has_template: style.template.is_some(),
        }
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<GenerationSettings> for SettingsView {
    fn from(settings: GenerationSettings) -> Self {
        let GenerationSettings { denoise_strength, guidance_scale, steps } = settings;
        Self { denoise_strength, guidance_scale, steps }
    }
}

impl From<RenderedStyle> for RenderView {
    fn from(rendered: RenderedStyle) -> Self {
        let state = rendered.style;
        Self {
            id: state.style.id.to_string(),
            slug: some(&state.style.slug).map(str::to_owned),
            name: state.style.name.clone(),
            base_model: some(&state.base_model).map(str::to_owned),
            prompt: rendered.prompt,
            trigger_words: state.trigger_words,
            settings: rendered.settings.into(),
            loras: rendered.files.into_iter().map(RenderedFileView::from).collect(),
        }
    }
}

impl From<RenderedFile> for RenderedFileView {
    fn from(file: RenderedFile) -> Self {
        Self {
            role: file.role.as_str(),
            file: file.file,
            path: file.path,
            strength: file.strength,
            sha256: file.sha256.map(|sha256| sha256.to_string()),
            size_bytes: file.size_bytes,
        }
    }
}

/// A value that the API does not take.
pub(super) fn out_of_bounds(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "out_of_bounds", detail)
}
