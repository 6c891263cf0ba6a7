//! Entries as their own keys, so that an index costs a pointer and no second text.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::domain::{Entry, EntryId, ModelPath};

/// Entries of `models` before entries of `loras`.
pub(super) fn insert_in_order(entries: &mut Vec<Arc<Entry>>, entry: &Arc<Entry>) {
    let at = entries.partition_point(|other| other.catalog <= entry.catalog);
    entries.insert(at, Arc::clone(entry));
}

/// Takes one entry out of an index; the key must not keep the old entry alive, so it is made anew from one that stays.
pub(super) fn take_out<K: Hash + Eq>(
    index: &mut HashMap<K, Vec<Arc<Entry>>>,
    key: &K,
    id: EntryId,
    new_key: impl Fn(Arc<Entry>) -> K,
) {
    let Some(mut entries) = index.remove(key) else { return };
    entries.retain(|entry| entry.id != id);
    if let Some(first) = entries.first() {
        index.insert(new_key(Arc::clone(first)), entries);
    }
}

/// An entry as the key of its file name.
#[derive(Debug)]
pub(super) struct ByFile(pub(super) Arc<Entry>);

/// An entry as the key of its path.
#[derive(Debug)]
pub(super) struct ByPath(pub(super) Arc<Entry>);

impl Borrow<str> for ByFile {
    fn borrow(&self) -> &str {
        self.0.file()
    }
}

impl Hash for ByFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.file().hash(state);
    }
}

impl PartialEq for ByFile {
    fn eq(&self, other: &Self) -> bool {
        self.0.file() == other.0.file()
    }
}

impl Eq for ByFile {}

impl Borrow<ModelPath> for ByPath {
    fn borrow(&self) -> &ModelPath {
        &self.0.path
    }
}

impl Hash for ByPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.path.hash(state);
    }
}

impl PartialEq for ByPath {
    fn eq(&self, other: &Self) -> bool {
        self.0.path == other.0.path
    }
}

impl Eq for ByPath {}
