//! What an entry has in each dimension, and which of its texts are searched.

use std::borrow::Cow;

use super::Dimension;
use crate::domain::{BaseModelFamilies, Entry, Origin};

/// Fields whose words are searched beside file, folder, name and base model.
const TEXTS: [&str; 4] = ["author", "civitai_model_name", "notes", "usage_tips"];
/// Lists whose words are searched.
const LISTS: [&str; 4] = ["tags", "civitai_tags", "trainedWords", "trigger_words"];

/// Kinds by the type that CivitAI gives a model, lower case.
const BY_TYPE: [(&str, &str); 10] = [
    ("lora", "lora"),
    ("locon", "lora"),
    ("dora", "lora"),
    ("textualinversion", "embedding"),
    ("textencoder", "text_encoder"),
    ("clip", "text_encoder"),
    ("clipvision", "clip_vision"),
    ("motionmodule", "motion_module"),
    ("detection", "detector"),
    ("unet", "diffusion_model"),
];

/// Kinds by the first part of the folder, lower case. A folder that is not listed is its own word.
const BY_FOLDER: [(&str, &str); 13] = [
    ("checkpoints", "checkpoint"),
    ("diffusion_models", "diffusion_model"),
    ("unet", "diffusion_model"),
    ("loras", "lora"),
    ("embeddings", "embedding"),
    ("hypernetworks", "hypernetwork"),
    ("text_encoders", "text_encoder"),
    ("clip", "text_encoder"),
    ("upscale_models", "upscaler"),
    ("animatediff_models", "motion_module"),
    ("animatediff_motion_lora", "motion_lora"),
    ("ultralytics", "detector"),
    ("style_models", "style_model"),
];

/// Calls `take` with each value that the entry has in a dimension; a value may come twice. Where the file stands is not
/// the entry's to say.
pub(crate) fn each_value(entry: &Entry, dimension: Dimension, mut take: impl FnMut(&str)) {
    let document = &entry.document;
    match dimension {
        Dimension::Catalog => take(entry.catalog.as_str()),
        Dimension::Category => take(&entry.category),
        Dimension::BaseModel => take_some(document.base_model(), take),
        Dimension::Family => {
            BaseModelFamilies::builtin().of(document.base_model()).iter().for_each(|family| take(family));
        }
        Dimension::Status => {}
        Dimension::Source => take_some(source(entry), take),
        Dimension::Tag => {
            ["tags", "civitai_tags"].into_iter().flat_map(|field| document.texts(field)).for_each(take);
        }
        Dimension::Folder => take(entry.dest()),
        Dimension::Kind => take_some(&kind(entry), take),
        Dimension::Creator => take_some(document.text("author"), take),
        Dimension::Favorite => take(if document.flag("favorite") { "true" } else { "false" }),
    }
}

fn take_some(value: &str, mut take: impl FnMut(&str)) {
    if !value.is_empty() {
        take(value);
    }
}

/// What the catalog says, else what its origin is.
fn source(entry: &Entry) -> &str {
    entry.document.some_text("source").unwrap_or_else(|| match entry.document.origin() {
        Some(Origin::Civitai { .. }) => "civitai",
        Some(Origin::HuggingFace { .. }) => "huggingface",
        Some(Origin::Url(_)) => "url",
        None => "",
    })
}

/// What CivitAI calls it, else what its folder is for.
fn kind(entry: &Entry) -> Cow<'_, str> {
    let of = |table: &[(&str, &'static str)], word: &str| {
        table.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
    };
    if let Some(word) = entry.document.some_text("civitai_type") {
        return of(&BY_TYPE, word).map_or_else(|| word.to_lowercase().into(), Cow::Borrowed);
    }
    let folder = entry.dest().split('/').next().unwrap_or_default();
    of(&BY_FOLDER, folder).map_or_else(|| folder.to_lowercase().into(), Cow::Borrowed)
}

/// Calls `take` with each text of the entry that is searched.
pub(crate) fn each_searched_text(entry: &Entry, mut take: impl FnMut(&str)) {
    let document = &entry.document;
    take(entry.file());
    take(entry.dest());
    take(document.text("name"));
    take(document.base_model());
    TEXTS.into_iter().for_each(|field| take(document.text(field)));
    LISTS.into_iter().flat_map(|field| document.texts(field)).for_each(take);
}

/// Whether a folder is the wanted one or below it; both in lower case.
pub(crate) fn folder_holds(wanted: &str, folder: &str) -> bool {
    let wanted = wanted.trim_end_matches('/');
    folder
        .strip_prefix(wanted)
        .is_some_and(|rest| wanted.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{CatalogName, EntryDocument, EntryId};

    fn entry(document: Value) -> Entry {
        let Value::Object(fields) = document else { panic!("an object") };
        let id = EntryId::new(DateTime::UNIX_EPOCH);
        Entry::from_document(id, CatalogName::Loras, "styles", EntryDocument::from(fields)).unwrap()
    }

    fn values(entry: &Entry, dimension: Dimension) -> Vec<String> {
        let mut values = Vec::new();
        each_value(entry, dimension, |value| values.push(value.to_owned()));
        values
    }

    #[test]
    fn an_entry_has_values_in_each_dimension() {
        let entry = entry(json!({
            "file": "ink.safetensors", "dest": "loras/wan", "civitai_version_id": 7, "civitai_base_model": "Pony",
            "tags": ["Mine"], "civitai_tags": ["style", "ink"], "author": "Someone", "favorite": true,
        }));
        let all: Vec<Vec<String>> =
            Dimension::ALL.into_iter().map(|dimension| values(&entry, dimension)).collect();
        let expected: [&[&str]; 11] = [
            &["loras"],
            &["styles"],
            &["Pony"],
            &["sdxl"],
            &[],
            &["civitai"],
            &["Mine", "style", "ink"],
            &["loras/wan"],
            &["lora"],
            &["Someone"],
            &["true"],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_kind_follows_from_the_type_and_then_from_the_folder() {
        let kind = |document: Value| values(&entry(document), Dimension::Kind).concat();
        assert_eq!(
            kind(json!({"file": "a.pt", "dest": "loras", "civitai_type": "TextualInversion"})),
            "embedding"
        );
        assert_eq!(kind(json!({"file": "a.pt", "dest": "x", "civitai_type": "Upscaler"})), "upscaler");
        assert_eq!(kind(json!({"file": "a.pt", "dest": "Upscale_Models/x"})), "upscaler");
        assert_eq!(kind(json!({"file": "a.pt", "dest": "SAM2"})), "sam2");
        assert_eq!(kind(json!({"file": "a.pt"})), "");
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below_it() {
        for (wanted, folder, holds) in [
            ("loras", "loras", true),
            ("loras/", "loras/wan", true),
            ("loras", "loras2", false),
            ("", "vae", true),
            ("", "", true),
            ("loras/wan", "loras", false),
        ] {
            assert_eq!(folder_holds(wanted, folder), holds, "{wanted} {folder}");
        }
    }
}
