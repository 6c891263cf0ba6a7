//! Which entries a catalog may hold, and what is wrong with the others.

use serde_json::Value;

use super::RawEntry;
use crate::domain::{EntryDocument, FieldValue, ModelPath};

/// The largest entry, in bytes of JSON.
const MAX_ENTRY_BYTES: usize = 256 * 1024;

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryFault {
    /// Its `file`, as far as it has one.
    pub(crate) file: String,
    /// The field at fault; empty when it is the entry itself.
    pub(crate) field: String,
    /// What is wrong, with what would be accepted.
    pub(crate) message: String,
}

/// What a field that we read must be; `null` counts as absent.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Size,
    Id,
}

/// The fields that other parts rely on; all others pass as they are.
const JUDGED: [(&str, Kind); 16] = [
    ("name", Kind::Text),
    ("source", Kind::Text),
    ("base_model", Kind::Text),
    ("url", Kind::Text),
    ("hf_repo", Kind::Text),
    ("hf_file", Kind::Text),
    ("pair_id", Kind::Text),
    ("pair_role", Kind::Text),
    ("sha256", Kind::Text),
    ("hash", Kind::Text),
    ("tags", Kind::Texts),
    ("trigger_words", Kind::Texts),
    ("size_gb", Kind::Size),
    ("civitai_version_id", Kind::Id),
    ("civitai_model_id", Kind::Id),
    ("civitai_file_id", Kind::Id),
];

/// The entry with its path, or what is wrong with it.
pub(crate) fn judged(entry: RawEntry) -> Result<(EntryDocument, ModelPath), EntryFault> {
    let fault = |file: &str, field: &str, message: String| EntryFault {
        file: file.chars().take(255).collect(),
        field: field.to_owned(),
        message,
    };
    let document = match entry {
        RawEntry::Document(document) => document,
        RawEntry::Other(value) => {
            return Err(fault("", "", format!("an entry must be an object, not {}", kind_of(&value))));
        }
    };
    let path = document
        .path()
        .map_err(|invalid| fault(document.text("file"), &invalid.field, invalid.to_string()))?;
    for (field, kind) in JUDGED {
        let Some(value) = document.get(field).filter(|value| !value.is_null()) else { continue };
        if !kind.fits(value) {
            let value = value.to_value();
            let message = format!("`{field}` must be {}, not {}", kind.expected(), kind_of(&value));
            return Err(fault(document.text("file"), field, message));
        }
    }
    if document.to_stored().len() > MAX_ENTRY_BYTES {
        let message = format!("the entry is larger than {} KiB", MAX_ENTRY_BYTES / 1024);
        return Err(fault(document.text("file"), "", message));
    }
    Ok((document, path))
}

impl Kind {
    fn fits(self, value: FieldValue<'_>) -> bool {
        match self {
            Self::Text => value.as_str().is_some(),
            Self::Texts => value.is_texts(),
            Self::Size => value.as_f64().is_some_and(|number| number >= 0.0),
            Self::Id => value.as_number().is_some() || value.as_str().is_some(),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Texts => "an array of texts",
            Self::Size => "a number that is not negative",
            Self::Id => "a number, or a number as a text",
        }
    }
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
