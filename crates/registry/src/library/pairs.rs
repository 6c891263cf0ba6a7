//! The entries that are in a LoRA pair: found once, and again when one of them changes.

use std::sync::{Arc, OnceLock};

use super::{CatalogChange, Library};
use crate::domain::{CatalogName, Entry};

/// The paired entries of both catalogs.
#[derive(Debug, Default)]
pub(super) struct PairIndex {
    /// Made when somebody first asks.
    entries: OnceLock<Arc<[Arc<Entry>]>>,
    revision: u64,
}

impl Library {
    /// The entries of both catalogs that are in a pair, in file order, `models` first.
    pub(crate) fn paired(&self) -> &Arc<[Arc<Entry>]> {
        self.pairs.entries.get_or_init(|| {
            let all = CatalogName::ALL.into_iter().flat_map(|catalog| self.catalog(catalog).entries());
            all.filter(|entry| is_paired(entry)).cloned().collect()
        })
    }

    /// Counts up whenever a paired entry comes, goes, changes or moves.
    pub(crate) fn pairs_revision(&self) -> u64 {
        self.pairs.revision
    }

    /// Before a change: forgets the pairs when it touches one. A category that comes or moves may move any of them.
    pub(super) fn prepare_pairs(&mut self, change: &CatalogChange) {
        let is_touched = |id| self.entry(id).is_some_and(|entry| is_paired(entry));
        let touches = !change.categories.is_empty()
            || change.entries.iter().any(|new| is_paired(&new.entry) || is_touched(new.entry.id))
            || change.removed.iter().any(|id| is_touched(*id));
        if touches {
            self.pairs.entries.take();
            self.pairs.revision += 1;
        }
    }
}

fn is_paired(entry: &Entry) -> bool {
    entry.document.some_text("pair_id").is_some()
}
