//! LoRA pairs for a picker.

use std::sync::Arc;

use super::Registry;
use crate::domain::{Entry, LoraPair, Match, compatible_pairs};

/// Changes whenever an answer of [`Registry::compatible_loras`] may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PairsTag(u64);

impl Registry {
    /// The pairs of both catalogs that fit a base model, in the order in which they first appear, `models` first.
    pub fn compatible_loras(&self, wanted: Match<'_>) -> Vec<LoraPair> {
        let entries = Arc::clone(self.library().paired());
        compatible_pairs(entries.iter().map(Arc::as_ref), wanted)
    }

    /// What a kept answer follows. Ask for it before the pairs themselves.
    pub fn pairs_tag(&self) -> PairsTag {
        PairsTag(self.library().pairs_revision())
    }

    /// The other half of an entry's pair, when a catalog has it.
    pub fn pair_partner(&self, entry: &Entry) -> Option<Arc<Entry>> {
        let pair_id = entry.document.some_text("pair_id")?;
        let library = self.library();
        let mut others = library.paired().iter().filter(|other| other.id != entry.id);
        others.find(|other| other.document.text("pair_id") == pair_id).cloned()
    }
}
