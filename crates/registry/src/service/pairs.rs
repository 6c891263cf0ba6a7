//! LoRA pairs for a picker.

use std::sync::Arc;

use super::Registry;
use crate::domain::{CatalogName, Entry, LoraPair, Match, compatible_pairs};
use crate::library::Library;

impl Registry {
    /// The pairs of both catalogs that fit a base model, in the order in which they first appear, `models` first.
    pub fn compatible_loras(&self, wanted: Match<'_>) -> Vec<LoraPair> {
        let entries = self.paired_entries();
        compatible_pairs(entries.iter().map(Arc::as_ref), wanted)
    }

    /// The other half of an entry's pair, when a catalog has it.
    pub fn pair_partner(&self, entry: &Entry) -> Option<Arc<Entry>> {
        let pair_id = entry.document.some_text("pair_id")?;
        let library = self.library();
        let found =
            paired(&library).find(|other| other.id != entry.id && other.document.text("pair_id") == pair_id);
        found.cloned()
    }

    fn paired_entries(&self) -> Vec<Arc<Entry>> {
        paired(&self.library()).cloned().collect()
    }
}

/// The entries of both catalogs that are in a pair, `models` first.
pub(super) fn paired(library: &Library) -> impl Iterator<Item = &Arc<Entry>> {
    let all = CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
    all.filter(|entry| entry.document.some_text("pair_id").is_some())
}
