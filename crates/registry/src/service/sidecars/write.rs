//! Writing sidecars from an entry: whole or not at all, never through a link, and never over somebody else's words.
//!
//! In a sidecar that we did not write, or that was changed since, a field that says something stays as it is, and so does
//! every field that we do not know. What cannot be read is not touched.

use std::io;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use super::{a1111, civitai_info, lora_manager, stability_matrix};
use crate::domain::{EntryDocument, FileFact, ModelPath, Sha256, SidecarFlavour};
use crate::files::{Kind, ModelsTree, read_open};

/// The largest sidecar that is added to, bytes.
const MAX_BYTES: u64 = 8 << 20;

/// What came of writing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Writing {
    /// It was written, and every word of it is ours; the hash of what stands there now.
    Written(Sha256),
    /// Ours was added to somebody else's words.
    Added,
    /// There is nothing to write, or nothing new.
    Unchanged,
    /// It was left as it is, and why.
    Refused(String),
}

/// Writes one sidecar of a model; blocking. `last_written` is the hash of what we wrote there before.
pub(in crate::service) fn write_beside(
    tree: &ModelsTree,
    flavour: SidecarFlavour,
    model: (&ModelPath, &FileFact),
    document: &EntryDocument,
    last_written: Option<Sha256>,
) -> Writing {
    let Some(path) = flavour.beside(model.0) else { return Writing::Unchanged };
    let Some(ours) = content(tree.root(), flavour, model, document) else { return Writing::Unchanged };
    match write(tree, flavour, &path, ours, last_written) {
        Ok(writing) => writing,
        Err(error) => Writing::Refused(error.to_string()),
    }
}

fn content(
    root: &Path,
    flavour: SidecarFlavour,
    (path, fact): (&ModelPath, &FileFact),
    document: &EntryDocument,
) -> Option<Map<String, Value>> {
    let sha256 = fact.sha256.map(|sha256| sha256.to_string());
    let (size_bytes, sha256) = (fact.stamp.size_bytes, sha256.as_deref());
    let changed = DateTime::from_timestamp_nanos(fact.stamp.modified_ns);
    match flavour {
        SidecarFlavour::CivitaiInfo => {
            civitai_info::written(document, path.file.as_str(), size_bytes, sha256)
        }
        SidecarFlavour::LoraManager => lora_manager::written(document, &path.below(root), size_bytes, sha256),
        SidecarFlavour::StabilityMatrix => {
            stability_matrix::written(document, sha256, &changed.to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        SidecarFlavour::A1111 => a1111::written(document),
    }
}

fn write(
    tree: &ModelsTree,
    flavour: SidecarFlavour,
    path: &ModelPath,
    ours: Map<String, Value>,
    last_written: Option<Sha256>,
) -> io::Result<Writing> {
    let folder = tree.open(path.folder.as_str())?;
    let old = match folder.item(path.file.as_str())?.map(|item| item.kind) {
        None => None,
        Some(Kind::File) => Some(read_open(folder.read(path.file.as_str())?, MAX_BYTES)?),
        Some(_) => return Ok(Writing::Refused("it is a link or no file".to_owned())),
    };
    let is_ours = old.as_ref().is_some_and(|old| Some(Sha256::of(old)) == last_written);
    let mut fields = match &old {
        None => Map::new(),
        Some(old) => match serde_json::from_slice(old) {
            Ok(Value::Object(fields)) => fields,
            _ => return Ok(Writing::Refused("it is no JSON object; nothing of it would be kept".to_owned())),
        },
    };
    if flavour == SidecarFlavour::A1111 && old.is_some() && !a1111::is_known(&Value::Object(fields.clone())) {
        return Ok(Writing::Refused("another program keeps something else under this name".to_owned()));
    }
    if !overlay(&mut fields, ours, is_ours || old.is_none()) && old.is_some() {
        return Ok(Writing::Unchanged);
    }
    let text = serde_json::to_vec_pretty(&fields)?;
    if old.as_deref() == Some(text.as_slice()) {
        return Ok(Writing::Unchanged);
    }
    folder.replace(path.file.as_str(), &text)?;
    // What was added to is still somebody else's: its words are never to be replaced later.
    Ok(if old.is_none() || is_ours { Writing::Written(Sha256::of(&text)) } else { Writing::Added })
}

/// Lays our fields over what is there; answers whether anything changed. Only our own words are replaced.
fn overlay(fields: &mut Map<String, Value>, ours: Map<String, Value>, is_ours: bool) -> bool {
    let mut has_changed = false;
    for (name, value) in ours.into_iter().filter(|(_, value)| !value.is_null()) {
        match (fields.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(value)) => has_changed |= overlay(old, value, is_ours),
            (Some(old), value) if *old == value => {}
            (Some(old), value) if (is_ours || says_nothing(old)) && !says_nothing(&value) => {
                *old = value;
                has_changed = true;
            }
            (Some(_), _) => {}
            // What says nothing is no gain for somebody else's file.
            (None, value) if !is_ours && says_nothing(&value) => {}
            (None, value) => {
                fields.insert(name, without_nulls(value));
                has_changed = true;
            }
        }
    }
    has_changed
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.trim(), "" | "{}" | "Unknown"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// The fields of an object.
pub(super) fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// The words for a prompt: a user's own, else CivitAI's.
pub(super) fn words(document: &EntryDocument) -> Vec<&str> {
    let own: Vec<&str> = document.texts("trigger_words").collect();
    if own.is_empty() { document.texts("trainedWords").collect() } else { own }
}

/// The base model in CivitAI's words when they are known.
pub(super) fn base_model(document: &EntryDocument) -> Option<&str> {
    document.some_text("civitai_base_model").or_else(|| document.some_text("base_model"))
}
