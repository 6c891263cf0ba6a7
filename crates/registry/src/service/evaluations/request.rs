//! What is asked of an evaluation, and what of it cannot be meant.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::image_metrics::PromptKind;

/// Files of one request.
pub const MAX_FILES: usize = 16;
/// Pictures of one request.
pub const MAX_CELLS: usize = 200;
/// How long an answer may be waited for, seconds.
pub const MAX_WAIT_SECONDS: u64 = 55;
/// Singular values of a module that are shown at most.
const MAX_SINGULAR_VALUES: usize = 16;
/// Energy shares that ranks are found for at most.
const MAX_TARGETS: usize = 8;

/// An evaluation as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRequest {
    /// Files by partial path, catalog file name or SHA-256; in their order when they are a series.
    #[serde(default)]
    pub files: Vec<String>,
    /// What is looked at.
    #[serde(default = "default_checks")]
    pub checks: Vec<Check>,
    /// The files are checkpoints of one training in their order; the same as the check `series`.
    #[serde(default)]
    pub series: bool,
    /// The base model that they should fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseRequest>,
    /// The programs whose behaviour is looked up.
    #[serde(default = "default_runtimes")]
    pub runtimes: Vec<String>,
    /// The strength at which norms are given.
    #[serde(default = "one")]
    pub strength: f64,
    /// How much of each file's report is answered.
    #[serde(default)]
    pub detail: ReportDetail,
    /// Shares of the energy for which ranks are found.
    #[serde(default = "default_targets")]
    pub energy_targets: Vec<f64>,
    /// Singular values of each module that are answered.
    #[serde(default = "four")]
    pub top_singular_values: usize,
    /// Pictures through the generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageRequest>,
    /// How long the answer is waited for, seconds.
    #[serde(default = "default_wait")]
    pub wait_seconds: u64,
    /// An evaluation that runs: asks for its answer instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_id: Option<String>,
}

/// Something that can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Whether the file is sound.
    File,
    /// Norms.
    Weights,
    /// How the change is spread over directions.
    Spectrum,
    /// Where the file can be used.
    Compatibility,
    /// Each pair of files.
    Compare,
    /// The files as checkpoints of one training.
    Series,
    /// Pictures through the generator.
    Images,
}

/// How much of a file's report is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportDetail {
    /// The file as a whole.
    Summary,
    /// Its blocks too.
    #[default]
    Blocks,
    /// Every module too.
    Modules,
}

/// The base model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRequest {
    /// A checkpoint of the catalog, by file name or path.
    pub file: String,
    /// Whether its weights are read, for changes relative to them; takes as long as reading the file.
    #[serde(default)]
    pub use_weights: bool,
}

/// Pictures through the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Template {
    /// One of ours.
    BuiltIn(BuiltIn),
    /// A workflow in ComfyUI's API format with placeholders.
    Own(Map<String, Value>),
}

/// A template of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

fn default_checks() -> Vec<Check> {
    vec![Check::File, Check::Weights]
}

fn default_runtimes() -> Vec<String> {
    ["comfyui", "diffusers"].map(str::to_owned).to_vec()
}

fn default_targets() -> Vec<f64> {
    vec![0.9, 0.95, 0.99]
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

fn one() -> f64 {
    1.0
}

fn four() -> usize {
    4
}

fn default_wait() -> u64 {
    20
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

/// Something in a request that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// Names and indexes that lead to it.
    pub path: Vec<PathStep>,
    /// What is wrong.
    pub message: String,
    /// What is wrong, as a stable word in the manner of FastAPI.
    pub kind: &'static str,
}

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathStep {
    /// A field.
    Field(&'static str),
    /// An item of a list.
    Item(usize),
}

use PathStep::{Field, Item};

impl RequestFault {
    fn new(path: impl Into<Vec<PathStep>>, kind: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), kind }
    }

    /// The path in one word, as `images.seeds.0`.
    pub fn field(&self) -> String {
        let step = |step: &PathStep| match step {
            Field(name) => (*name).to_owned(),
            Item(place) => place.to_string(),
        };
        self.path.iter().map(step).collect::<Vec<_>>().join(".")
    }
}

impl Default for EvaluationRequest {
    fn default() -> Self {
        serde_json::from_str("{}").expect("every field has a default")
    }
}

impl EvaluationRequest {
    /// Whether something is looked at.
    pub fn has(&self, check: Check) -> bool {
        self.checks.contains(&check)
            || (check == Check::Series && self.series)
            || (check == Check::Compare && self.compares_by_default())
            || (check == Check::Images && self.images.is_some())
    }

    /// Several files are compared unless something else was asked for.
    fn compares_by_default(&self) -> bool {
        self.files.len() > 1 && !self.series && self.checks == default_checks()
    }

    /// Everything that cannot be meant.
    pub fn faults(&self) -> Vec<RequestFault> {
        let mut faults = Vec::new();
        self.collect_list_faults(&mut faults);
        self.collect_number_faults(&mut faults);
        if let Some(images) = &self.images {
            images.collect_faults(self.files.len(), &mut faults);
        } else if self.checks.contains(&Check::Images) {
            faults.push(RequestFault::new([Field("images")], "missing", "Field required"));
        }
        faults
    }

