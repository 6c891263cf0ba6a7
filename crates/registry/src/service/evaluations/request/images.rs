//! Pictures that are asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::faults::PathStep::{self, Field};
use super::faults::RequestFault;
use crate::domain::image_metrics::PromptKind;

/// Pictures of one request.
pub(in super::super) const MAX_CELLS: usize = 200;

/// Pictures through the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// How pictures are made.
    #[serde(default)]
    pub template: Template,
    /// The base model as the generator lists it, or as the catalog does; the only one there when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// Text encoders, for templates that load them on their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_encoders: Vec<String>,
    /// The VAE, for templates that load it on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae: Option<String>,
    /// What is to be seen.
    pub prompts: Vec<PromptRequest>,
    /// Seeds; the same ones for each prompt and strength.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// Strengths; 0 is always there, as what the others are compared with.
    #[serde(default = "default_strengths")]
    pub strengths: Vec<f64>,
    /// Pixels; the template's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Steps of the sampler.
    #[serde(default = "default_steps")]
    pub steps: u32,
    /// Guidance; the template's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg: Option<f64>,
    /// Name of the sampler, as `euler`.
    #[serde(default = "default_sampler")]
    pub sampler: String,
    /// Name of the scheduler; the template's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Pictures at most.
    #[serde(default = "default_cells")]
    pub max_cells: usize,
    /// How long one picture may take from the moment in which the generator begins it, seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
}

/// One prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptRequest {
    /// What is to be seen.
    pub text: String,
    /// What is not.
    #[serde(default)]
    pub negative: String,
    /// What it is there for.
    #[serde(default)]
    pub kind: PromptKind,
}

/// How pictures are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Template {
    /// One of ours.
    BuiltIn(BuiltIn),
    /// A workflow in ComfyUI's API format with placeholders.
    Own(Map<String, Value>),
}

/// A template of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuiltIn {
    /// A checkpoint with its text encoder and VAE in one file, 512 pixels.
    Sd15,
    /// The same, 1024 pixels.
    Sdxl,
    /// Diffusion model, two text encoders and VAE in files of their own.
    Flux,
}

impl Default for Template {
    fn default() -> Self {
        Self::BuiltIn(BuiltIn::Sdxl)
    }
}

fn default_seeds() -> Vec<u64> {
    vec![1, 2]
}

fn default_strengths() -> Vec<f64> {
    vec![0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
}

fn default_sampler() -> String {
    "euler".to_owned()
}

fn default_steps() -> u32 {
    20
}

fn default_cells() -> usize {
    MAX_CELLS
}

fn default_timeout() -> u64 {
    600
}

impl ImageRequest {
    /// Pictures of these prompts with everything else as it is usual.
    pub(in crate::service) fn of(prompts: Vec<PromptRequest>) -> Self {
        Self {
            template: Template::default(),
            base_model: None,
            text_encoders: Vec::new(),
            vae: None,
            prompts,
            seeds: default_seeds(),
            strengths: default_strengths(),
            width: None,
            height: None,
            steps: default_steps(),
            cfg: None,
            sampler: default_sampler(),
            scheduler: None,
            max_cells: default_cells(),
            timeout_seconds: default_timeout(),
        }
    }

    /// The strengths with the baseline first, each once, in rising order.
    pub fn strengths(&self) -> Vec<f64> {
        let mut strengths = self.strengths.clone();
        strengths.push(0.0);
        strengths.sort_by(f64::total_cmp);
        strengths.dedup();
        strengths
    }

    pub(super) fn collect_faults(&self, files: usize, faults: &mut Vec<RequestFault>) {
        let at = |name: &'static str| vec![Field("images"), Field(name)];
        let mut unless = |holds: bool, path: Vec<PathStep>, kind, message: String| {
            if !holds {
                faults.push(RequestFault { path, message, kind });
            }
        };
        unless(
            !self.prompts.is_empty(),
            at("prompts"),
            "too_short",
            "List should have at least 1 item".into(),
        );
        unless(!self.seeds.is_empty(), at("seeds"), "too_short", "List should have at least 1 item".into());
        let in_range = |value: &f64| (-100.0..=100.0).contains(value);
        let message = "Input should be between -100 and 100".to_owned();
        unless(self.strengths.iter().all(in_range), at("strengths"), "less_than_equal", message);
        unless(
            self.strengths().len() > 1,
            at("strengths"),
            "too_short",
            "List should have at least 1 strength beside 0".into(),
        );
        let most = self.max_cells.min(MAX_CELLS);
        let cells = self.cells(files);
        unless(
            cells <= most,
            at("max_cells"),
            "too_long",
            format!(
                "the grid has {cells} pictures, at most {most} are made: use less prompts, seeds or strengths"
            ),
        );
        let is_side =
            |side: Option<u32>| side.is_none_or(|side| (64..=4096).contains(&side) && side % 8 == 0);
        let message = "Input should be a multiple of 8 between 64 and 4096".to_owned();
        unless(is_side(self.width), at("width"), "multiple_of", message.clone());
        unless(is_side(self.height), at("height"), "multiple_of", message);
        let message = "Input should be between 1 and 200".to_owned();
        unless((1..=200).contains(&self.steps), at("steps"), "less_than_equal", message);
        let message = "Input should be between 5 and 86400".to_owned();
        unless(
            (5..=86_400).contains(&self.timeout_seconds),
            at("timeout_seconds"),
            "less_than_equal",
            message,
        );
        if let Template::Own(graph) = &self.template {
            for fault in crate::upstream::comfyui::template::faults(graph) {
                unless(false, at("template"), "value_error", fault);
            }
        }
    }

    /// Pictures of the grid; those of strength 0 are made once for all files.
    pub fn cells(&self, files: usize) -> usize {
        let rows = self.prompts.len().saturating_mul(self.seeds.len());
        let columns = (self.strengths().len() - 1).saturating_mul(files).saturating_add(1);
        rows.saturating_mul(columns)
    }
}
