//! What the database holds, in memory: entries in catalog order with their indexes, and what is on disk.
//!
//! The database is the truth; this is rebuilt at every start and changed only after a transaction was committed. Reading
//! never waits for a disk.

mod index;
mod presence;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::catalog_file;
use crate::domain::{
    CatalogName, Category, Entry, EntryDocument, EntryId, FileFact, FileStamp, ModelPath, Sha256,
};
use crate::files::Scan;

use index::{ByFile, ByPath, insert_in_order, take_out};
pub(crate) use presence::Changes;
use presence::Presence;

/// Everything, behind one lock.
#[derive(Debug, Default)]
pub(crate) struct Library {
    models: CatalogState,
    loras: CatalogState,
    by_id: HashMap<EntryId, Placed>,
    by_file: HashMap<ByFile, Vec<Arc<Entry>>>,
    by_path: HashMap<ByPath, Vec<Arc<Entry>>>,
    by_version: HashMap<u64, Vec<Arc<Entry>>>,
    /// Counts up whenever anything here changes that a listing shows; starts anew at each start.
    revision: u64,
    presence: Presence,
    /// Bytes held by the bin.
    bin_bytes: u64,
    /// Free bytes on the file system of the models root.
    free_bytes: u64,
}

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
    /// Its entries.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The place after its last entry.
    pub(crate) next_position: i64,
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
        self.categories.iter().flat_map(|category| &category.entries)
    }

    /// The bytes of the file that this catalog has on disk.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        let all: Vec<(&Category, Vec<&EntryDocument>)> = self
            .categories
            .iter()
            .map(|own| (&own.category, own.entries.iter().map(|entry| &entry.document).collect()))
            .collect();
        catalog_file::write(&self.head.document, self.head.version, &self.head.date, &all)
    }

    /// The category of that id.
    pub(crate) fn category(&self, id: &str) -> Option<&CategoryState> {
        self.categories.iter().find(|category| category.category.id == id)
    }
}

impl Library {
    /// One catalog.
    pub(crate) fn catalog(&self, name: CatalogName) -> &CatalogState {
        match name {
            CatalogName::Models => &self.models,
            CatalogName::Loras => &self.loras,
        }
    }

    fn catalog_mut(&mut self, name: CatalogName) -> &mut CatalogState {
        match name {
            CatalogName::Models => &mut self.models,
            CatalogName::Loras => &mut self.loras,
        }
    }

