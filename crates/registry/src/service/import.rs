//! What an import and an edit of the catalog file would change; pure, so that the rules are in one place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::{ImportFault, ImportReport};
use crate::domain::catalog_file::{CatalogFile, judged};
use crate::domain::{CatalogName, Category, Entry, EntryDocument, EntryId, ModelPath};
use crate::library::{CatalogChange, CatalogHead, CatalogState, Library, Placed, PlacedCategory};

/// The tag of imported entries.
const IMPORTED: &str = "imported";
/// Where entries of the models root itself go.
const ROOT_CATEGORY: &str = "other";

/// One entry of a catalog file that can be used.
struct Usable {
    index: usize,
    category: Category,
    document: EntryDocument,
    path: ModelPath,
}

/// The usable entries of a file in its order, and what is wrong with the others.
fn usable(file: CatalogFile) -> (Vec<Usable>, Vec<ImportFault>) {
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    let mut index = 0;
    for group in file.groups {
        for value in group.entries {
            match judged(value) {
                Ok((document, path)) => {
                    let category = group.category.clone().unwrap_or_else(|| category_of(&path));
                    entries.push(Usable { index, category, document, path });
                }
                Err(fault) => faults.push(ImportFault {
                    index,
                    file: fault.file,
                    field: fault.field,
                    message: fault.message,
                }),
            }
            index += 1;
        }
    }
    (entries, faults)
}

/// The category of an entry that stands in none: named by the first part of its folder.
pub(super) fn category_of(path: &ModelPath) -> Category {
    let first = path.folder.as_str().split('/').next().filter(|first| !first.is_empty());
    Category::named_after_id(first.unwrap_or(ROOT_CATEGORY))
}

/// Whether new entries are marked as imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tagging {
    /// With the tag `imported`.
    Imported,
    /// As they are.
    AsTheyAre,
}

/// Adds what is new; never changes what is there.
pub(super) fn plan_import(
    library: &Library,
    catalog: CatalogName,
    head: CatalogHead,
    file: CatalogFile,
    tagging: Tagging,
    mut new_id: impl FnMut() -> EntryId,
) -> (CatalogChange, ImportReport) {
    let (entries, errors) = usable(file);
    let mut report = ImportReport { errors, ..ImportReport::default() };
    report.skipped.extend(report.errors.iter().map(|fault| fault.file.clone()));
    let mut places = Places::of(library.catalog(catalog));
    let mut seen = HashSet::new();
    let mut change = CatalogChange::of(catalog, head);
    for Usable { category, mut document, path, .. } in entries {
        let file = path.file.as_str().to_owned();
        if library.entry_at(catalog, &path).is_some() || !seen.insert(path.clone()) {
            report.skipped.push(file);
            continue;
        }
        if tagging == Tagging::Imported {
            tag_imported(&mut document);
        }
        let position = places.next(&category, &mut change.categories);
        let entry = Entry { id: new_id(), catalog, category: category.id, path, document };
        let changed_version = change.head.version;
        change.entries.push(Placed { entry: Arc::new(entry), position, changed_version });
        report.added.push(file);
    }
    (change, report)
}

fn tag_imported(document: &mut EntryDocument) {
    if document.texts("tags").any(|tag| tag == IMPORTED) {
        return;
    }
    let tags: Vec<Value> = document.texts("tags").chain([IMPORTED]).map(Value::from).collect();
    document.set("tags", tags);
}

/// The next free places of a catalog.
pub(super) struct Places {
    next_category: i64,
    next_entry: HashMap<String, i64>,
}

impl Places {
    pub(super) fn of(state: &CatalogState) -> Self {
        let next_category = state.categories.last().map_or(0, |last| last.position + 1);
        let next_entry =
            state.categories.iter().map(|own| (own.category.id.clone(), own.next_position())).collect();
        Self { next_category, next_entry }
    }

    /// The place after the last entry of that category, which is made when it is new.
    pub(super) fn next(&mut self, category: &Category, new: &mut Vec<PlacedCategory>) -> i64 {
        if let Some(next) = self.next_entry.get_mut(&category.id) {
            *next += 1;
            return *next - 1;
        }
        new.push(PlacedCategory { category: category.clone(), position: self.next_category });
        self.next_category += 1;
        self.next_entry.insert(category.id.clone(), 1);
        0
    }
}

/// What an edited catalog file changes.
pub(super) struct Edit {
    /// The change; its head has the new version.
    pub(super) change: CatalogChange,
    /// Entries that were left out, and why.
    pub(super) faults: Vec<ImportFault>,
    /// Paths that are in the catalog no more.
    pub(super) removed: Vec<ModelPath>,
    /// Whether the file says exactly what the catalog says after the change, so that it need not be written.
    pub(super) is_faithful: bool,
}

