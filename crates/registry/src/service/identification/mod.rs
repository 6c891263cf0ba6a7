//! What a file says of itself: the facts of one file, and what of them an entry lacks.

mod conflicts;
mod job;
mod lookup;

use std::fs::File;
use std::io;
use std::path::Path;

use lorakeep_weights::identify::{Identity, Spread};
use lorakeep_weights::{Examination, Hashes, Limits, examine, hashes, identify};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::{EntryDocument, Sayings};

pub use job::IdentificationReport;
pub(crate) use job::Identifications;
pub(crate) use lookup::FileLookups;
pub use lookup::{FoundVersion, LookedUp, LookupReport};

/// How sure an answer must be before an entry takes it over.
const SURE: f64 = 0.7;
/// Trigger words that an entry takes over; the rest stands in the facts.
const TRIGGER_WORDS: usize = 20;

/// What is known of one file (decision 25). Texts of the file are hostile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "InspectedFile")]
pub struct FileFacts {
    /// The file as the caller named it.
    pub path: String,
    /// What it is by its content, such as `safetensors`.
    pub format: String,
    /// `lora`, `checkpoint`, `vae` and so on; `unknown` when nothing fits.
    pub kind: String,
    /// The algorithm of an adapter.
    pub algorithm: Option<String>,
    /// The family of the base model and its variant, when they can be told.
    pub base_model: Option<String>,
    /// What it may be, when the keys cannot decide.
    pub candidates: Vec<String>,
    /// How sure `base_model` is, 0 to 1.
    pub confidence: f64,
    /// Whose spelling the names are.
    pub naming: Option<String>,
    /// The rank in the middle of all modules.
    pub rank: Option<u64>,
    /// The alpha.
    pub alpha: Option<f64>,
    /// The type of most elements.
    pub dtype: Option<String>,
    /// The number of elements of all tensors.
    pub parameters: u64,
    /// Words to try in a prompt.
    pub trigger_words: Vec<TriggerWordFact>,
    /// What the metadata says about the training.
    pub metadata: Map<String, Value>,
    /// Whether it may be loaded: `clean`, `denied` or `malformed`, with `rule` and `reason`.
    #[schemars(with = "Map<String, Value>")]
    pub verdict: Value,
    /// Why it is that.
    pub evidence: Vec<String>,
    /// What does not fit together.
    pub warnings: Vec<String>,
    /// What it hashes to, as far as that was asked for.
    #[serde(default)]
    pub hashes: Option<Hashes>,
}

/// A word with how many training images had it; `None` when the author names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerWordFact {
    /// The word or phrase.
    pub word: String,
    /// Training images with it.
    pub count: Option<u64>,
}

/// Judges and identifies a file that is named `file_name`; blocking.
///
/// Fails when the file cannot be opened.
pub fn inspect_file(path: &Path, file_name: &str) -> io::Result<FileFacts> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let examination = examine(&file, metadata.len(), file_name, Limits::default());
    let identity = identity_of(&examination, &file, file_name);
    Ok(facts_of(path.display().to_string(), &examination, identity))
}

/// All hashes of a file in one pass over it; blocking. `on_progress` hears the bytes hashed so far.
///
/// Fails when the file cannot be read.
pub fn hash_file(path: &Path, on_progress: impl FnMut(u64)) -> io::Result<Hashes> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let never = std::sync::atomic::AtomicBool::new(false);
    hashes(&file, size, tensors_start(&file, size), on_progress, &never).map_err(io::Error::other)
}

/// Where the tensor data of a safetensors file begins.
pub(super) fn tensors_start(file: &File, size: u64) -> Option<u64> {
    lorakeep_weights::Header::read(file, size).ok().map(|header| header.data_start())
}

/// What an examined file is; nothing when its content could not be read.
pub(super) fn identity_of(examination: &Examination, file: &File, file_name: &str) -> Option<Identity> {
    let header = examination.contents.as_ref()?;
    match identify(header, file, file_name) {
        Ok(identity) => Some(identity),
        Err(error) => {
            tracing::warn!(file_name, %error, "a file that was examined cannot be identified");
            None
        }
    }
}

