//! The slots in each order that a list can have, kept sorted from the first time that it is asked for.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{Library, Placed};
use crate::domain::search::fold;
use crate::domain::{CatalogName, EntryId, SortField};

/// Letters of a text that are compared; equal ones are ordered by id.
const COMPARED_LETTERS: usize = 64;

/// What an entry is sorted by. A cursor holds the last one of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum OrderKey {
    /// Nothing but the id.
    Id,
    /// A text in lower case.
    Text(String),
    /// Bytes.
    Size(u64),
    /// Is in `loras`, place of the category, place in it.
    Place(bool, i64, i64),
}

/// One order a field; relevance has none of its own.
#[derive(Debug, Default)]
pub(super) struct Orders {
    by_field: [OnceLock<Vec<u32>>; SortField::ALL.len()],
}

impl OrderKey {
    /// The key of an entry.
    pub(super) fn of(library: &Library, placed: &Placed, field: SortField) -> Self {
        let entry = &placed.entry;
        let text = |text: &str| Self::Text(fold(text).chars().take(COMPARED_LETTERS).collect());
        match field {
            SortField::Relevance | SortField::Name => text(entry.document.name()),
            SortField::File => text(entry.file()),
            SortField::Added => Self::Id,
            SortField::Size => {
                let on_disk = library.file(&entry.path).map(|fact| fact.stamp.size_bytes);
                Self::Size(on_disk.unwrap_or_else(|| entry.document.expected_bytes()))
            }
            SortField::Place => {
                let category = library.catalog(entry.catalog).category(&entry.category);
                let place = category.map_or(i64::MAX, |category| category.position);
                Self::Place(entry.catalog == CatalogName::Loras, place, placed.position)
            }
        }
    }
}

impl Orders {
    /// The slots in that order, from the first.
    pub(super) fn get(&self, library: &Library, field: SortField) -> &[u32] {
        self.by_field[index(field)].get_or_init(|| sorted(library, field))
    }

    /// An entry came or has other keys now; `old` is what it was.
    pub(super) fn update(&mut self, library: &Library, slot: u32, old: Option<&Placed>) {
        let new = library.placed_at(slot);
        for (field, order) in fields().zip(&mut self.by_field) {
            let Some(order) = order.get_mut() else { continue };
            let key = |placed: &Placed| OrderKey::of(library, placed, field);
            let (was, is) = (old.map(key), new.map(key));
            if was == is {
                continue;
            }
            if was.is_some() {
                take_out(order, slot);
            }
            if let (Some(new), Some(is)) = (new, is) {
                put_in(order, library, field, slot, &(is, new.entry.id));
            }
        }
    }

    /// The size of an entry's file may be another.
    pub(super) fn update_size(&mut self, library: &Library, slot: u32) {
        let Some(order) = self.by_field[index(SortField::Size)].get_mut() else { return };
        take_out(order, slot);
        if let Some(placed) = library.placed_at(slot) {
            let key = (OrderKey::of(library, placed, SortField::Size), placed.entry.id);
            put_in(order, library, SortField::Size, slot, &key);
        }
    }

    /// Categories were moved.
    pub(super) fn forget_places(&mut self) {
        self.by_field[index(SortField::Place)].take();
    }
}

fn fields() -> impl Iterator<Item = SortField> {
    SortField::ALL.into_iter()
}

/// Relevance falls back on the name, so the two are one.
fn index(field: SortField) -> usize {
    match field {
        SortField::Relevance => SortField::Name as usize,
        field => field as usize,
    }
}

fn sorted(library: &Library, field: SortField) -> Vec<u32> {
    let mut keyed: Vec<(OrderKey, EntryId, u32)> = library
        .all_placed()
        .map(|(slot, placed)| (OrderKey::of(library, placed, field), placed.entry.id, slot))
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, _, slot)| slot).collect()
}

/// A look at every slot is quicker than comparing keys: it reads four bytes each, one after the other.
fn take_out(order: &mut Vec<u32>, slot: u32) {
    if let Some(at) = order.iter().position(|own| *own == slot) {
        order.remove(at);
    }
}

fn put_in(order: &mut Vec<u32>, library: &Library, field: SortField, slot: u32, key: &(OrderKey, EntryId)) {
    let at = place_of(order, library, field, key);
    order.insert(at, slot);
}

/// How many stand before that key.
pub(super) fn place_of(
    order: &[u32],
    library: &Library,
    field: SortField,
    key: &(OrderKey, EntryId),
) -> usize {
    order.partition_point(|slot| {
        library
            .placed_at(*slot)
            .is_some_and(|placed| (OrderKey::of(library, placed, field), placed.entry.id) < *key)
    })
}
