//! What users said of entries, and who said what.

use std::collections::BTreeMap;

use lorakeep_registry::config::Config;
use lorakeep_registry::{EntriesEdited, EntryDetail, EntryEdited, PastEdit};
use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{entry, fields, time};

/// An entry with the origin of each of its fields.
#[derive(Debug)]
pub(in crate::studio) struct EntryDetailView {
    detail: EntryDetail,
    url: String,
}

impl EntryDetailView {
    pub(in crate::studio) fn new(detail: EntryDetail, config: &Config) -> Self {
        Self { url: fields::download_url(&detail.state.entry.document, config), detail }
    }
}

impl Serialize for EntryDetailView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EntryDetail { state, origins } = &self.detail;
        let origins = origins.iter().map(|(field, origin)| (field.as_str(), origin.as_str()));
        let origins: BTreeMap<&str, &str> =
            origins.filter(|(field, _)| !fields::STATE.contains(field)).collect();
        let mut map = serializer.serialize_map(None)?;
        entry::write_placed(&mut map, state, &self.url, &["id", "origins"])?;
        map.serialize_entry("origins", &origins)?;
        map.end()
    }
}

/// What came of an edit.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct EntryEditedView {
    entry: EntryDetailView,
    edit: Option<String>,
    previous: Map<String, Value>,
}

impl EntryEditedView {
    pub(in crate::studio) fn new(detail: EntryDetail, edited: EntryEdited, config: &Config) -> Self {
        let edit = edited.edit.map(|edit| edit.to_string());
        Self { entry: EntryDetailView::new(detail, config), edit, previous: edited.fields.old }
    }
}

/// What came of an edit of many, or of an undo.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct EntriesEditedView {
    edit: Option<String>,
    changed: u64,
    unchanged: u64,
    missing: Vec<String>,
    conflicts: Vec<ConflictView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ConflictView {
    id: String,
    fields: Vec<String>,
}

impl From<EntriesEdited> for EntriesEditedView {
    fn from(edited: EntriesEdited) -> Self {
        let conflicts = edited.conflicts.into_iter();
        Self {
            edit: edited.edit.map(|edit| edit.to_string()),
            changed: edited.changed,
            unchanged: edited.unchanged,
            missing: edited.missing.iter().map(ToString::to_string).collect(),
            conflicts: conflicts
                .map(|own| ConflictView { id: own.entry.to_string(), fields: own.fields })
                .collect(),
        }
    }
}

/// One edit of an entry.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct PastEditView {
    id: String,
    at: String,
    reverts: Option<String>,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl From<PastEdit> for PastEditView {
    fn from(past: PastEdit) -> Self {
        Self {
            id: past.edit.to_string(),
            at: time(past.at),
            reverts: past.reverts.map(|edit| edit.to_string()),
            before: past.fields.old,
            after: past.fields.new,
        }
    }
}
