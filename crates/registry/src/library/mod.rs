//! What the database holds, in memory: entries in catalog order with their indexes, and what is on disk.
//!
//! The database is the truth; this is rebuilt at every start and changed only after a transaction was committed. Reading
//! never waits for a disk.

mod bits;
mod catalog;
mod facets;
mod index;
mod orders;
mod pairs;
mod presence;
mod question;
mod search;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::domain::{CatalogName, Entry, EntryId, FileFact, FileStamp, ModelPath, Sha256};
use crate::files::Scan;

use catalog::FEW;
pub(crate) use catalog::{CatalogChange, CatalogHead, CatalogState, Placed, PlacedCategory};
pub use facets::FacetCount;
use index::{ByFile, ByPath, insert_in_order, take_out};
pub(crate) use orders::OrderKey;
use pairs::PairIndex;
pub(crate) use presence::Changes;
use presence::Presence;
pub use search::Facets;
use search::SearchIndex;
pub(crate) use search::{Found, Mark, Search};

/// Everything, behind one lock.
#[derive(Debug, Default)]
pub(crate) struct Library {
    models: CatalogState,
    loras: CatalogState,
    /// Entries by slot, a small number that the search has for them; free slots are reused.
    rows: Vec<Option<Placed>>,
    free: Vec<u32>,
    by_id: HashMap<EntryId, u32>,
    by_file: HashMap<ByFile, Vec<Arc<Entry>>>,
    by_path: HashMap<ByPath, Vec<Arc<Entry>>>,
    by_version: HashMap<u64, Vec<Arc<Entry>>>,
    /// Made when a list is first searched.
    search: OnceLock<Box<SearchIndex>>,
    pairs: PairIndex,
    /// Counts up whenever anything here changes that a listing shows; starts anew at each start.
    revision: u64,
    presence: Presence,
    /// Bytes held by the bin.
    bin_bytes: u64,
    /// Free bytes on the file system of the models root.
    free_bytes: u64,
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
        self.placed(id).map(|placed| &placed.entry)
    }

    /// The entry of that id with its place.
    pub(crate) fn placed(&self, id: EntryId) -> Option<&Placed> {
        self.slot(id).and_then(|slot| self.placed_at(slot))
    }

    /// The slot of an entry.
    fn slot(&self, id: EntryId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The entry of that slot.
    fn placed_at(&self, slot: u32) -> Option<&Placed> {
        self.rows.get(slot as usize).and_then(Option::as_ref)
    }

    /// Every entry with its slot.
    fn all_placed(&self) -> impl Iterator<Item = (u32, &Placed)> {
        (0..).zip(&self.rows).filter_map(|(slot, placed)| Some((slot, placed.as_ref()?)))
    }

    /// How many slots there are, free ones included.
    fn slots(&self) -> u32 {
        self.rows.len() as u32
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
        let position = self.placed(entry.id).map_or(i64::MAX, |placed| placed.position);
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

    /// Another path, of an entry or a file, that a file system may take for this one.
    pub(crate) fn twin_of(&self, path: &ModelPath) -> Option<&ModelPath> {
        let mut known = self.by_path.keys().map(Borrow::borrow).chain(self.presence.files().keys());
        known.find(|known| *known != path && known.is_twin_of(path))
    }

    /// Every regular file below the models root.
    pub(crate) fn files(&self) -> &HashMap<ModelPath, FileFact> {
        self.presence.files()
    }

    /// Takes over what we did to a file; `None` when we took it away.
    pub(crate) fn set_file(&mut self, path: ModelPath, fact: Option<FileFact>) {
        self.revision += 1;
        self.presence.set(path, fact);
        self.follow_files();
    }

    /// A look at the disk begins; what is set from now on is newer than what it sees.
    pub(crate) fn begin_look(&mut self) {
        self.presence.begin_look();
    }

    /// Takes over a look at everything.
    pub(crate) fn end_look(&mut self, scan: &Scan) -> Changes {
        let changes = self.presence.end_look(scan);
        self.revision += u64::from(!changes.is_empty());
        self.follow_files();
        changes
    }

    /// Takes over a look at some paths.
    pub(crate) fn end_look_at(&mut self, looked: &[(ModelPath, Option<FileStamp>)]) -> Changes {
        let changes = self.presence.end_look_at(looked);
        self.revision += u64::from(!changes.is_empty());
        self.follow_files();
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
        self.prepare_pairs(&change);
        let CatalogChange { catalog, head, categories, removed_categories, entries, removed } = change;
        self.prepare_search(entries.len() + removed.len(), !categories.is_empty());
        let gone = self.places_left(&entries, &removed);
        let state = self.catalog_mut(catalog);
        state.head = head;
        state.put_categories(categories);
        state.take_out(&gone);
        state.put_in(&entries);
        state.remove_categories(&removed_categories);
        for id in removed {
            self.replace(id, None);
        }
        for placed in entries {
            self.replace(placed.entry.id, Some(placed));
        }
    }

    /// The places that a change makes free. An entry that stays where it is leaves none when few change.
    fn places_left(&self, entries: &[Placed], removed: &[EntryId]) -> Vec<Placed> {
        let stays = |new: &Placed, old: &Placed| {
            entries.len() <= FEW && new.position == old.position && new.entry.category == old.entry.category
        };
        let moved = entries.iter().filter_map(|new| Some((new, self.placed(new.entry.id)?)));
        let moved = moved.filter(|(new, old)| !stays(new, old)).map(|(_, old)| old);
        removed.iter().filter_map(|id| self.placed(*id)).chain(moved).cloned().collect()
    }

    /// Puts an entry in the place of the one that has its id, or takes that one out.
    fn replace(&mut self, id: EntryId, new: Option<Placed>) {
        let known = self.slot(id);
        let old = known.and_then(|slot| self.rows[slot as usize].take());
        if let Some(old) = &old {
            self.unlink(&old.entry);
        }
        let Some(slot) = known.or_else(|| new.is_some().then(|| self.free_slot())) else { return };
        if let Some(placed) = new {
            self.link(&placed.entry);
            self.by_id.insert(id, slot);
            self.rows[slot as usize] = Some(placed);
        } else {
            self.by_id.remove(&id);
            self.free.push(slot);
        }
        self.update_search(|search, library| search.update(library, slot, old.as_ref()));
    }

    /// What a source published says nothing of the file of another.
    fn forget_other_sources(&mut self, changed: &[Placed]) {
        for Placed { entry, .. } in changed {
            let Some(before) = self.entry(entry.id) else { continue };
            if self.presence.published(&entry.path).is_some()
                && before.document.origin() != entry.document.origin()
            {
                self.presence.forget_published(&entry.path);
            }
        }
    }

    fn free_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            self.slots() - 1
        })
    }

    fn link(&mut self, entry: &Arc<Entry>) {
        self.by_file.entry(ByFile(Arc::clone(entry))).or_default().push(Arc::clone(entry));
        insert_in_order(self.by_path.entry(ByPath(Arc::clone(entry))).or_default(), entry);
        if let Some(version_id) = entry.document.id("civitai_version_id") {
            insert_in_order(self.by_version.entry(version_id).or_default(), entry);
        }
    }

    fn unlink(&mut self, entry: &Arc<Entry>) {
        take_out(&mut self.by_file, &ByFile(Arc::clone(entry)), entry.id, ByFile);
        take_out(&mut self.by_path, &ByPath(Arc::clone(entry)), entry.id, ByPath);
        if let Some(version_id) = entry.document.id("civitai_version_id") {
            take_out(&mut self.by_version, &version_id, entry.id, |_| version_id);
        }
    }
}

