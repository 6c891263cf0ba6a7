//! What was found of a file as a whole, and of its blocks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether it is a sound file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileFacts {
    /// The header is well formed, the tensors cover the data, and every number is finite.
    pub valid: bool,
    /// `safetensors`, or what the first bytes are.
    pub format: String,
    /// Bytes of the whole file.
    pub size_bytes: u64,
    /// Bytes of the header.
    pub header_bytes: u64,
    /// Tensors.
    pub tensors: u64,
    /// Elements of all tensors.
    pub parameters: u64,
    /// Tensors by the type of their elements.
    pub dtypes: BTreeMap<String, u64>,
    /// Elements that are not a number.
    pub nan: u64,
    /// Infinite elements.
    pub inf: u64,
    /// Tensors of more than one element that are all zero.
    pub zero_tensors: u64,
    /// The share of F16 elements that have lost precision by being small; none without F16.
    pub subnormal_f16_fraction: Option<f64>,
    /// F16 elements of the largest size, at which a conversion may have clipped.
    pub saturated_f16: u64,
    /// Whether the tensors hash to what the trainer wrote; none when it wrote nothing.
    pub payload_hash_matches_metadata: Option<bool>,
    /// What is wrong with the file.
    pub errors: Vec<String>,
}

/// What kind of adapter it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdapterFacts {
    /// Modules by algorithm.
    pub algorithms: BTreeMap<String, u64>,
    /// Whose spelling the names are.
    pub naming: Option<String>,
    /// The program that trained it, by the metadata.
    pub trainer: Option<String>,
    /// The family of the base model.
    pub architecture: Option<String>,
    /// How sure that is, from 0 to 1.
    pub architecture_confidence: f64,
    /// Modules by part of the model.
    pub components: BTreeMap<String, u64>,
    /// The ranks of the factors; none when there are none.
    pub rank: Option<RankFacts>,
    /// The alphas; none when there are none.
    pub alpha: Option<AlphaFacts>,
    /// The scales.
    pub scale: ScaleFacts,
    /// Tensors that belong to no module; the first of them.
    pub orphan_tensors: Vec<String>,
}

/// The ranks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RankFacts {
    /// The lowest.
    pub min: u64,
    /// The highest.
    pub max: u64,
    /// The most frequent.
    pub mode: u64,
}

/// The alphas of a file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlphaFacts {
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The most frequent.
    pub mode: f64,
}

/// What products are multiplied with, and who says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleFacts {
    /// The most frequent.
    pub mode: Option<f64>,
    /// Where that comes from; see [`ModuleReport::scale_source`](super::ModuleReport::scale_source).
    pub source: String,
    /// Modules by source.
    pub sources: BTreeMap<String, u64>,
    /// The most frequent in each program.
    pub by_runtime: BTreeMap<String, f64>,
    /// Modules whose scale is another one in some program.
    pub differing_modules: u64,
}

/// The spread of a number over modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Modules that have the number.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// A tenth is at or below.
    pub p10: f64,
    /// The one in the middle.
    pub p50: f64,
    /// A tenth is at or above.
    pub p90: f64,
    /// The largest.
    pub max: f64,
    /// The mean, weighed by the energy of the modules.
    pub mean: f64,
}

/// How strong its changes are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightFacts {
    /// The strength at which all norms are given.
    pub strength: f64,
    /// Modules whose norm was computed.
    pub measured_modules: u64,
    /// The root of the energy of all modules.
    pub frobenius_total: f64,
    /// Over modules.
    pub frobenius: Option<Distribution>,
    /// Over modules, comparable across shapes.
    pub rms_entry: Option<Distribution>,
    /// The largest singular value of all.
    pub spectral_max: Option<f64>,
    /// Modules that change nothing.
    pub dead_modules: u64,
    /// The first of them.
    pub dead_module_names: Vec<String>,
    /// Modules whose `rms_entry` is far above the median of their kind, strongest first.
    pub outlier_modules: Vec<String>,
    /// Modules above the usual cap of trainers.
    pub over_max_norm: MaxNorm,
    /// Share of the energy by part of the model.
    pub energy_by_component: BTreeMap<String, f64>,
    /// Share of the energy by kind of module.
    pub energy_by_kind: BTreeMap<String, f64>,
    /// Sum of squared energy shares: one over the number of modules when all are alike, 1 when one has all.
    pub concentration_hhi: f64,
    /// The energy share of the strongest tenth of the modules.
    pub top_tenth_energy: f64,
}

/// Modules whose norm is above a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MaxNorm {
    /// The cap; kohya's documentation suggests 1 for `--scale_weight_norms`.
    pub cap: f64,
    /// Modules above it.
    pub count: u64,
}

/// How changes are spread over directions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpectrumFacts {
    /// What the spectrum is of.
    pub definition: String,
    /// Modules whose spectrum was computed.
    pub measured_modules: u64,
    /// Over modules.
    pub effective_rank: Option<Distribution>,
    /// Over modules.
    pub effective_rank_l1: Option<Distribution>,
    /// Effective rank over rank.
    pub rank_utilisation: Option<Utilisation>,
    /// Over modules.
    pub stable_rank: Option<Distribution>,
    /// Over modules.
    pub top1_energy: Option<Distribution>,
    /// Over modules, by share of the energy.
    pub energy_rank: BTreeMap<String, Distribution>,
    /// What a smaller file would hold.
    pub resize: Vec<ResizeOption>,
}

/// Effective rank over rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Utilisation {
    /// The median over modules.
    pub p50: f64,
    /// A tenth is at or above.
    pub p90: f64,
    /// What factors of pure noise of the same shapes would have: this is no grade.
    pub noise_baseline: f64,
}

/// How ranks are chosen when a file is made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// Each module its own rank.
    Dynamic,
    /// All modules the rank of the neediest.
    Fixed,
}

/// What a smaller file would hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResizeOption {
    /// The share of the energy that every module keeps at least.
    pub energy: f64,
    /// How ranks are chosen.
    pub mode: ResizeMode,
    /// The file's size in bytes, exact when written by `resize`.
    pub size_bytes: u64,
    /// `size_bytes` over the size of this file.
    pub size_ratio: f64,
    /// The mean rank of the modules that are resized.
    pub mean_rank: f64,
    /// The highest rank.
    pub max_rank: u64,
    /// The share of the energy of all resized modules that is kept.
    pub retained_energy: f64,
    /// Modules that are resized; others are copied.
    pub modules: u64,
    /// The same for kohya's `resize_lora.py`, which compares norms where this compares energies.
    pub kohya_args: String,
}

/// A block of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockFacts {
    /// Its name, as `IN04`.
    pub block: String,
    /// The part of the model.
    pub component: String,
    /// Modules in it.
    pub modules: u64,
    /// The root of its energy.
    pub frobenius: f64,
    /// Its share of the energy of the file.
    pub energy_share: f64,
    /// The median over its modules.
    pub effective_rank_p50: Option<f64>,
}

/// The name of an energy share in documents: `0.90`, `0.995`.
pub fn share_key(share: f64) -> String {
    let short = format!("{share:.2}");
    if short.parse::<f64>().is_ok_and(|value| (value - share).abs() < 1e-9) {
        short
    } else {
        share.to_string()
    }
}
