//! What two files, or a row of checkpoints, have to do with each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What two files are to each other, read from their changes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same change, stored again, converted, renamed or in another type.
    Same,
    /// The same change at another strength.
    Rescaled,
    /// One is the other at a lower rank.
    Resized,
    /// Much in common: checkpoints of one training, or the same data.
    Related,
    /// More in common than chance.
    Weak,
    /// Nothing in common but chance.
    Unrelated,
    /// One undoes the other.
    Opposed,
    /// They share no module that can be compared.
    Incomparable,
}

/// Two files beside each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The first file, by the name that the caller gave.
    pub a: String,
    /// The second.
    pub b: String,
    /// Modules in both that were compared.
    pub shared_modules: u64,
    /// Modules of the first alone.
    pub only_a: u64,
    /// Modules of the second alone.
    pub only_b: u64,
    /// Modules in both that could not be compared: other shapes, or an algorithm that needs the base.
    pub incomparable_modules: u64,
    /// The cosine of the whole changes, modules of one file alone counting as zero in the other.
    pub cosine: Option<f64>,
    /// The cosine over shared modules alone.
    pub shared_cosine: Option<f64>,
    /// What independent changes of these shapes would have, in size.
    pub chance_cosine: Option<f64>,
    /// Norm of the second over that of the first, over what was measured.
    pub norm_ratio: Option<f64>,
    /// What that means.
    pub relation: Relation,
    /// How much of the output sides is shared.
    pub left_overlap: Option<Overlap>,
    /// How much of the input sides is shared.
    pub right_overlap: Option<Overlap>,
    /// What adding both gives.
    pub merge: Option<Merge>,
    /// By module, in the order of their names.
    pub modules: Vec<ModuleComparison>,
}

/// The overlap of the spaces that two factors span.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overlap {
    /// From 0 to 1, the mean over modules weighed by energy.
    pub value: f64,
    /// What independent spaces would have.
    pub chance: f64,
}

/// What adding two changes gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Merge {
    /// The strengths of both.
    pub weights: [f64; 2],
    /// Energy of the sum over the sum of energies.
    pub energy_ratio: f64,
    /// The same less 1: above 0 they add up, below they cancel.
    pub interference: f64,
    /// The factor at which the sum has the energy of the stronger one.
    pub equal_energy_scale: Option<f64>,
    /// The share of the energy that is left when the sum is cut to the rank of the larger one.
    pub retained_at_max_rank: Option<f64>,
}

/// One module in two files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleComparison {
    /// The module's name in the first file; hostile text.
    pub name: String,
    /// The cosine of both changes; none when one is zero.
    pub cosine: Option<f64>,
    /// Norm of the second over that of the first.
    pub norm_ratio: Option<f64>,
    /// Overlap of the output sides, from 0 to 1.
    pub left_overlap: Option<f64>,
    /// Overlap of the input sides.
    pub right_overlap: Option<f64>,
}

/// Checkpoints of one training in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The files, by the names that the caller gave.
    pub order: Vec<String>,
    /// The norm of each whole change.
    pub frobenius_total: Vec<f64>,
    /// The cosine of each with the one before; one fewer than files.
    pub step_cosine: Vec<Option<f64>>,
    /// From each file to the next.
    pub steps: Vec<Step>,
    /// What these numbers say and what they do not.
    pub note: String,
}

/// From one checkpoint to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The earlier file.
    pub from: String,
    /// The later one.
    pub to: String,
    /// Norm of the later over that of the earlier.
    pub norm_growth: Option<f64>,
    /// Norm of the difference over that of the later.
    pub relative_distance: Option<f64>,
    /// The share of the later's energy that is orthogonal to the earlier.
    pub new_energy: Option<f64>,
}