/// Searching.
impl Library {
    /// Whether the next search need not read every entry first.
    pub(crate) fn is_ready_to_search(&self) -> bool {
        self.search.get().is_some()
    }

    /// Runs a query; the first one reads every entry.
    pub(crate) fn search(&self, search: &Search<'_>) -> Found {
        self.search.get_or_init(|| Box::new(SearchIndex::of(self))).run(self, search)
    }

    /// Before a change: forgets an index that is made anew more quickly than changed.
    fn prepare_search(&mut self, changed: usize, are_categories_changed: bool) {
        let Some(search) = self.search.get_mut() else { return };
        if search.is_worn() || changed > 64 + self.rows.len() / 8 {
            self.search.take();
        } else if are_categories_changed {
            search.forget_places();
        }
    }

    /// Tells the index, if there is one, what has changed here.
    fn update_search(&mut self, update: impl FnOnce(&mut SearchIndex, &Self)) {
        if let Some(mut search) = self.search.take() {
            update(&mut search, self);
            // Nobody else can have made one: `self` is borrowed for good.
            drop(self.search.set(search));
        }
    }

    /// Tells the index which files came, went or changed.
    fn follow_files(&mut self) {
        let Some(paths) = self.presence.take_moved() else {
            self.search.take();
            return;
        };
        self.update_search(|search, library| {
            for path in paths {
                let others: Vec<ModelPath> = library.presence.other_names(&path).collect();
                for path in others.iter().chain([&path]) {
                    library.update_file(search, path);
                }
            }
        });
    }

    fn update_file(&self, search: &mut SearchIndex, path: &ModelPath) {
        let is_present = self.file(path).is_some();
        for slot in self.entries_at(path).iter().filter_map(|entry| self.slot(entry.id)) {
            search.update_file(self, slot, is_present);
        }
    }
}
