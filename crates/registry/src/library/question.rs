//! How a query runs on the index: sets of slots are joined, then one order is walked until a page is full.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::Library;
use super::bits::Bits;
use super::facets::{FacetCount, most_frequent};
use super::orders::{OrderKey, place_of};
use super::search::{Facets, Found, Mark, Search, SearchIndex};
use crate::domain::search::{TypedWord, fold};
use crate::domain::{Dimension, Selection, SortField, StatusWord};

/// A query at work.
pub(super) struct Question<'a> {
    index: &'a SearchIndex,
    library: &'a Library,
    search: &'a Search<'a>,
    /// The entries of each status; empty when nobody asks.
    statuses: BTreeMap<&'static str, Bits>,
    /// The entries that the words fit, by the sum of how badly each does.
    fitting: Vec<Bits>,
}

impl<'a> Question<'a> {
    pub(super) fn new(index: &'a SearchIndex, library: &'a Library, search: &'a Search<'a>) -> Self {
        let (statuses, fitting) = (statuses(index, library, search), fitting(index, search));
        Self { index, library, search, statuses, fitting }
    }

    pub(super) fn answer(self) -> Found {
        let ranked = self.ranked();
        let (mut taken, total) = self.walk(&ranked);
        let has_more = taken.len() > self.search.rows;
        taken.truncate(self.search.rows);
        let last = taken.last().filter(|_| has_more).and_then(|(rank, slot)| self.mark(*rank, *slot));
        let facets = self.search.wants_facets.then(|| self.facets(&ranked));
        let placed = taken.iter().filter_map(|(_, slot)| self.library.placed_at(*slot));
        let entries = placed.map(|placed| Arc::clone(&placed.entry)).collect();
        Found { entries, last, total, facets }
    }

    /// The entries that are wanted, by how badly the words fit; in one set when the order does not ask for that.
    fn ranked(&self) -> Vec<Bits> {
        let by_relevance = self.search.sort.field == SortField::Relevance;
        let mut ranked = if by_relevance { self.fitting.clone() } else { vec![union(&self.fitting)] };
        for (dimension, selection) in &self.search.filter.selections {
            self.restrict(&mut ranked, *dimension, selection, true);
        }
        ranked
    }

    /// Keeps what a selection allows; `with_any` also looks at what it wants one of.
    fn restrict(&self, ranked: &mut [Bits], dimension: Dimension, selection: &Selection, with_any: bool) {
        let having = |value: &String| self.having(dimension, value);
        if with_any && !selection.any.is_empty() {
            let any: Vec<Bits> = selection.any.iter().map(having).collect();
            let any = union(&any);
            ranked.iter_mut().for_each(|set| set.keep(&any));
        }
        for wanted in selection.all.iter().map(having) {
            ranked.iter_mut().for_each(|set| set.keep(&wanted));
        }
        for unwanted in selection.not.iter().map(having) {
            ranked.iter_mut().for_each(|set| set.drop_all(&unwanted));
        }
    }

    fn having(&self, dimension: Dimension, value: &str) -> Bits {
        match dimension {
            Dimension::Status => self.statuses.get(fold(value).as_str()).cloned().unwrap_or_default(),
            _ => self.index.facets.having(dimension, value),
        }
    }

    /// The slots of the page with their ranks, and one more when there is one; and how many are on all pages.
    fn walk(&self, ranked: &[Bits]) -> (Vec<(usize, u32)>, u64) {
        let order = self.index.orders.get(self.library, self.search.sort.field);
        let (mut taken, mut total) = (Vec::new(), 0);
        for (rank, set) in ranked.iter().enumerate() {
            let count = set.count();
            total += count;
            let wanted = self.search.rows + 1 - taken.len();
            if count == 0 || wanted == 0 {
                continue;
            }
            let slots = order[self.range_of(order, rank)].iter().copied();
            let with_rank = |slot: u32| (rank, slot);
            if self.search.sort.is_descending {
                taken.extend(slots.rev().filter(|slot| set.contains(*slot)).take(wanted).map(with_rank));
            } else {
                taken.extend(slots.filter(|slot| set.contains(*slot)).take(wanted).map(with_rank));
            }
        }
        (taken, total)
    }

