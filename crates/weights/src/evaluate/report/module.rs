//! What was found of one module.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::decode::Census;

/// One adapted module of the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleReport {
    /// Its name as the file spells it; hostile text.
    pub name: String,
    /// `lora`, `dora`, `adalora`, `loha`, `lokr`, `glora`, `oft`, `boft`, `ia3`, `full`, `norm`, or the name
    /// of one that is recognised but not computed: `tlora`, `vera`, `fourierft`, `hra`, `unknown`.
    pub algo: String,
    /// `unet`, `transformer`, `te1`, `te2`, `te3` …
    pub component: String,
    /// The block of the network, as `IN04`, `DOUBLE07`; `OTHER` when the name tells none.
    pub block: String,
    /// `attn_self`, `attn_cross`, `attn`, `mlp`, `conv`, `norm`, `modulation`, `embedding`, `other`.
    pub kind: String,
    /// Outer side, and inner side with the kernel flattened; none when the tensors do not tell.
    pub shape: Option<[u64; 2]>,
    /// The rank of the factors, or the size of the blocks of an orthogonal algorithm.
    pub rank: Option<u64>,
    /// The bytes of its tensors.
    pub bytes: u64,
    /// The alpha that is stored or configured.
    pub alpha: Option<f64>,
    /// What the product is multiplied with at strength 1, as its trainer meant it.
    pub scale: f64,
    /// `tensor`, `header:lora_adapter_metadata`, `header:ss_network_alpha`, `file:adapter_config.json`,
    /// `none` (the algorithm has no scale) or `assumed`.
    pub scale_source: String,
    /// The same in `comfyui`, `diffusers`, `a1111` and `kohya`.
    pub scale_by_runtime: BTreeMap<String, f64>,
    /// The Frobenius norm of the change; for DoRA of its direction part, for GLoRA of the part that needs
    /// no base.
    pub frobenius: Option<f64>,
    /// The largest singular value.
    pub spectral: Option<f64>,
    /// The sum of the singular values.
    pub nuclear: Option<f64>,
    /// Sum of squares over the largest square.
    pub stable_rank: Option<f64>,
    /// Exponential of the entropy of the energies.
    pub effective_rank: Option<f64>,
    /// The same over the singular values themselves (Roy and Vetterli).
    pub effective_rank_l1: Option<f64>,
    /// `effective_rank` over `rank`. Pure noise is near 1, so this is no quality.
    pub rank_utilisation: Option<f64>,
    /// The fewest singular values that hold a share of the energy, by share: `0.90` …
    pub energy_rank: BTreeMap<String, u64>,
    /// The share of the first singular value in the energy.
    pub top1_energy: Option<f64>,
    /// The first singular value over the second.
    pub dominance: Option<f64>,
    /// `frobenius` over the root of the number of elements, comparable across shapes.
    pub rms_entry: Option<f64>,
    /// The largest singular values, as many as were asked for.
    pub top_singular_values: Vec<f64>,
    /// The rotation of OFT and BOFT.
    pub rotation: Option<Rotation>,
    /// The most that the change can be relative to the base weight, for algorithms that multiply it.
    pub relative_bound: Option<f64>,
    /// The Frobenius norm of the base weight, when the base was read.
    pub base_frobenius: Option<f64>,
    /// Its largest singular value.
    pub base_spectral: Option<f64>,
    /// The Frobenius norm of the change on this base: `frobenius`, but of DoRA, GLoRA, OFT, BOFT and IA3, which
    /// act on the base weight, that of what they make of it less the weight.
    pub change_frobenius: Option<f64>,
    /// The largest singular value of that change.
    pub change_spectral: Option<f64>,
    /// `change_frobenius` over `base_frobenius`.
    pub relative_frobenius: Option<f64>,
    /// `change_spectral` over `base_spectral`.
    pub relative_spectral: Option<f64>,
    /// What the elements are.
    pub census: Census,
    /// It changes nothing, or next to nothing beside the others.
    pub dead: bool,
    /// Its tensors are what the algorithm asks for.
    pub valid: bool,
    /// What is wrong with its tensors.
    pub issues: Vec<String>,
    /// Why norms are missing.
    pub reason: Option<String>,
}

/// How far the blocks of an orthogonal algorithm turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rotation {
    /// The largest angle, in radians.
    pub angle_max: f64,
    /// The mean over all planes, in radians.
    pub angle_mean: f64,
    /// The Frobenius norm of `R - I` over all blocks; for BOFT the root of the sum over its factors.
    pub distance: f64,
}
