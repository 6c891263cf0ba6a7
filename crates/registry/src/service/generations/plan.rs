//! What the pictures of a generation follow from: decided when it is asked for, so that a start anew changes nothing.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::GenerationRequest;
use crate::domain::{PairRole, Sha256};
use crate::error::{Error, Result};
use crate::service::RenderedStyle;

/// Everything that the pictures of a generation follow from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationPlan {
    /// The id of the style.
    pub style: String,
    /// The style's base model, by which the workflow is chosen.
    pub base_model: String,
    /// The prompt with the style's template applied.
    pub prompt: String,
    /// What the pictures shall not show.
    pub negative_prompt: String,
    /// The first picture's seed; the others count up.
    pub seed: u64,
    /// Scale of guidance; the workflow's own when absent.
    pub guidance_scale: Option<f64>,
    /// Steps of the sampler; the workflow's own when absent.
    pub steps: Option<u32>,
    /// Pixels; the workflow's own when absent.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// The LoRAs, in the order of their roles.
    pub(super) loras: Vec<PlannedLora>,
}

/// One LoRA of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedLora {
    /// `high`, `low` or `both`.
    pub(super) role: String,
    /// Path below the folder of LoRAs.
    pub(super) path: String,
    pub(super) strength: f64,
}

/// A picture as it is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Picture {
    pub(super) state: PictureState,
    /// What the generator knows it by, written before it is sent.
    pub(super) prompt_id: Option<String>,
    pub(super) sha256: Option<String>,
    /// `png`, `jpeg` or `webp`.
    pub(super) format: Option<String>,
    pub(super) error: Option<String>,
}

/// Where a picture is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PictureState {
    #[default]
    Waiting,
    Submitted,
    Done,
    Failed,
}

impl Picture {
    pub(super) fn media_type(&self) -> &'static str {
        match self.format.as_deref() {
            Some("jpeg") => "image/jpeg",
            Some("webp") => "image/webp",
            _ => "image/png",
        }
    }
}

impl GenerationPlan {
    pub(super) fn new(request: &GenerationRequest, rendered: &RenderedStyle) -> Self {
        let lora = |file: &crate::service::RenderedFile| PlannedLora {
            role: file.role.as_str().to_owned(),
            path: file.path.clone(),
            strength: file.strength,
        };
        Self {
            style: rendered.style.style.id.to_string(),
            base_model: rendered.style.base_model.clone(),
            prompt: rendered.prompt.clone(),
            negative_prompt: request.negative_prompt.clone(),
            seed: request.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
            guidance_scale: rendered.settings.guidance_scale,
            steps: rendered.settings.steps,
            width: request.width,
            height: request.height,
            loras: rendered.files.iter().map(lora).collect(),
        }
    }

    /// The seed of the picture at a place.
    pub fn seed_of(&self, place: usize) -> u64 {
        self.seed.wrapping_add(place as u64)
    }

    /// The LoRA for a role: its own, else the one for both.
    pub(super) fn lora_for(&self, role: PairRole) -> Option<&PlannedLora> {
        let of = |role: PairRole| self.loras.iter().find(|lora| lora.role == role.as_str());
        of(role).or_else(|| of(PairRole::Both))
    }
}

/// What tells one request from another.
pub(super) fn request_hash(request: &GenerationRequest) -> String {
    let settings = &request.render.settings;
    let asked = json!({
        "style": request.style,
        "prompt": request.render.prompt,
        "negative_prompt": request.negative_prompt,
        "images": request.images,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "denoise_strength": settings.denoise_strength,
        "guidance_scale": settings.guidance_scale,
        "steps": settings.steps,
        "strength": request.render.strength,
    });
    Sha256::of(asked.to_string().as_bytes()).to_string()
}

pub(super) fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("a generation cannot be written", error))
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::internal("a generation cannot be read", error))
}