    /// What of the order can be on the page for entries of that rank.
    fn range_of(&self, order: &[u32], rank: usize) -> Range<usize> {
        match &self.search.after {
            Some(mark) if mark.rank > rank => 0..0,
            Some(mark) if mark.rank == rank => self.range_behind(order, mark),
            _ => 0..order.len(),
        }
    }

    /// What of the order stands behind an entry, whether or not that entry is still there.
    fn range_behind(&self, order: &[u32], mark: &Mark) -> Range<usize> {
        let field = self.search.sort.field;
        let before = place_of(order, self.library, field, &(mark.key.clone(), mark.id));
        if self.search.sort.is_descending {
            return 0..before;
        }
        let at = order.get(before).and_then(|slot| self.library.placed_at(*slot));
        let is_there = at.is_some_and(|placed| {
            placed.entry.id == mark.id && OrderKey::of(self.library, placed, field) == mark.key
        });
        before + usize::from(is_there)..order.len()
    }

    fn mark(&self, rank: usize, slot: u32) -> Option<Mark> {
        let placed = self.library.placed_at(slot)?;
        let key = OrderKey::of(self.library, placed, self.search.sort.field);
        Some(Mark { rank, key, id: placed.entry.id })
    }

    fn facets(&self, ranked: &[Bits]) -> Facets {
        let found = union(ranked);
        let count = |dimension: Dimension| (dimension, self.count(dimension, &found));
        Dimension::ALL.into_iter().map(count).collect()
    }

    fn count(&self, dimension: Dimension, found: &Bits) -> Vec<FacetCount> {
        let own = self.search.filter.selections.get(&dimension);
        let wider = own.filter(|own| !own.any.is_empty()).map(|_| self.without_any_of(dimension));
        let among = wider.as_ref().unwrap_or(found);
        match dimension {
            Dimension::Status => {
                most_frequent(self.statuses.iter().map(|(word, set)| (set.count_with(among), *word)))
            }
            _ => self.index.facets.count(dimension, among),
        }
    }

    /// What would be found if any value of that dimension would do.
    fn without_any_of(&self, dimension: Dimension) -> Bits {
        let mut found = [union(&self.fitting)];
        for (other, selection) in &self.search.filter.selections {
            self.restrict(&mut found, *other, selection, *other != dimension);
        }
        let [found] = found;
        found
    }
}

fn union(sets: &[Bits]) -> Bits {
    let mut all = Bits::default();
    sets.iter().for_each(|set| all.add(set));
    all
}

fn fitting(index: &SearchIndex, search: &Search<'_>) -> Vec<Bits> {
    let words = TypedWord::all_of(&search.filter.text);
    if words.is_empty() && !search.filter.text.trim().is_empty() {
        // Signs alone are in no word.
        return vec![Bits::default()];
    }
    let mut ranked = vec![index.all.clone()];
    for typed in words {
        let fits = index.vocabulary.look_up(&typed);
        let mut next = vec![Bits::default(); ranked.len() + fits.len() - 1];
        for (rank, set) in ranked.iter().enumerate() {
            for (worse, fit) in fits.iter().enumerate() {
                next[rank + worse].add(&set.both(fit));
            }
        }
        ranked = next;
    }
    ranked
}

fn statuses(index: &SearchIndex, library: &Library, search: &Search<'_>) -> BTreeMap<&'static str, Bits> {
    if !search.wants_facets && !search.filter.selections.contains_key(&Dimension::Status) {
        return BTreeMap::new();
    }
    let mut absent = index.all.clone();
    absent.drop_all(&index.present);
    let mut sets = BTreeMap::from([
        (StatusWord::Present.as_str(), index.present.clone()),
        (StatusWord::NotDownloaded.as_str(), absent),
    ]);
    for (id, word) in search.statuses {
        let Some(slot) = library.slot(*id) else { continue };
        sets.values_mut().for_each(|set| set.remove(slot));
        sets.entry(word.as_str()).or_default().insert(slot);
    }
    sets
}