pub(super) fn facts_of(path: String, examination: &Examination, identity: Option<Identity>) -> FileFacts {
    let identity = identity.unwrap_or_default();
    let verdict = match &examination.verdict {
        lorakeep_weights::Verdict::Denied { rule, reason } => {
            json!({"verdict": "denied", "rule": rule, "reason": reason})
        }
        other => json!({"verdict": other.name(), "rule": null, "reason": other.reason()}),
    };
    let text = |text: Option<&str>| text.map(str::to_owned);
    FileFacts {
        path,
        format: examination.format.name().to_owned(),
        kind: if identity.kind.is_empty() { "unknown" } else { identity.kind }.to_owned(),
        algorithm: text(identity.algorithm),
        base_model: base_model(&identity),
        confidence: identity.confidence,
        naming: text(identity.naming),
        rank: identity.rank.map(|Spread { median, .. }| median),
        alpha: identity.alpha,
        dtype: text(identity.dtype),
        parameters: identity.parameters,
        trigger_words: identity
            .trigger_words
            .into_iter()
            .map(|word| TriggerWordFact { word: word.word, count: word.count })
            .collect(),
        metadata: identity.training.into_iter().map(|(key, value)| (key, value.into())).collect(),
        verdict,
        candidates: identity.candidates,
        evidence: identity.evidence,
        warnings: identity.warnings,
        hashes: None,
    }
}

/// Family and variant in one text, such as `flux1 dev`.
fn base_model(identity: &Identity) -> Option<String> {
    let family = identity.base_model?;
    Some(match identity.variant {
        Some(variant) => format!("{family} {variant}"),
        None => family.to_owned(),
    })
}

/// Which trigger words an entry takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Those that the author names and those that the training images had most often.
    All,
    /// Those that the author names: what images had most often is an offer, not a fact.
    Named,
}

/// Fills what the entry lacks; what somebody wrote stays, and what a user took out stays out. What was filled is noted in
/// `identified`. Answers whether anything was.
fn fill(document: &mut EntryDocument, facts: &FileFacts, words: Words, sayings: &Sayings) -> bool {
    let mut filled: Vec<&'static str> = Vec::new();
    if let Some(base_model) = facts.base_model.as_deref().filter(|_| facts.confidence >= SURE)
        && document.base_model().is_empty()
        && !sayings.is_users(document, "base_model")
    {
        document.set("base_model", base_model);
        filled.push("base_model");
    }
    let own = words_of(facts, words);
    let has_words =
        ["trigger_words", "trainedWords"].iter().any(|field| document.texts(field).next().is_some());
    if !own.is_empty() && !has_words && !sayings.is_users(document, "trigger_words") {
        document.set("trigger_words", own);
        filled.push("trigger_words");
    }
    if !filled.is_empty() {
        note_identified(document, facts, &filled);
    }
    !filled.is_empty()
}

/// The trigger words that an entry takes over.
fn words_of(facts: &FileFacts, words: Words) -> Vec<&str> {
    let is_wanted = |word: &&TriggerWordFact| words == Words::All || word.count.is_none();
    let wanted = facts.trigger_words.iter().filter(is_wanted).take(TRIGGER_WORDS);
    wanted.map(|word| word.word.as_str()).collect()
}

/// Fills a new entry, of which nobody said anything, and says in it what its file is whether or not it lacked anything.
pub(super) fn describe(document: &mut EntryDocument, facts: &FileFacts, words: Words) {
    if !fill(document, facts, words, &Sayings::default()) {
        note_identified(document, facts, &[]);
    }
}

/// Says in the entry what its file is by its content, which fields come from there, and what they were filled with:
/// [`Sayings`] reads it again to tell the file's word from a user's.
fn note_identified(document: &mut EntryDocument, facts: &FileFacts, filled: &[&str]) {
    let mut identified = json!({
        "kind": facts.kind,
        "algorithm": facts.algorithm,
        "base_model": facts.base_model,
        "candidates": facts.candidates,
        "confidence": facts.confidence,
        "rank": facts.rank,
        "alpha": facts.alpha,
        "dtype": facts.dtype,
        "filled": filled,
    });
    if filled.contains(&"trigger_words") {
        identified["trigger_words"] = document.texts("trigger_words").collect();
    }
    document.set("identified", identified);
}

#[cfg(test)]
mod tests;
