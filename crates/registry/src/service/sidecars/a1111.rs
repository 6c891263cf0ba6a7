//! `<stem>.json`: three things have this name, told apart by what stands in them.
//!
//! | told by | written by | read as |
//! |---|---|---|
//! | `modelVersions[]` | SD.Next | CivitAI's answer to `GET /models/{id}`: the version with this file, or the only one |
//! | `activation text`, `sd version`, `preferred weight`, `negative text`, `notes`, `description` | A1111, Forge | below |
//! | the same with `modelId`, `modelVersionId` | civitai-browser-plus | below |
//! | anything else, such as `modelspec.…` or `ss_…` | – | left alone |
//!
//! | field | becomes | written from |
//! |---|---|---|
//! | `description`, `notes` | `description`, `notes` | the same |
//! | `activation text` | `trigger_words`, parted at commas | `trigger_words`, else `trainedWords` |
//! | `preferred weight` (0 counts as none) | `strength` | the same |
//! | `negative text` | `negative_words` | the same |
//! | `sd version` | `base_model` | `base_model` |
//! | `modelId`, `modelVersionId` | `civitai_model_id`, `civitai_version_id` | – |
//! | `vae`, `vae_te`, `sd_version_str`, `sha256`, `unpackList` | nothing | – |

use serde_json::{Map, Value, json};

use super::{Own, Said, civitai_info};
use crate::domain::{Entry, EntryDocument, Facts};
use crate::upstream::civitai::Model;
use crate::upstream::lenient::{amount, text, whole};

/// What the program writes for a base model, and what it means.
const VERSIONS: [(&str, &str); 4] =
    [("SD1", "SD 1.5"), ("SD2", "SD 2.1"), ("SDXL", "SDXL 1.0"), ("SD3", "SD 3")];
/// Fields by which the file is known as A1111's.
const KNOWN: [&str; 6] =
    ["activation text", "sd version", "preferred weight", "negative text", "notes", "description"];

/// `None` when the file is none that we know.
pub(super) fn read(value: &Value, entry: &Entry, size_bytes: u64) -> Option<Said> {
    if value.get("modelVersions").is_some_and(Value::is_array) {
        return Some(of_model(value, entry, size_bytes));
    }
    if !is_known(value) {
        return None;
    }
    let base_model = text(value, "sd version");
    let base_model = base_model.and_then(|word| VERSIONS.iter().find(|(own, _)| *own == word));
    let words = text(value, "activation text").unwrap_or_default();
    let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
    Some(Said {
        facts: Facts {
            base_model: base_model.map(|(_, meant)| (*meant).to_owned()),
            model_id: whole(value, "modelId").filter(|id| *id > 0),
            version_id: whole(value, "modelVersionId").filter(|id| *id > 0),
            ..Facts::default()
        },
        description: text(value, "description"),
        own: Own {
            notes: text(value, "notes"),
            trigger_words: words.map(str::to_owned).collect(),
            negative: text(value, "negative text"),
            strength: strength(value),
            ..Own::default()
        },
    })
}

/// Whether an object is A1111's own, and none of those that others write under the same name.
pub(super) fn is_known(value: &Value) -> bool {
    let is_dump = |field: &String| field.starts_with("modelspec.") || field.starts_with("ss_");
    let Some(fields) = value.as_object() else { return false };
    KNOWN.iter().any(|field| fields.contains_key(*field)) && !fields.keys().any(is_dump)
}

fn strength(value: &Value) -> Option<f64> {
    let number = amount(value, "preferred weight");
    let number = number.or_else(|| text(value, "preferred weight")?.parse().ok());
    number.filter(|number: &f64| number.is_finite() && *number > 0.0)
}

fn of_model(value: &Value, entry: &Entry, size_bytes: u64) -> Said {
    let Some(model) = Model::read(value) else { return Said::default() };
    let has_file = |version: &&crate::upstream::civitai::Version| {
        version.files.iter().any(|file| file.name.as_deref() == Some(entry.file()))
    };
    let version = model.versions.iter().find(has_file);
    let version = version.or_else(|| model.versions.first().filter(|_| model.versions.len() == 1));
    version.map_or_else(Said::default, |version| civitai_info::of_version(version, entry, size_bytes))
}

/// The object for an entry with something that a user would read there; `None` for a bare file.
pub(super) fn written(document: &EntryDocument) -> Option<Map<String, Value>> {
    let words = super::write::words(document).join(", ");
    let strength = document.number("strength").unwrap_or(0.0);
    let texts = ["description", "negative_words", "notes"].map(|field| document.text(field));
    if words.is_empty() && strength == 0.0 && texts.iter().all(|text| text.is_empty()) {
        return None;
    }
    let [description, negative, notes] = texts;
    super::write::object(json!({
        "description": description,
        "sd version": version_of(super::write::base_model(document).unwrap_or_default()),
        "activation text": words,
        "preferred weight": strength,
        "negative text": negative,
        "notes": notes,
    }))
}

/// The program's word for a base model.
fn version_of(base_model: &str) -> &'static str {
    const STARTS: [(&str, &str); 10] = [
        ("sdxl", "SDXL"),
        ("pony", "SDXL"),
        ("illustrious", "SDXL"),
        ("noobai", "SDXL"),
        ("sd 1", "SD1"),
        ("sd1", "SD1"),
        ("sd 2", "SD2"),
        ("sd2", "SD2"),
        ("sd 3", "SD3"),
        ("sd3", "SD3"),
    ];
    let base_model = base_model.to_lowercase();
    STARTS.iter().find(|(start, _)| base_model.starts_with(start)).map_or("Unknown", |(_, word)| word)
}
