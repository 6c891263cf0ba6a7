//! The index behind the list of entries: words, values and orders over slots.
//!
//! Built when it is first asked for; from then on a change of one entry costs what that entry has, not what the library
//! has. Each answer is the one that a look at every entry would give.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::bits::Bits;
use super::facets::{FacetCount, FacetIndex};
use super::orders::{OrderKey, Orders};
use super::question::Question;
use super::vocabulary::{Vocabulary, VocabularyBuilder};
use super::{Library, Placed};
use crate::domain::search::{each_searched_text, each_word};
use crate::domain::{Dimension, Entry, EntryFilter, EntryId, Sort, StatusWord};

/// Words, values and orders of every entry.
#[derive(Debug, Default)]
pub(super) struct SearchIndex {
    pub(super) all: Bits,
    /// Those whose file is on disk.
    pub(super) present: Bits,
    pub(super) vocabulary: Vocabulary,
    pub(super) facets: FacetIndex,
    pub(super) orders: Orders,
}

/// Where a page starts: behind the entry of that rank, key and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// How badly the words fit; 0 in an order other than by relevance.
    pub(crate) rank: usize,
    /// What it is sorted by.
    pub(crate) key: OrderKey,
    /// Its id.
    pub(crate) id: EntryId,
}

/// A query as the index runs it.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    /// Which entries.
    pub(crate) filter: &'a EntryFilter,
    /// In which order.
    pub(crate) sort: Sort,
    /// The last entry of the page before.
    pub(crate) after: Option<Mark>,
    /// Entries of the page.
    pub(crate) rows: usize,
    /// Whether to count the values of each dimension.
    pub(crate) wants_facets: bool,
    /// The words of entries that have a job, since these are not the library's to know.
    pub(crate) statuses: &'a [(EntryId, StatusWord)],
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The entries of the page.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The last entry of the page, when more follow.
    pub(crate) last: Option<Mark>,
    /// Entries on all pages.
    pub(crate) total: u64,
    /// The values of each dimension, when asked for.
    pub(crate) facets: Option<Facets>,
}

/// How many entries have which value. The counts of a dimension leave what it allows itself out of account, so that they
/// say what choosing another value would show.
pub type Facets = BTreeMap<Dimension, Vec<FacetCount>>;

impl SearchIndex {
    /// The index of all entries.
    pub(super) fn of(library: &Library) -> Self {
        let (mut own, mut words, slots) = (Self::default(), VocabularyBuilder::default(), library.slots());
        for (slot, placed) in library.all_placed() {
            own.all.insert(slot);
            own.present.set(slot, library.file(&placed.entry.path).is_some());
            own.facets.insert(&placed.entry, slot, slots);
            each_entry_word(&placed.entry, |word| words.add(word, slot, slots));
        }
        own.vocabulary = words.finish();
        own
    }

    /// An entry came, went or is another now; `old` is what it was.
    pub(super) fn update(&mut self, library: &Library, slot: u32, old: Option<&Placed>) {
        let (new, slots) = (library.placed_at(slot), library.slots());
        self.all.set(slot, new.is_some());
        self.present.set(slot, new.is_some_and(|new| library.file(&new.entry.path).is_some()));
        self.orders.update(library, slot, old);
        let (before, after) = (old.map(|old| words_of(&old.entry)), new.map(|new| words_of(&new.entry)));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        before.difference(&after).for_each(|word| self.vocabulary.remove(word, slot));
        after.difference(&before).for_each(|word| self.vocabulary.insert(word, slot, slots));
        old.iter().for_each(|old| self.facets.remove(&old.entry, slot));
        new.iter().for_each(|new| self.facets.insert(&new.entry, slot, slots));
    }

    /// A file came or went, or is another.
    pub(super) fn update_file(&mut self, library: &Library, slot: u32, is_present: bool) {
        self.present.set(slot, is_present);
        self.orders.update_size(library, slot);
    }

    /// Categories were moved.
    pub(super) fn forget_places(&mut self) {
        self.orders.forget_places();
    }

    /// Whether it should be made anew.
    pub(super) fn is_worn(&self) -> bool {
        self.vocabulary.is_worn()
    }

    /// Runs a query.
    pub(super) fn run(&self, library: &Library, search: &Search<'_>) -> Found {
        Question::new(self, library, search).answer()
    }
}

fn words_of(entry: &Entry) -> HashSet<Box<str>> {
    let mut words = HashSet::new();
    each_entry_word(entry, |word| {
        if !words.contains(word) {
            words.insert(Box::from(word));
        }
    });
    words
}

/// Calls `take` with each word of an entry that is searched; a word may come often.
pub(super) fn each_entry_word(entry: &Entry, mut take: impl FnMut(&str)) {
    let mut buffer = String::new();
    each_searched_text(entry, |text| each_word(text, &mut buffer, &mut take));
}
