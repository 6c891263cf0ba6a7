//! Findings: one sentence somebody should read, with a code that programs can rely on and with what the
//! sentence stands on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// What a finding is about; the names never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in documents.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    /// The file is damaged or is no safetensors file.
    FileInvalid "FILE_INVALID",
    /// There are elements that are NaN or infinite.
    NonFinite "NON_FINITE",
    /// Modules change nothing.
    ZeroModules "ZERO_MODULES",
    /// Tensors belong to no module, or a module lacks a half.
    OrphanTensors "ORPHAN_TENSORS",
    /// The tensors of a module do not fit each other.
    ModuleInvalid "MODULE_INVALID",
    /// A rank is above the smaller side of its matrix.
    RankExceedsShape "RANK_EXCEEDS_SHAPE",
    /// No alpha is stored, so the scale is assumed.
    AlphaMissing "ALPHA_MISSING",
    /// The file has another strength in another program.
    ScaleDiffersByRuntime "SCALE_DIFFERS_BY_RUNTIME",
    /// A program ignores names of the file.
    KeysNotMapped "KEYS_NOT_MAPPED",
    /// A program cannot apply an algorithm of the file.
    AlgoUnsupportedInRuntime "ALGO_UNSUPPORTED_IN_RUNTIME",
    /// A program applies the file differently than it was trained.
    RuntimeDeviation "RUNTIME_DEVIATION",
    /// The file does not fit the base model.
    BaseMismatch "BASE_MISMATCH",
    /// A module is much stronger than the others.
    OutlierNorm "OUTLIER_NORM",
    /// Modules are at or above the usual cap of trainers.
    MaxNormExceeded "MAX_NORM_EXCEEDED",
    /// A smaller rank would hold nearly all of it.
    OversizedRank "OVERSIZED_RANK",
    /// The precision of its type costs it small values.
    PrecisionLoss "PRECISION_LOSS",
    /// The hash in the metadata is not that of the tensors.
    PayloadHashDiffers "PAYLOAD_HASH_DIFFERS",
    /// Some modules could not be measured.
    NotMeasured "NOT_MEASURED",
    /// Two files hold the same change.
    NearDuplicate "NEAR_DUPLICATE",
    /// Two files work on the same directions.
    MergeInterference "MERGE_INTERFERENCE",
    /// Pictures are over-saturated or clipped at a strength.
    BurnAtStrength "BURN_AT_STRENGTH",
    /// Pictures do not change.
    NoMeasurableEffect "NO_MEASURABLE_EFFECT",
    /// Pictures change where they should not.
    LeakOnNeutral "LEAK_ON_NEUTRAL",
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It may not do what is expected.
    Warning,
    /// It cannot be used as it is.
    Error,
}

/// What a finding stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Computed from the tensors.
    Measured,
    /// Said by the header or a table of facts, not computed.
    Metadata,
    /// A rule of thumb of the field that nobody has validated.
    Heuristic,
}

/// One thing that somebody should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What it is about.
    pub code: Code,
    /// How grave it is.
    pub severity: Severity,
    /// `file`, or the name of a module, block or runtime; hostile text when a module.
    #[serde(rename = "where")]
    pub place: String,
    /// The sentence.
    pub message: String,
    /// The numbers behind it.
    pub evidence: Map<String, Value>,
    /// What it stands on.
    pub source: Basis,
}

impl Finding {
    /// A finding about the whole file, measured, without numbers.
    pub fn new(code: Code, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            place: "file".to_owned(),
            message: message.into(),
            evidence: Map::new(),
            source: Basis::Measured,
        }
    }

    /// The same about one module, block or runtime.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// The same with what it stands on.
    #[must_use]
    pub fn on(mut self, basis: Basis) -> Self {
        self.source = basis;
        self
    }

    /// The same with one number or name behind it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.evidence.insert(name.to_owned(), value.into());
        self
    }
}

/// The gravest of all findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing above information.
    Ok,
    /// At least one warning.
    Warning,
    /// At least one error.
    Error,
}

/// All findings in one word and one sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The gravest.
    pub level: Level,
    /// The sentence of the gravest finding, or that nothing was found.
    pub summary: String,
    /// All of them, gravest first.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Sorts the findings and sums them up.
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let level = match findings.first().map(|finding| finding.severity) {
            Some(Severity::Error) => Level::Error,
            Some(Severity::Warning) => Level::Warning,
            _ => Level::Ok,
        };
        let gravest = findings.first().filter(|_| level != Level::Ok);
        let summary = gravest.map_or_else(|| "nothing stands out".to_owned(), |first| first.message.clone());
        Self { level, summary, findings }
    }
}