/// Takes the file's word for everything but what was added or changed here after it was last written.
pub(super) fn plan_edit(
    library: &Library,
    catalog: CatalogName,
    next_head: CatalogHead,
    mut file: CatalogFile,
    mut new_id: impl FnMut() -> EntryId,
) -> Edit {
    let state = library.catalog(catalog);
    let head = edited_head(&state.head, next_head, &mut file);
    let file_order: Vec<Category> = file.groups.iter().filter_map(|group| group.category.clone()).collect();
    let is_same_head = file.version == Some(head.version) && file.date.as_deref() == Some(&head.date);
    let has_loose_entries = file.groups.iter().any(|group| group.category.is_none());
    let (entries, mut faults) = usable(file);

    let mut layout = Layout::new(file_order);
    let mut change = CatalogChange::of(catalog, head);
    let (mut seen, mut kept_ours) = (HashSet::new(), false);
    for Usable { index, category, document, path } in entries {
        if !seen.insert(path.clone()) {
            faults.push(twice(index, &path));
            continue;
        }
        let position = layout.place(&category);
        let old = library.entry_at(catalog, &path).and_then(|entry| library.placed(entry.id));
        let is_newer_here = old.is_some_and(|old| old.changed_version > state.head.face_version);
        let document = match old {
            Some(old) if is_newer_here => old.entry.document.clone(),
            _ => document,
        };
        kept_ours |= is_newer_here;
        let entry = Entry {
            id: old.map_or_else(&mut new_id, |old| old.entry.id),
            catalog,
            category: category.id,
            path,
            document,
        };
        push_changed(&mut change, old, entry, position);
    }
    let mut removed = Vec::new();
    for entry in state.entries().filter(|entry| !seen.contains(&entry.path)) {
        let Some(old) = library.placed(entry.id) else { continue };
        if old.changed_version > state.head.face_version {
            let category = state.category(&entry.category).map(|own| own.category.clone());
            let position = layout.place(&category.unwrap_or_else(|| category_of(&entry.path)));
            push_changed(&mut change, Some(old), Entry::clone(entry), position);
            kept_ours = true;
        } else {
            change.removed.push(entry.id);
            removed.push(entry.path.clone());
        }
    }
    layout.into_change(state, &mut change);
    let is_faithful = is_same_head && !has_loose_entries && !kept_ours && faults.is_empty();
    Edit { change, faults, removed, is_faithful }
}

/// The file's own version and date when it is ahead, else one more than ours; unknown fields are the file's.
fn edited_head(own: &CatalogHead, next: CatalogHead, file: &mut CatalogFile) -> CatalogHead {
    let document = std::mem::take(&mut file.document);
    let is_ahead = file.version.is_some_and(|version| version > own.version);
    let version = file.version.filter(|_| is_ahead).unwrap_or(next.version);
    let date = file.date.clone().filter(|_| is_ahead).unwrap_or(next.date);
    let document = if document.is_empty() { next.document } else { document };
    CatalogHead { version, date, document, face_version: next.face_version, face_sha256: next.face_sha256 }
}

fn push_changed(change: &mut CatalogChange, old: Option<&Placed>, entry: Entry, position: i64) {
    let is_same = |old: &Placed| old.entry.document == entry.document && old.entry.category == entry.category;
    match old {
        Some(old) if is_same(old) && old.position == position => {}
        Some(old) if is_same(old) => {
            let entry = Arc::clone(&old.entry);
            change.entries.push(Placed { entry, position, changed_version: old.changed_version });
        }
        _ => {
            let changed_version = change.head.version;
            change.entries.push(Placed { entry: Arc::new(entry), position, changed_version });
        }
    }
}

fn twice(index: usize, path: &ModelPath) -> ImportFault {
    let message = format!("`{path}` stands in the catalog twice; the first one counts");
    ImportFault { index, file: path.file.to_string(), field: "file".to_owned(), message }
}

/// Categories and places as the file has them.
struct Layout {
    categories: Vec<Category>,
    next_entry: HashMap<String, i64>,
}

impl Layout {
    fn new(order: Vec<Category>) -> Self {
        let mut layout = Self { categories: Vec::new(), next_entry: HashMap::new() };
        for category in order {
            layout.add(category);
        }
        layout
    }

    fn add(&mut self, category: Category) {
        if self.next_entry.insert(category.id.clone(), 0).is_none() {
            self.categories.push(category);
        }
    }

    fn place(&mut self, category: &Category) -> i64 {
        if !self.next_entry.contains_key(&category.id) {
            self.add(category.clone());
        }
        let next = self.next_entry.entry(category.id.clone()).or_default();
        *next += 1;
        *next - 1
    }

    /// Writes down which categories are new, changed, moved or gone.
    fn into_change(self, state: &CatalogState, change: &mut CatalogChange) {
        let is_known = |id: &str| self.next_entry.contains_key(id);
        let gone = state.categories.iter().filter(|own| !is_known(&own.category.id));
        change.removed_categories = gone.map(|own| own.category.id.clone()).collect();
        for (position, category) in self.categories.into_iter().enumerate() {
            let position = position as i64;
            let old = state.category(&category.id);
            if old.is_none_or(|old| old.position != position || old.category != category) {
                change.categories.push(PlacedCategory { category, position });
            }
        }
    }
}
