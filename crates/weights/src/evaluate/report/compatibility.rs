//! Where a file can be used.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Distribution;

/// Where a file can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compatibility {
    /// The programs that were asked for.
    pub runtimes: Vec<RuntimeFit>,
    /// The base model, when one was given.
    pub base: Option<BaseFit>,
}

/// What one program would do with the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeFit {
    /// `comfyui`, `diffusers`, `a1111`, `forge`.
    pub runtime: String,
    /// The version that the table of rules was made from.
    pub version: String,
    /// How the rules were found: `measured`, `source` or `documentation`.
    pub evidence: String,
    /// Modules that it applies.
    pub loaded_modules: u64,
    /// Modules that it ignores.
    pub ignored_modules: u64,
    /// The share of the energy of the file that is applied; none when nothing was measured.
    pub applied_energy: Option<f64>,
    /// Ignored modules by reason: `key_not_mapped`, `algorithm_unsupported`, `module_invalid`.
    pub ignored_reasons: BTreeMap<String, u64>,
    /// The first of the ignored modules.
    pub ignored_examples: Vec<String>,
    /// What it applies differently than it was trained.
    pub deviations: Vec<Deviation>,
    /// The program does not know this architecture, or the table does not: nothing was decided.
    pub unknown_architecture: bool,
}

/// Something a program applies differently than the file was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deviation {
    /// A stable name, as `dora_output_axis`.
    pub code: String,
    /// How many modules it concerns.
    pub modules: u64,
    /// The sentence.
    pub message: String,
}

/// Whether the file fits a base model, by keys and shapes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BaseFit {
    /// The base, by the name that the caller gave.
    pub file: String,
    /// Modules whose weight is there with the right shape.
    pub mapped: u64,
    /// Modules whose weight has another shape.
    pub shape_mismatch: u64,
    /// Modules whose weight is not there.
    pub unmapped: u64,
    /// The first modules with another shape: name, own shape, shape in the base.
    pub mismatch_examples: Vec<String>,
    /// The first modules that are not there.
    pub unmapped_examples: Vec<String>,
    /// Parts of the model that the base file does not hold at all, as `te1` beside a bare UNet; their
    /// modules count as neither.
    pub absent_components: BTreeMap<String, u64>,
    /// The share of the base's matrices that the file changes.
    pub coverage: f64,
    /// Norm of the change over that of the base weight, when weights were read.
    pub relative_frobenius: Option<Distribution>,
    /// Largest singular value of the change over that of the base weight.
    pub relative_spectral: Option<Distribution>,
}
