//! `<stem>.metadata.json`: what ComfyUI LoRA Manager keeps of every model.
//!
//! | field | becomes | written from |
//! |---|---|---|
//! | `civitai{…}` | as `<stem>.civitai.info` | the same |
//! | `model_name` | `name`, when a user changed it | `name` |
//! | `base_model` | `base_model`, when CivitAI says nothing | `base_model` |
//! | `notes`, `favorite` | `notes`, `favorite` | the same |
//! | `tags[]` | `tags`, without those that CivitAI gives the model | `tags` and `civitai_tags` |
//! | `modelDescription` | `description` | the same |
//! | `usage_tips`: JSON in a string | `usage_tips` in words, `strength` | `strength` |
//! | `trainedWords[]` | `trainedWords` | – |
//! | `sha256` | nothing: it is not renewed when a file changes | the known hash |
//! | `from_civitai` | nothing: it is true also of files that CivitAI does not know | whether a version is known |
//! | `file_name`, `file_path`, `size`, `modified`, `preview_*`, `exclude`, `db_checked`, … | nothing | what the program needs |

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Own, Said, civitai_info};
use crate::domain::{Entry, EntryDocument};
use crate::upstream::lenient::{amount, flag, text, texts};

/// Names of the program for a base model that it does not know.
const NO_BASE_MODEL: [&str; 2] = ["unknown", "other"];

pub(super) fn read(value: &Value, entry: &Entry, size_bytes: u64) -> Said {
    let civitai = value.get("civitai").unwrap_or(&Value::Null);
    let mut said = civitai_info::read(civitai, entry, size_bytes);
    let facts = &mut said.facts;
    let base_model = text(value, "base_model")
        .filter(|name| !NO_BASE_MODEL.iter().any(|no| name.eq_ignore_ascii_case(no)));
    if facts.civitai_base_model.is_none() {
        facts.base_model = base_model;
    }
    if facts.trained_words.is_empty() {
        facts.trained_words = texts(value, "trainedWords");
    }
    let tips = text(value, "usage_tips").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let tips = tips.unwrap_or_default();
    let is_default_name =
        |name: &String| name == entry.path.file.stem() || facts.model_name.as_ref() == Some(name);
    said.own = Own {
        name: text(value, "model_name").filter(|name| !is_default_name(name)),
        notes: text(value, "notes"),
        strength: amount(&tips, "strength"),
        usage_tips: in_words(&tips),
        tags: texts(value, "tags").into_iter().filter(|tag| !facts.tags.contains(tag)).collect(),
        is_favorite: flag(value, "favorite"),
        ..Own::default()
    };
    said.description = text(value, "modelDescription").or(said.description);
    said
}

/// `strength 0.6 to 0.9, clip skip 2`.
fn in_words(tips: &Value) -> Option<String> {
    let number = |field: &str| tips.get(field).filter(|value| value.is_number() || value.is_string());
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words = Vec::new();
    match (number("strength_min"), number("strength_max")) {
        (Some(least), Some(most)) => words.push(format!("strength {} to {}", shown(least), shown(most))),
        (Some(least), None) => words.push(format!("strength at least {}", shown(least))),
        (None, Some(most)) => words.push(format!("strength at most {}", shown(most))),
        (None, None) => {}
    }
    for (field, name) in [
        ("strength_range", "strength"),
        ("strength", "strength"),
        ("clip_strength", "clip strength"),
        ("clip_skip", "clip skip"),
    ] {
        words.extend(number(field).map(|value| format!("{name} {}", shown(value))));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

pub(super) fn written(
    document: &EntryDocument,
    path: &Path,
    size_bytes: u64,
    sha256: Option<&str>,
) -> Option<Map<String, Value>> {
    let file = path.file_name()?.to_str()?;
    let mut tags: Vec<&str> = document.texts("tags").collect();
    tags.extend(document.texts("civitai_tags").filter(|tag| !document.texts("tags").any(|own| own == *tag)));
    let civitai = civitai_info::written(document, file, size_bytes, sha256);
    let tips = document.number("strength").map(|strength| json!({ "strength": strength }).to_string());
    let value = json!({
        "file_name": path.file_stem()?.to_str()?,
        "model_name": document.name(),
        "file_path": path.to_str()?,
        "size": size_bytes,
        "sha256": sha256,
        "base_model": super::write::base_model(document).unwrap_or("Unknown"),
        "notes": document.text("notes"),
        "from_civitai": civitai.is_some(),
        "civitai": civitai.unwrap_or_default(),
        "tags": tags,
        "modelDescription": document.text("description"),
        "favorite": document.flag("favorite"),
        "usage_tips": tips.unwrap_or_else(|| "{}".to_owned()),
    });
    super::write::object(value)
}
