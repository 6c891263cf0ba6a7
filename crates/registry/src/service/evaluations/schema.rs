//! The shapes of those parts of an answer that are kept as JSON: only their schemas are used.

use lorakeep_weights::evaluate::report::{
    AdapterFacts, BlockFacts, Comparison, Compatibility, FileFacts, Finding, Level, ModuleReport,
    SpectrumFacts, WeightFacts,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// What was found, the gravest first.
#[derive(Serialize, JsonSchema)]
pub(super) struct AnsweredVerdict {
    /// The gravest.
    level: Level,
    /// The sentence of the gravest finding, or that nothing was found.
    summary: String,
    findings: Vec<AnsweredFinding>,
}

/// One thing that somebody should know, and of which file.
#[derive(Serialize, JsonSchema)]
struct AnsweredFinding {
    #[serde(flatten)]
    finding: Finding,
    /// Null when it is about several.
    file: Option<String>,
}

/// What a file's own report found, in one word and one sentence.
#[derive(Serialize, JsonSchema)]
struct AnsweredLevel {
    level: Level,
    summary: String,
}

/// A file with its report, cut to what was asked for; in lists without it.
#[derive(Serialize, JsonSchema)]
pub(super) struct AnsweredFile {
    /// The entry's id; null when no catalog knows the file.
    id: Option<String>,
    /// As it was asked for.
    name: String,
    /// Below `loras/`.
    partial_path: Option<String>,
    /// Below the models root.
    path: String,
    size_bytes: u64,
    sha256: Option<String>,
    /// Whether it was computed before.
    cached: bool,
    /// Why there is no report.
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileFacts>,
    /// Null for a file that is no adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<AdapterFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<WeightFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spectrum: Option<SpectrumFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Vec<BlockFacts>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<Vec<ModuleReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<Compatibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<AnsweredLevel>,
    /// Its place among the other files of this library; never a grade.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<AnsweredReference>,
}

/// A place among others.
#[derive(Serialize, JsonSchema)]
struct AnsweredReference {
    /// How many others there are.
    population: u64,
    /// Which others: architecture and algorithm.
    scope: String,
    of: String,
    percentile: AnsweredPercentile,
    note: String,
}

/// Shares of the others that are below, 0 to 100.
#[derive(Serialize, JsonSchema)]
struct AnsweredPercentile {
    frobenius_total: Option<u64>,
    effective_rank_p50: Option<u64>,
}

/// Two files beside each other.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct AnsweredComparison(Comparison);

/// A check that gave no number.
#[derive(Serialize, JsonSchema)]
pub(super) struct AnsweredGap {
    check: String,
    reason: String,
    /// Of which file; left out or null when it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// How far it is.
#[derive(Serialize, JsonSchema)]
pub(super) struct AnsweredProgress {
    done: i64,
    total: i64,
    /// What goes on within the present step.
    step: Option<AnsweredStep>,
}

/// One step of the work.
#[derive(Serialize, JsonSchema)]
struct AnsweredStep {
    what: String,
    done: u64,
    total: u64,
}

/// Why it failed.
#[derive(Serialize, JsonSchema)]
pub(super) struct AnsweredError {
    code: Option<String>,
    message: String,
}

/// The pictures and what was measured on them; with several files their responses stand in `by_file`.
#[derive(Serialize, JsonSchema)]
pub(super) struct AnsweredImages {
    generator: Map<String, Value>,
    /// With what they were made.
    settings: Map<String, Value>,
    prompts: Vec<Map<String, Value>>,
    cells_total: u64,
    cells_done: u64,
    cells_failed: u64,
    /// Where the contact sheet is.
    grid_image: Option<String>,
    cells: Vec<AnsweredCell>,
    #[serde(flatten)]
    response: Map<String, Value>,
}

/// One picture.
#[derive(Serialize, JsonSchema)]
struct AnsweredCell {
    place: u64,
    /// Which file, from 0; null for the pictures without any.
    file: Option<u64>,
    /// Which prompt, from 0.
    prompt: u64,
    seed: u64,
    strength: f64,
    status: String,
    /// Where it is.
    image: Option<String>,
    sha256: Option<String>,
    seconds: Option<f64>,
    metrics: Option<Map<String, Value>>,
    distance: Option<Map<String, Value>>,
    error: Option<String>,
}
