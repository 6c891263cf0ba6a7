//! What an evaluation says of one file: the document that the API answers, that is stored, and that the
//! terminal shows. Its field names are a contract; new fields may be added, none may change its meaning.
//!
//! A number that could not be found is null, and `skipped` or the module's `reason` says why. All norms
//! are at the strength that was asked for, 1 unless something else was.

mod comparison;
mod compatibility;
mod finding;
mod module;
mod summary;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use comparison::{Comparison, Merge, ModuleComparison, Overlap, Relation, Series, Step};
pub use compatibility::{BaseFit, Compatibility, Deviation, RuntimeFit};
pub use finding::{Basis, Code, Finding, Level, Severity, Verdict};
pub use module::{ModuleReport, Rotation};
pub use summary::{
    AdapterFacts, AlphaFacts, BlockFacts, Distribution, FileFacts, MaxNorm, RankFacts, ResizeMode,
    ResizeOption, ScaleFacts, SpectrumFacts, Utilisation, WeightFacts, share_key,
};

/// The version of the document's shape.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that was found about one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileReport {
    /// The version of this shape, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The version of the tool that measured.
    pub tool_version: String,
    /// Whether it is a sound file.
    pub file: FileFacts,
    /// What kind of adapter it is; none for a file that is no adapter.
    pub adapter: Option<AdapterFacts>,
    /// How strong its changes are.
    pub weights: Option<WeightFacts>,
    /// How its changes are spread over directions.
    pub spectrum: Option<SpectrumFacts>,
    /// The same by block of the network, in the network's order.
    pub blocks: Vec<BlockFacts>,
    /// The same by module, in the order of their names.
    pub modules: Vec<ModuleReport>,
    /// Where it can be used.
    pub compatibility: Option<Compatibility>,
    /// What somebody should know, gravest first.
    pub findings: Vec<Finding>,
    /// What was not computed, and why.
    pub skipped: Vec<Skipped>,
}

impl FileReport {
    /// Its findings in one word and one sentence.
    pub fn verdict(&self) -> Verdict {
        Verdict::new(self.findings.clone())
    }
}

/// A check that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Which check, as `spectrum` or `base.relative_spectral`.
    pub check: String,
    /// Why.
    pub reason: String,
}

impl Skipped {
    /// A check and why it gave no answer.
    pub fn new(check: &str, reason: impl Into<String>) -> Self {
        Self { check: check.to_owned(), reason: reason.into() }
    }
}
