//! What is asked of an evaluation.

mod faults;
mod images;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use faults::{PathStep, RequestFault};
pub(super) use images::MAX_CELLS;
pub use images::{BuiltIn, ImageRequest, PromptRequest, Template};

use PathStep::{Field, Item};

/// Files of one request.
pub(super) const MAX_FILES: usize = 16;
/// How long an answer may be waited for, seconds.
const MAX_WAIT_SECONDS: u64 = 55;
/// Singular values of a module that are shown at most.
const MAX_SINGULAR_VALUES: usize = 16;
/// Programs whose behaviour can be looked up.
const RUNTIMES: [&str; 4] = ["comfyui", "diffusers", "a1111", "forge"];
/// Energy shares that ranks are found for at most.
const MAX_TARGETS: usize = 8;

/// An evaluation as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseRequest {
    /// A checkpoint of the catalog, by file name or path.
    pub file: String,
    /// Whether its weights are read, for changes relative to them; takes as long as reading the file.
    #[serde(default)]
    pub use_weights: bool,
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

fn one() -> f64 {
    1.0
}

fn four() -> usize {
    4
}

fn default_wait() -> u64 {
    20
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
