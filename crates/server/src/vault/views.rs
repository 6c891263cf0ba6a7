//! The shapes of the wire, field by field as the contract has them.

use lorakeep_registry::{BinItem, EntryState, Page, Purged, Registry, VaultDeleted};
use schemars::JsonSchema;
use serde::Serialize;

use crate::uploaded::second;

/// A deleted file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeletedView {
    deleted: bool,
    full_path: String,
    bin_path: Option<String>,
    timestamp: String,
}

/// A file that is back.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RestoredView {
    restored: bool,
    partial_path: String,
    full_path: String,
    timestamp: String,
}

/// A file that is gone for good.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PurgedView {
    purged: bool,
    bytes: u64,
}

/// A page of LoRAs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOfLora")]
pub(super) struct ListView {
    items: Vec<LoraView>,
    next_cursor: Option<String>,
    total: u64,
}

/// One LoRA of the list.
#[derive(Debug, Serialize, JsonSchema)]
struct LoraView {
    file_path: String,
    partial_path: Option<String>,
    filename: String,
    name: String,
    file_size: Option<u64>,
    entity_type: Option<String>,
    base_model: Option<String>,
    trigger_words: Vec<String>,
    source: Option<String>,
    sha256: Option<String>,
    duplicate_of: Option<String>,
    status: &'static str,
    upload_timestamp: Option<String>,
}

impl From<VaultDeleted> for DeletedView {
    fn from(deleted: VaultDeleted) -> Self {
        Self {
            deleted: true,
            full_path: deleted.full_path.display().to_string(),
            bin_path: deleted.item.map(|item| item.bin_path),
            timestamp: second(deleted.at),
        }
    }
}

impl RestoredView {
    pub(super) fn new(item: &BinItem, registry: &Registry) -> Self {
        Self {
            restored: true,
            partial_path: Registry::partial_path(&item.path).unwrap_or_default(),
            full_path: item.path.below(&registry.config().models_dir).display().to_string(),
            timestamp: second(registry.now()),
        }
    }
}

impl From<Purged> for PurgedView {
    fn from(purged: Purged) -> Self {
        Self { purged: true, bytes: purged.bytes }
    }
}

impl ListView {
    pub(super) fn new(page: Page<EntryState>, registry: &Registry) -> Self {
        let items = page.items.iter().map(|state| LoraView::new(state, registry)).collect();
        Self { items, next_cursor: page.next_cursor, total: page.total }
    }
}

impl LoraView {
    fn new(state: &EntryState, registry: &Registry) -> Self {
        let (entry, document) = (&state.entry, &state.entry.document);
        let text = |field: &str| document.some_text(field).map(str::to_owned);
        let fact = state.file.as_ref();
        let on_disk = fact.and_then(|fact| fact.sha256).map(|sha256| sha256.to_string());
        Self {
            file_path: entry.path.below(&registry.config().models_dir).display().to_string(),
            partial_path: Registry::partial_path(&entry.path),
            filename: entry.file().to_owned(),
            name: document.name().to_owned(),
            file_size: fact.map(|fact| fact.stamp.size_bytes),
            entity_type: text("entity_type"),
            base_model: Some(document.base_model().to_owned()).filter(|base| !base.is_empty()),
            trigger_words: document.texts("trigger_words").map(str::to_owned).collect(),
            source: text("source"),
            sha256: on_disk.or_else(|| text("sha256")),
            duplicate_of: text("duplicate_of"),
            status: state.status.as_str(),
            upload_timestamp: text("uploaded_at"),
        }
    }
}
