//! Which entries have which value in each dimension, and how often a value is there.

use std::collections::BTreeMap;

use super::bits::{Bits, SlotSet};
use crate::domain::search::{each_value, fold, folder_holds};
use crate::domain::{BaseModelFamilies, Dimension, Entry};

/// Values that are counted a dimension, the most frequent ones.
const MOST_VALUES: usize = 200;

/// A value and how many of the entries have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetCount {
    /// The value as an entry has it.
    pub value: String,
    /// Entries that have it.
    pub count: u64,
}

/// Values of all dimensions but where files stand.
#[derive(Debug, Default)]
pub(super) struct FacetIndex {
    dimensions: [Values; Dimension::ALL.len()],
}

/// Values of one dimension by their lower case.
type Values = BTreeMap<Box<str>, Value>;

#[derive(Debug)]
struct Value {
    /// As the first entry has it that had it.
    shown: Box<str>,
    slots: SlotSet,
}

impl FacetIndex {
    /// An entry has its values now.
    pub(super) fn insert(&mut self, entry: &Entry, slot: u32, slots: u32) {
        for dimension in Dimension::ALL {
            let values = &mut self.dimensions[dimension as usize];
            each_value(entry, dimension, |value| {
                let folded = fold(value);
                if let Some(own) = values.get_mut(folded.as_str()) {
                    own.slots.insert(slot, slots);
                } else {
                    let own = Value { shown: value.into(), slots: SlotSet::One(slot) };
                    values.insert(folded.into(), own);
                }
            });
        }
    }

    /// An entry has its values no more.
    pub(super) fn remove(&mut self, entry: &Entry, slot: u32) {
        for dimension in Dimension::ALL {
            let values = &mut self.dimensions[dimension as usize];
            each_value(entry, dimension, |value| {
                let folded = fold(value);
                let Some(own) = values.get_mut(folded.as_str()) else { return };
                own.slots.remove(slot);
                if own.slots.is_empty() {
                    values.remove(folded.as_str());
                }
            });
        }
    }

    /// Who has that value. A folder's is also had by what is below it, a family's is meant by each of its base models.
    pub(super) fn having(&self, dimension: Dimension, value: &str) -> Bits {
        let (values, wanted) = (&self.dimensions[dimension as usize], fold(value));
        let mut bits = Bits::default();
        match dimension {
            Dimension::Folder => {
                let below = values.iter().filter(|(folder, _)| folder_holds(&wanted, folder));
                below.for_each(|(_, own)| own.slots.add_to(&mut bits));
            }
            Dimension::Family => {
                let named = BaseModelFamilies::builtin().of(value).iter().map(String::as_str);
                let meant = named.chain([wanted.as_str()]).filter_map(|family| values.get(family));
                meant.for_each(|own| own.slots.add_to(&mut bits));
            }
            _ => values.get(wanted.as_str()).into_iter().for_each(|own| own.slots.add_to(&mut bits)),
        }
        bits
    }

    /// How often the values of a dimension are among these, the most frequent first, then by value.
    pub(super) fn count(&self, dimension: Dimension, among: &Bits) -> Vec<FacetCount> {
        let values = self.dimensions[dimension as usize].values();
        let counts = values.map(|own| (own.slots.count_in(among), &*own.shown));
        most_frequent(counts)
    }
}

/// The values that are there, the most frequent first.
pub(super) fn most_frequent<'a>(counts: impl Iterator<Item = (u64, &'a str)>) -> Vec<FacetCount> {
    let mut counts: Vec<(u64, &str)> = counts.filter(|(count, _)| *count > 0).collect();
    counts.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    counts.truncate(MOST_VALUES);
    counts.into_iter().map(|(count, value)| FacetCount { value: value.to_owned(), count }).collect()
}