    fn collect_list_faults(&self, faults: &mut Vec<RequestFault>) {
        if self.files.is_empty() {
            let message =
                "List should have at least 1 item: name a file by partial path, file name or SHA-256";
            faults.push(RequestFault::new([Field("files")], "too_short", message));
        }
        if self.files.len() > MAX_FILES {
            let message = format!("List should have at most {MAX_FILES} items");
            faults.push(RequestFault::new([Field("files")], "too_long", message));
        }
        for (place, file) in self.files.iter().enumerate() {
            if file.trim().is_empty() {
                let message = "String should have at least 1 character";
                faults.push(RequestFault::new([Field("files"), Item(place)], "string_too_short", message));
            }
        }
        if self.files.len() < 2 && (self.has(Check::Compare) || self.has(Check::Series)) {
            let message = "List should have at least 2 items to be compared";
            faults.push(RequestFault::new([Field("files")], "too_short", message));
        }
        const RUNTIMES: [&str; 4] = ["comfyui", "diffusers", "a1111", "forge"];
        for (place, runtime) in self.runtimes.iter().enumerate() {
            if !RUNTIMES.contains(&runtime.as_str()) {
                let message = "Input should be 'comfyui', 'diffusers', 'a1111' or 'forge'";
                faults.push(RequestFault::new([Field("runtimes"), Item(place)], "enum", message));
            }
        }
    }

    fn collect_number_faults(&self, faults: &mut Vec<RequestFault>) {
        let mut unless = |holds: bool, path: Vec<PathStep>, kind, message: String| {
            if !holds {
                faults.push(RequestFault { path, message, kind });
            }
        };
        let less = |most: u64| format!("Input should be less than or equal to {most}");
        unless(
            self.wait_seconds <= MAX_WAIT_SECONDS,
            vec![Field("wait_seconds")],
            "less_than_equal",
            less(MAX_WAIT_SECONDS),
        );
        unless(
            self.top_singular_values <= MAX_SINGULAR_VALUES,
            vec![Field("top_singular_values")],
            "less_than_equal",
            less(MAX_SINGULAR_VALUES as u64),
        );
        unless(
            self.strength.is_finite() && self.strength.abs() <= 100.0,
            vec![Field("strength")],
            "less_than_equal",
            less(100),
        );
        unless(
            (1..=MAX_TARGETS).contains(&self.energy_targets.len()),
            vec![Field("energy_targets")],
            "too_long",
            format!("List should have 1 to {MAX_TARGETS} items"),
        );
        for (place, target) in self.energy_targets.iter().enumerate() {
            let message = "Input should be greater than 0 and less than or equal to 1".to_owned();
            let path = vec![Field("energy_targets"), Item(place)];
            unless(*target > 0.0 && *target <= 1.0, path, "less_than_equal", message);
        }
    }
}

impl ImageRequest {
    /// The strengths with the baseline first, each once, in rising order.
    pub fn strengths(&self) -> Vec<f64> {
        let mut strengths = self.strengths.clone();
        strengths.push(0.0);
        strengths.sort_by(f64::total_cmp);
        strengths.dedup();
        strengths
    }

    fn collect_faults(&self, files: usize, faults: &mut Vec<RequestFault>) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(request: Value) -> Vec<(String, &'static str)> {
        let request: EvaluationRequest = serde_json::from_value(request).unwrap();
        request.faults().into_iter().map(|fault| (fault.field(), fault.kind)).collect()
    }

    #[test]
    fn a_request_is_filled_with_defaults() {
        let request: EvaluationRequest = serde_json::from_value(json!({"files": ["a"]})).unwrap();
        assert_eq!(request.checks, [Check::File, Check::Weights]);
        assert_eq!((request.wait_seconds, request.top_singular_values), (20, 4));
        assert_eq!(request.faults(), []);
        let images: ImageRequest = serde_json::from_value(json!({"prompts": [{"text": "a cat"}]})).unwrap();
        assert_eq!(images.template, Template::BuiltIn(BuiltIn::Sdxl));
        assert_eq!(images.strengths(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
        assert_eq!((images.cells(1), images.cells(3)), (12, 32));
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_place() {
        assert_eq!(faults(json!({})), [("files".to_owned(), "too_short")]);
        assert_eq!(faults(json!({"files": ["a", " "]})), [("files.1".to_owned(), "string_too_short")]);
        assert_eq!(faults(json!({"files": vec!["a"; 17]})), [("files".to_owned(), "too_long")]);
        let compared = json!({"files": ["a"], "checks": ["compare"]});
        assert_eq!(faults(compared), [("files".to_owned(), "too_short")]);
        let pictures = json!({"files": ["a"], "checks": ["images"]});
        assert_eq!(faults(pictures), [("images".to_owned(), "missing")]);
        let numbers =
            json!({"files": ["a"], "wait_seconds": 56, "energy_targets": [0.5, 1.5], "runtimes": ["x"]});
        let expected = [
            ("runtimes.0", "enum"),
            ("wait_seconds", "less_than_equal"),
            ("energy_targets.1", "less_than_equal"),
        ];
        assert_eq!(faults(numbers), expected.map(|(field, kind)| (field.to_owned(), kind)));
        let many = json!({"files": ["a"], "images": {"prompts": [{"text": "a"}], "seeds": (0..100).collect::<Vec<_>>(), "width": 100}});
        let expected = [("images.max_cells", "too_long"), ("images.width", "multiple_of")];
        assert_eq!(faults(many), expected.map(|(field, kind)| (field.to_owned(), kind)));
    }
}
