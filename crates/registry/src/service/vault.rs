//! What the vault shows and deletes: LoRAs by their partial path, the path below `loras/`.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::identification::{FileFacts, hash_file, inspect_file};
use super::uploads::LORAS;
use super::{BinItem, EntryState, Page, PageRequest, Purged, Registry, bad_cursor};
use crate::domain::{
    BaseModelFamilies, BinItemId, CatalogName, Category, Entry, EntryId, FileFact, ModelPath,
};
use crate::error::{Error, Result, Thing};
use crate::files::{Kind, ModelsTree, io_error, is_link_in_the_way};
use crate::library::{CatalogChange, Placed};
use crate::service::import::Places;
use crate::store::BinEntry;

/// Which LoRAs are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoraFilter {
    /// Uploads of that type only.
    pub entity_type: Option<String>,
    /// A part of name or file name, whatever its case.
    pub name: Option<String>,
    /// A base model or one of its family.
    pub base_model: Option<String>,
}

/// A file that can be read.
#[derive(Debug)]
pub struct LoraFile {
    /// Where it is below the models root.
    pub path: ModelPath,
    /// Open for reading.
    pub file: File,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What is known of it.
    pub fact: Option<FileFact>,
}

/// What a delete by partial path did.
#[derive(Debug, Clone, PartialEq)]
pub struct VaultDeleted {
    /// Where the file was, absolute.
    pub full_path: PathBuf,
    /// Where it is now; `None` when it was purged at once.
    pub item: Option<BinItem>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Registry {
    /// The path of an entry below `loras/`; `None` when it is elsewhere.
    pub fn partial_path(path: &ModelPath) -> Option<String> {
        let relative = path.relative();
        relative.strip_prefix(LORAS)?.strip_prefix('/').map(str::to_owned)
    }

    /// LoRAs of the catalog in its order.
    pub fn list_loras(&self, filter: &LoraFilter, page: &PageRequest) -> Result<Page<EntryState>> {
        let after = page.cursor.as_deref().map(cursor_entry).transpose()?;
        let listing = self.listing(CatalogName::Loras);
        let states = listing.categories.into_iter().flat_map(|category| category.entries);
        let wanted: Vec<EntryState> = states.filter(|state| filter.takes(&state.entry)).collect();
        let total = wanted.len() as u64;
        let start = match after {
            None => 0,
            Some(id) => {
                let place = wanted.iter().position(|state| state.entry.id == id);
                place.map(|place| place + 1).ok_or_else(bad_cursor)?
            }
        };
        let limit = page.rows() as usize;
        let is_last = start + limit >= wanted.len();
        let items: Vec<EntryState> = wanted.into_iter().skip(start).take(limit).collect();
        let last = items.last().filter(|_| !is_last);
        let next_cursor = last.map(|last| URL_SAFE_NO_PAD.encode(last.entry.id.to_string()));
        Ok(Page { items, next_cursor, total })
    }

    /// Opens a file for reading; links are not followed.
    pub async fn open_lora(&self, partial_path: &str) -> Result<LoraFile> {
        let path = full_path(partial_path)?;
        let (tree, own) = (self.inner.tree.clone(), path.clone());
        let opened = self.blocking("opening a file", move || open_regular(&tree, &own)).await?;
        let missing = || Error::not_found(Thing::File, partial_path);
        let file = opened.map_err(|error| io_error("a file cannot be opened", error))?.ok_or_else(missing)?;
        let size_bytes = file.metadata().map_err(|error| io_error("a file cannot be read", error))?.len();
        let fact = self.library().file(&path).copied().filter(|fact| fact.stamp.size_bytes == size_bytes);
        Ok(LoraFile { path, file, size_bytes, fact })
    }

    /// What a file says of itself (decision 25). With `hashes` it is read whole, unless its hashes are known.
    pub async fn lora_facts(&self, partial_path: &str, hashes: bool) -> Result<FileFacts> {
        // Judges path and kind; the facts are read anew.
        let found = self.open_lora(partial_path).await?.path;
        self.facts_at(found, partial_path.to_owned(), hashes).await
    }

    /// What an entry's file says of itself. `NotFound` while it is not on disk.
    pub async fn entry_facts(&self, id: EntryId) -> Result<FileFacts> {
        let state = self.entry_state(id)?;
        let path = state.entry.path.clone();
        if state.file.is_none() {
            return Err(Error::not_found(Thing::File, path.to_string()));
        }
        let shown = path.to_string();
        self.facts_at(path, shown, false).await
    }

    async fn facts_at(&self, path: ModelPath, shown: String, hashes: bool) -> Result<FileFacts> {
        let known = self.file_facts(&path).await?.and_then(|facts| facts.hashes);
        let at = path.below(&self.inner.config.models_dir);
        let inspect = move || {
            let facts = inspect_file(&at, path.file.as_str())?;
            let hashes = match known {
                None if hashes => Some(hash_file(&at, |_| {})?),
                known => known,
            };
            Ok(FileFacts { path: shown, hashes, ..facts })
        };
        let read = self.blocking("inspecting a file", inspect).await?;
        read.map_err(|error| io_error("a file cannot be inspected", error))
    }

    /// Moves a file to the bin. An uploaded file's entry leaves the catalog and comes back with it (decision 9).
    pub async fn delete_lora(&self, partial_path: &str) -> Result<VaultDeleted> {
        let path = full_path(partial_path)?;
        let registry = self.clone();
        let shown = partial_path.to_owned();
        self.uninterrupted(async move { registry.delete_lora_at(path, &shown).await }).await
    }

    async fn delete_lora_at(&self, path: ModelPath, shown: &str) -> Result<VaultDeleted> {
        self.cancel_jobs_at(&path).await?;
        let item = self.delete_at(path.clone(), false).await?;
        let item = item.ok_or_else(|| Error::not_found(Thing::File, shown))?;
        let uploaded =
            self.library().entry_at(CatalogName::Loras, &path).filter(|entry| is_upload(entry)).cloned();
        if let Some(entry) = uploaded {
            self.keep_entry(item.id, &entry).await?;
        }
        tracing::info!(file = %path, bin_path = item.bin_path, "deleted");
        let full_path = path.below(&self.inner.config.models_dir);
        Ok(VaultDeleted { full_path, at: item.deleted_at, item: Some(item) })
    }

    /// The entry goes with its file: kept beside the item of the bin, then out of the catalog.
    async fn keep_entry(&self, item: BinItemId, entry: &Entry) -> Result<()> {
        let Entry { id, catalog, category, document, .. } = entry.clone();
        self.inner.store.save_bin_entry(&BinEntry { item, id, catalog, category, document }).await?;
        let turn = self.catalog_turn().await;
        let mut change = CatalogChange::of(catalog, self.next_head(catalog));
        change.removed.push(id);
        self.commit(turn, vec![change]).await
    }

    /// Brings back the entries of files that are back, and forgets those whose file is gone for good. After each restore
    /// and purge, and when a killed process may have left one.
    pub(super) async fn settle_bin_entries(&self) -> Result<()> {
        for kept in self.inner.store.list_bin_entries().await? {
            if self.inner.store.find_bin_item(kept.item).await?.is_some() {
                continue;
            }
            let path = kept.document.path()?;
            if self.is_on_disk(&path).await && self.library().entries_at(&path).is_empty() {
                self.list_again(&kept).await?;
            }
            self.inner.store.delete_bin_entry(kept.item).await?;
        }
        Ok(())
    }

    async fn list_again(&self, kept: &BinEntry) -> Result<()> {
        let turn = self.catalog_turn().await;
        let BinEntry { id, catalog, category, document, .. } = kept.clone();
        let entry = Entry::from_document(id, catalog, category, document)?;
        let category = Category::named_after_id(&entry.category);
        let mut change = CatalogChange::of(catalog, self.next_head(catalog));
        let position = {
            let library = self.library();
            Places::of(library.catalog(catalog)).next(&category, &mut change.categories)
        };
        let changed_version = change.head.version;
        change.entries.push(Placed { entry: entry.into(), position, changed_version });
        self.commit(turn, vec![change]).await
    }

    /// Brings the newest deleted file of that partial path back, with its entry.
    pub async fn restore_lora(&self, partial_path: &str) -> Result<BinItem> {
        let id = self.newest_in_bin(partial_path).await?;
        self.restore_bin_item(id).await
    }

    /// Frees the newest deleted file of that partial path for good.
    pub async fn purge_lora(&self, partial_path: &str) -> Result<Purged> {
        let id = self.newest_in_bin(partial_path).await?;
        self.purge_bin_item(id).await
    }

    async fn newest_in_bin(&self, partial_path: &str) -> Result<BinItemId> {
        let path = full_path(partial_path)?;
        let items = self.inner.store.list_bin(crate::store::BinFilter::All).await?;
        let newest = items.into_iter().rev().find(|item| item.path == path);
        newest.map(|item| item.id).ok_or_else(|| Error::not_found(Thing::BinItem, partial_path))
    }
}

impl LoraFilter {
    fn takes(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(holds);
        is(&self.entity_type, &|kind| entry.document.text("entity_type") == kind)
            && is(&self.name, &|part| {
                let part = part.to_lowercase();
                [entry.document.name(), entry.file()].iter().any(|name| name.to_lowercase().contains(&part))
            })
            && is(&self.base_model, &|base| {
                BaseModelFamilies::builtin().meet(entry.document.base_model(), base)
            })
    }
}

fn is_upload(entry: &Entry) -> bool {
    entry.document.text("source") == "upload"
}

/// The path of a partial path; what is not one is refused as it stands.
fn full_path(partial_path: &str) -> Result<ModelPath> {
    let path = ModelPath::parse_relative("partial_path", partial_path)?;
    let folder = match path.folder.as_str() {
        "" => LORAS.to_owned(),
        folder => format!("{LORAS}/{folder}"),
    };
    Ok(ModelPath::parse(&folder, path.file.as_str())?)
}

/// `None` when there is no such regular file.
fn open_regular(tree: &ModelsTree, path: &ModelPath) -> std::io::Result<Option<File>> {
    let folder = match tree.open(path.folder.as_str()) {
        Ok(folder) => folder,
        // A folder that is missing or a link leads to nothing.
        Err(error) if error.kind() == ErrorKind::NotFound || is_link_in_the_way(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    match folder.item(path.file.as_str())? {
        Some(item) if item.kind == Kind::File => folder.read(path.file.as_str()).map(Some),
        _ => Ok(None),
    }
}

fn cursor_entry(cursor: &str) -> Result<EntryId> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(bad_cursor)
}
