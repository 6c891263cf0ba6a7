//! One catalog in file order, and the changes that it can take.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::catalog_file;
use crate::domain::{CatalogName, Category, Entry, EntryDocument, EntryId};

/// Entries of one change that are put in their places one by one; more are sorted in at once.
pub(super) const FEW: usize = 32;

/// One catalog in file order.
#[derive(Debug, Clone, Default)]
pub(crate) struct CatalogState {
    /// What stands beside the categories.
    pub(crate) head: CatalogHead,
    /// In file order, empty ones kept.
    pub(crate) categories: Vec<CategoryState>,
}

/// What stands beside the categories, and how far the file on disk is behind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CatalogHead {
    /// Counts up on every change.
    pub(crate) version: i64,
    /// `YYYY-MM-DD HH:MM` of the last change.
    pub(crate) date: String,
    /// The object of the catalog file, fields in their order, with `null` for its `categories`.
    pub(crate) document: Map<String, Value>,
    /// The version that the file on disk has.
    pub(crate) face_version: i64,
    /// SHA-256 of the file on disk when it was last read or written, hex.
    pub(crate) face_sha256: Option<String>,
}

/// One category with its entries in file order.
#[derive(Debug, Clone)]
pub(crate) struct CategoryState {
    /// The category.
    pub(crate) category: Category,
    /// Its place in the catalog; lower comes first.
    pub(crate) position: i64,
    /// Its entries with their places, sorted by place and id.
    entries: Vec<(i64, Arc<Entry>)>,
}

/// An entry with its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// The entry.
    pub(crate) entry: Arc<Entry>,
    /// Its place in its category; lower comes first.
    pub(crate) position: i64,
    /// The catalog's version that it was added or changed with.
    pub(crate) changed_version: i64,
}

/// A category with its place.
#[derive(Debug, Clone)]
pub(crate) struct PlacedCategory {
    /// The category.
    pub(crate) category: Category,
    /// Its place in the catalog; lower comes first.
    pub(crate) position: i64,
}

/// One change of one catalog: a transaction in the database, then the same here.
#[derive(Debug, Clone)]
pub(crate) struct CatalogChange {
    /// Which catalog.
    pub(crate) catalog: CatalogName,
    /// Its head after the change.
    pub(crate) head: CatalogHead,
    /// Categories that are new, changed or moved.
    pub(crate) categories: Vec<PlacedCategory>,
    /// Categories that are gone; they hold no entries any more.
    pub(crate) removed_categories: Vec<String>,
    /// Entries that are new, changed or moved.
    pub(crate) entries: Vec<Placed>,
    /// Entries that are gone.
    pub(crate) removed: Vec<EntryId>,
}

impl CatalogChange {
    /// Nothing but a head.
    pub(crate) fn of(catalog: CatalogName, head: CatalogHead) -> Self {
        let (categories, removed_categories, entries, removed) = Default::default();
        Self { catalog, head, categories, removed_categories, entries, removed }
    }
}

impl Default for CatalogHead {
    /// A fresh catalog: version 0, no date.
    fn default() -> Self {
        let fields = [("version", Value::from(0)), ("date", Value::from("")), ("categories", Value::Null)];
        let document = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        Self { version: 0, date: String::new(), document, face_version: 0, face_sha256: None }
    }
}

impl CatalogState {
    /// Every entry in file order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.categories.iter().flat_map(CategoryState::entries)
    }

    /// The bytes of the file that this catalog has on disk.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        let all: Vec<(&Category, Vec<&EntryDocument>)> = self
            .categories
            .iter()
            .map(|own| (&own.category, own.entries().map(|entry| &entry.document).collect()))
            .collect();
        catalog_file::write(&self.head.document, self.head.version, &self.head.date, &all)
    }

    /// The category of that id.
    pub(crate) fn category(&self, id: &str) -> Option<&CategoryState> {
        self.categories.iter().find(|category| category.category.id == id)
    }

    fn category_mut(&mut self, id: &str) -> Option<&mut CategoryState> {
        self.categories.iter_mut().find(|category| category.category.id == id)
    }

    /// Adds, changes and moves categories.
    pub(super) fn put_categories(&mut self, categories: Vec<PlacedCategory>) {
        for PlacedCategory { category, position } in categories {
            match self.category_mut(&category.id) {
                Some(own) => (own.category, own.position) = (category, position),
                None => self.categories.push(CategoryState { category, position, entries: Vec::new() }),
            }
        }
        self.categories.sort_by_key(|category| category.position);
    }

    /// Takes categories out that hold no entries any more.
    pub(super) fn remove_categories(&mut self, ids: &[String]) {
        self.categories.retain(|category| !ids.contains(&category.category.id));
    }

    /// Takes entries out of their places.
    pub(super) fn take_out(&mut self, gone: &[Placed]) {
        if gone.len() > FEW {
            let ids: HashSet<EntryId> = gone.iter().map(|placed| placed.entry.id).collect();
            for category in &mut self.categories {
                category.entries.retain(|(_, entry)| !ids.contains(&entry.id));
            }
            return;
        }
        for placed in gone {
            let Some(category) = self.category_mut(&placed.entry.category) else { continue };
            if let Ok(at) = category.find(placed) {
                category.entries.remove(at);
            }
        }
    }

    /// Puts entries in their places; an entry that has the place already is replaced.
    pub(super) fn put_in(&mut self, new: &[Placed]) {
        for placed in new {
            let Some(category) = self.category_mut(&placed.entry.category) else { continue };
            let own = (placed.position, Arc::clone(&placed.entry));
            if new.len() > FEW {
                category.entries.push(own);
                continue;
            }
            match category.find(placed) {
                Ok(at) => category.entries[at] = own,
                Err(at) => category.entries.insert(at, own),
            }
        }
        if new.len() > FEW {
            for category in &mut self.categories {
                category.entries.sort_unstable_by_key(|(position, entry)| (*position, entry.id));
                category.entries.shrink_to_fit();
            }
        }
    }
}

impl CategoryState {
    /// Its entries in file order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The place after its last entry.
    pub(crate) fn next_position(&self) -> i64 {
        self.entries.last().map_or(0, |(last, _)| last + 1)
    }

    fn find(&self, placed: &Placed) -> Result<usize, usize> {
        let wanted = (placed.position, placed.entry.id);
        self.entries.binary_search_by_key(&wanted, |(position, entry)| (*position, entry.id))
    }
}
