//! LoRA pairs: high- and low-noise variants that belong together, grouped for a picker.

use std::collections::HashMap;

use super::{BaseModelFamilies, Entry, ModelPath, PairRole};

/// What the picker is shown: one style with its variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraPair {
    /// What the variants share.
    pub pair_id: String,
    /// The first variant's name without the words that tell variants apart.
    pub name: String,
    /// For the high-noise model.
    pub high: Option<PairFile>,
    /// For the low-noise model.
    pub low: Option<PairFile>,
    /// For both.
    pub both: Option<PairFile>,
}

/// One variant's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFile {
    /// The bare file name.
    pub file: String,
    /// The path below ComfyUI's `models/loras`, which is what its loader wants.
    pub path: String,
}

/// Which LoRAs count as compatible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match<'a> {
    /// Every pair.
    All,
    /// The same text, letter for letter.
    Exact(&'a str),
    /// The same text or the same family.
    Family(&'a str),
}

/// Words that tell variants of one style apart; taken out in this order.
const VARIANT_WORDS: [&str; 5] = [" High Noise", " Low Noise", " LoRA", " (Kijai)", " (WAN 2.1 I2V 14B)"];

/// The pairs among `entries`, in the order in which they first appear. A later entry of the same role replaces an earlier.
pub fn compatible_pairs<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    wanted: Match<'_>,
) -> Vec<LoraPair> {
    let mut pairs: Vec<LoraPair> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    // Thousands of entries name a handful of base models.
    let mut taken: HashMap<&str, bool> = HashMap::new();
    for entry in entries {
        let Some(pair_id) = entry.document.some_text("pair_id") else { continue };
        let base_model = entry.document.base_model();
        if !*taken.entry(base_model).or_insert_with(|| wanted.takes(base_model)) {
            continue;
        }
        let index = *places.entry(pair_id).or_insert_with(|| {
            pairs.push(LoraPair::begun_by(pair_id, entry));
            pairs.len() - 1
        });
        let file = Some(PairFile { file: entry.file().to_owned(), path: loader_path(&entry.path) });
        match entry.document.pair_role() {
            PairRole::High => pairs[index].high = file,
            PairRole::Low => pairs[index].low = file,
            PairRole::Both => pairs[index].both = file,
        }
    }
    pairs
}

impl LoraPair {
    fn begun_by(pair_id: &str, entry: &Entry) -> Self {
        let name = pair_name(entry.document.name());
        Self { pair_id: pair_id.to_owned(), name, high: None, low: None, both: None }
    }
}

impl Match<'_> {
    fn takes(self, base_model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(wanted) => base_model == wanted,
            Self::Family(wanted) => {
                base_model == wanted || BaseModelFamilies::builtin().meet(base_model, wanted)
            }
        }
    }
}

fn pair_name(name: &str) -> String {
    let without = |name: String, word: &&str| if name.contains(word) { name.replace(word, "") } else { name };
    VARIANT_WORDS.iter().fold(name.to_owned(), without).trim().to_owned()
}

/// The path that ComfyUI's LoRA loader knows a file by: below `loras/` when it is there.
pub(crate) fn loader_path(path: &ModelPath) -> String {
    let relative = path.relative();
    relative.strip_prefix("loras/").map(str::to_owned).unwrap_or(relative)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::domain::{CatalogName, EntryDocument, EntryId};

    fn entry(document: serde_json::Value) -> Entry {
        let serde_json::Value::Object(map) = document else { panic!("an object") };
        let id = EntryId::new(DateTime::UNIX_EPOCH);
        Entry::from_document(id, CatalogName::Loras, "wan_loras", EntryDocument::from(map)).expect("valid")
    }

    fn ghibli(role: &str) -> Entry {
        entry(
            json!({"name": format!("Ghibli {role} Noise LoRA"), "file": format!("ghibli_{role}.safetensors"),
            "dest": "loras/wan", "base_model": "wan-i2v-14b", "pair_id": "ghibli", "pair_role": role.to_lowercase()}),
        )
    }

    #[test]
    fn variants_are_grouped_and_named_without_their_role() {
        let entries = [ghibli("High"), ghibli("Low")];
        let pairs = compatible_pairs(&entries, Match::Family("WAN 2.1"));
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].name, "Ghibli");
        assert_eq!(
            pairs[0].high.as_ref().map(|file| file.path.as_str()),
            Some("wan/ghibli_High.safetensors")
        );
        assert_eq!(pairs[0].low.as_ref().map(|file| file.file.as_str()), Some("ghibli_Low.safetensors"));
        assert_eq!(pairs[0].both, None);
    }

    #[test]
    fn exact_matching_does_not_use_families() {
        let entries = [ghibli("High")];
        assert!(compatible_pairs(&entries, Match::Exact("WAN 2.1")).is_empty());
        assert_eq!(compatible_pairs(&entries, Match::Exact("wan-i2v-14b")).len(), 1);
        assert_eq!(compatible_pairs(&entries, Match::All).len(), 1);
    }

    #[test]
    fn names_are_cleaned_as_the_contract_does() {
        assert_eq!(pair_name("SVI v2 PRO High LoRA [WAN I2V]"), "SVI v2 PRO High [WAN I2V]");
        assert_eq!(pair_name("LightX2V Unified LoRA [WAN 2.1 I2V]"), "LightX2V Unified [WAN 2.1 I2V]");
    }

    #[test]
    fn entries_without_a_pair_are_left_out() {
        let single = entry(json!({"file": "a.safetensors", "dest": "loras", "base_model": "WAN 2.1"}));
        assert!(compatible_pairs([&single], Match::All).is_empty());
    }
}