    /// The entry of that id.
    pub(crate) fn entry(&self, id: EntryId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id).map(|placed| &placed.entry)
    }

    /// The entry of that id with its place.
    pub(crate) fn placed(&self, id: EntryId) -> Option<&Placed> {
        self.by_id.get(&id)
    }

    /// The entries of that path, at most one a catalog, `models` first.
    pub(crate) fn entries_at(&self, path: &ModelPath) -> &[Arc<Entry>] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
    }

    /// The entry of that path in that catalog.
    pub(crate) fn entry_at(&self, catalog: CatalogName, path: &ModelPath) -> Option<&Arc<Entry>> {
        self.entries_at(path).iter().find(|entry| entry.catalog == catalog)
    }

    /// The entries of that CivitAI version, in both catalogs, `models` first.
    pub(crate) fn entries_of_version(&self, version_id: u64) -> &[Arc<Entry>] {
        self.by_version.get(&version_id).map_or(&[], Vec::as_slice)
    }

    /// The entry of that file name: the one in `dest` when given, else the first of both catalogs (decision 1).
    pub(crate) fn find(&self, file: &str, dest: Option<&str>) -> Option<&Arc<Entry>> {
        let named = self.by_file.get(file)?;
        let wanted = named.iter().filter(|entry| dest.is_none_or(|dest| entry.dest() == dest));
        wanted.min_by_key(|entry| self.rank(entry))
    }

    /// Where an entry stands among all: catalog, category, place.
    fn rank(&self, entry: &Entry) -> (CatalogName, usize, i64) {
        let categories = &self.catalog(entry.catalog).categories;
        let category = categories.iter().position(|category| category.category.id == entry.category);
        let position = self.by_id.get(&entry.id).map_or(i64::MAX, |placed| placed.position);
        (entry.catalog, category.unwrap_or(usize::MAX), position)
    }

    /// An empty library whose revisions start there, so that those of two starts do not meet. It knows hashes and
    /// nothing of the disk.
    pub(crate) fn starting_at(revision: u64, hashed: Vec<(ModelPath, FileFact)>) -> Self {
        Self { revision, presence: Presence::remembering(hashed), ..Self::default() }
    }

    /// Counts up whenever anything here changes that a listing shows.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// What is known of the file of that path; `None` when it is not on disk.
    pub(crate) fn file(&self, path: &ModelPath) -> Option<&FileFact> {
        self.presence.get(path)
    }

    /// The hash that the file of that path should have: its entry's, else what its source published when it was fetched.
    pub(crate) fn published(&self, path: &ModelPath) -> Option<Sha256> {
        let own = self.entries_at(path).iter().find_map(|entry| entry.document.sha256());
        own.or_else(|| self.presence.published(path))
    }

    /// Every regular file below the models root.
    pub(crate) fn files(&self) -> &HashMap<ModelPath, FileFact> {
        self.presence.files()
    }

    /// Takes over what we did to a file; `None` when we took it away.
    pub(crate) fn set_file(&mut self, path: ModelPath, fact: Option<FileFact>) {
        self.revision += 1;
        self.presence.set(path, fact);
    }

    /// A look at the disk begins; what is set from now on is newer than what it sees.
    pub(crate) fn begin_look(&mut self) {
        self.presence.begin_look();
    }

    /// Takes over a look at everything.
    pub(crate) fn end_look(&mut self, scan: &Scan) -> Changes {
        let changes = self.presence.end_look(scan);
        self.revision += u64::from(!changes.is_empty());
        changes
    }

    /// Takes over a look at some paths.
    pub(crate) fn end_look_at(&mut self, looked: &[(ModelPath, Option<FileStamp>)]) -> Changes {
        let changes = self.presence.end_look_at(looked);
        self.revision += u64::from(!changes.is_empty());
        changes
    }

    /// Rows of files to write and to delete since the last call.
    pub(crate) fn take_unsaved_files(&mut self) -> (Vec<(ModelPath, FileFact)>, Vec<ModelPath>) {
        self.presence.take_unsaved()
    }

    /// Puts back what could not be written.
    pub(crate) fn still_unsaved_files(&mut self, paths: impl IntoIterator<Item = ModelPath>) {
        self.presence.still_unsaved(paths);
    }

    /// Model files on disk that no catalog knows.
    pub(crate) fn unlisted(&self) -> impl Iterator<Item = (&ModelPath, &FileFact)> {
        let is_listed = |path: &ModelPath| {
            self.by_path.contains_key(path)
                || self.presence.other_names(path).any(|other| self.by_path.contains_key(&other))
        };
        self.files().iter().filter(move |(path, _)| path.file.is_model() && !is_listed(path))
    }

    /// Bytes held by the bin.
    pub(crate) fn bin_bytes(&self) -> u64 {
        self.bin_bytes
    }

    /// The bin holds that many bytes now.
    pub(crate) fn set_bin_bytes(&mut self, bytes: u64) {
        self.revision += u64::from(self.bin_bytes != bytes);
        self.bin_bytes = bytes;
    }

    /// Free bytes on the file system of the models root, as last sampled.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// A new sample.
    pub(crate) fn set_free_bytes(&mut self, bytes: u64) {
        self.revision += u64::from(self.free_bytes != bytes);
        self.free_bytes = bytes;
    }

    /// The file on disk has that version and those bytes now.
    pub(crate) fn set_face(&mut self, catalog: CatalogName, version: i64, sha256: String) {
        let head = &mut self.catalog_mut(catalog).head;
        (head.face_version, head.face_sha256) = (version, Some(sha256));
    }

    /// Takes over a change that the database has.
    pub(crate) fn apply(&mut self, change: CatalogChange) {
        self.revision += 1;
        self.forget_other_sources(&change.entries);
        let CatalogChange { catalog, head, categories, removed_categories, entries, removed } = change;
        for id in removed.iter().chain(entries.iter().map(|placed| &placed.entry.id)) {
            self.forget(*id);
        }
        for placed in entries {
            self.remember(placed);
        }
        let state = self.catalog_mut(catalog);
        state.head = head;
        state.categories.retain(|category| !removed_categories.contains(&category.category.id));
        for PlacedCategory { category, position } in categories {
            match state.categories.iter_mut().find(|own| own.category.id == category.id) {
                Some(own) => (own.category, own.position) = (category, position),
                None => state.categories.push(CategoryState {
                    category,
                    position,
                    entries: Vec::new(),
                    next_position: 0,
                }),
            }
        }
        state.categories.sort_by_key(|category| category.position);
        self.regroup(catalog);
    }

    /// What a source published says nothing of the file of another.
    fn forget_other_sources(&mut self, changed: &[Placed]) {
        for Placed { entry, .. } in changed {
            let Some(before) = self.by_id.get(&entry.id) else { continue };
            if self.presence.published(&entry.path).is_some()
                && before.entry.document.origin() != entry.document.origin()
            {
                self.presence.forget_published(&entry.path);
            }
        }
    }

    /// Sorts a catalog's entries into its categories again.
    fn regroup(&mut self, catalog: CatalogName) {
        let mut groups: HashMap<&str, Vec<&Placed>> = HashMap::new();
        for placed in self.by_id.values().filter(|placed| placed.entry.catalog == catalog) {
            groups.entry(&placed.entry.category).or_default().push(placed);
        }
        let state = match catalog {
            CatalogName::Models => &mut self.models,
            CatalogName::Loras => &mut self.loras,
        };
        for category in &mut state.categories {
            let mut group = groups.remove(category.category.id.as_str()).unwrap_or_default();
            group.sort_unstable_by_key(|placed| (placed.position, placed.entry.id));
            category.next_position = group.last().map_or(0, |last| last.position + 1);
            category.entries = group.into_iter().map(|placed| Arc::clone(&placed.entry)).collect();
        }
    }

    fn remember(&mut self, placed: Placed) {
        let entry = &placed.entry;
        self.by_file.entry(ByFile(Arc::clone(entry))).or_default().push(Arc::clone(entry));
        insert_in_order(self.by_path.entry(ByPath(Arc::clone(entry))).or_default(), entry);
        if let Some(version_id) = entry.document.id("civitai_version_id") {
            insert_in_order(self.by_version.entry(version_id).or_default(), entry);
        }
        self.by_id.insert(entry.id, placed);
    }

    fn forget(&mut self, id: EntryId) {
        let Some(Placed { entry, .. }) = self.by_id.remove(&id) else { return };
        take_out(&mut self.by_file, &ByFile(Arc::clone(&entry)), id, ByFile);
        take_out(&mut self.by_path, &ByPath(Arc::clone(&entry)), id, ByPath);
        if let Some(version_id) = entry.document.id("civitai_version_id") {
            take_out(&mut self.by_version, &version_id, id, |_| version_id);
        }
    }
}
