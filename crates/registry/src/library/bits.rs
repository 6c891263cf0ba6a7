//! Sets of slots: as bits where they are many, as numbers where they are few.

/// A set of slots, one bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Whether the slot is in it.
    pub(super) fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Puts a slot in.
    pub(super) fn insert(&mut self, slot: u32) {
        let at = slot as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (slot % 64);
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// Puts a slot in or takes it out.
    pub(super) fn set(&mut self, slot: u32, is_in: bool) {
        if is_in { self.insert(slot) } else { self.remove(slot) }
    }

    /// How many are in it.
    pub(super) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether none is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many are in both.
    pub(super) fn count_with(&self, other: &Self) -> u64 {
        self.words.iter().zip(&other.words).map(|(own, other)| u64::from((own & other).count_ones())).sum()
    }

    /// Adds what is in the other.
    pub(super) fn add(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (own, other) in self.words.iter_mut().zip(&other.words) {
            *own |= other;
        }
    }

    /// Keeps what is in both.
    pub(super) fn keep(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (own, other) in self.words.iter_mut().zip(&other.words) {
            *own &= other;
        }
    }

    /// Takes out what is in the other.
    pub(super) fn drop_all(&mut self, other: &Self) {
        for (own, other) in self.words.iter_mut().zip(&other.words) {
            *own &= !other;
        }
    }

    /// What is in both.
    pub(super) fn both(&self, other: &Self) -> Self {
        Self { words: self.words.iter().zip(&other.words).map(|(own, other)| own & other).collect() }
    }

    /// Its slots from the lowest.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.words.len() as u32 * 64).filter(|slot| self.contains(*slot))
    }
}

/// A set of slots that takes little room whether it has one, some or most of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum SlotSet {
    /// None.
    #[default]
    Empty,
    /// Just one, as most words of a library have.
    One(u32),
    /// Some, from the lowest.
    Few(Vec<u32>),
    /// So many that bits take less room.
    Many(Bits),
}

/// From how many numbers on bits take less room, for that many slots: a number takes 32 bits.
fn is_many(count: usize, slots: u32) -> bool {
    count > 8 && count * 32 > slots as usize
}

impl SlotSet {
    /// Puts a slot in; `slots` is how many there are at all.
    pub(super) fn insert(&mut self, slot: u32, slots: u32) {
        match self {
            Self::Empty => *self = Self::One(slot),
            Self::One(own) if *own == slot => {}
            Self::One(own) => *self = Self::Few(vec![slot.min(*own), slot.max(*own)]),
            Self::Few(own) => {
                if let Err(at) = own.binary_search(&slot) {
                    own.insert(at, slot);
                }
                if is_many(own.len(), slots) {
                    let mut bits = Bits::default();
                    own.iter().for_each(|slot| bits.insert(*slot));
                    *self = Self::Many(bits);
                }
            }
            Self::Many(bits) => bits.insert(slot),
        }
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, slot: u32) {
        match self {
            Self::Empty => {}
            Self::One(own) => {
                if *own == slot {
                    *self = Self::Empty;
                }
            }
            Self::Few(own) => {
                if let Ok(at) = own.binary_search(&slot) {
                    own.remove(at);
                }
                match own[..] {
                    [] => *self = Self::Empty,
                    [last] => *self = Self::One(last),
                    _ => {}
                }
            }
            Self::Many(bits) => {
                bits.remove(slot);
                if bits.is_empty() {
                    *self = Self::Empty;
                }
            }
        }
    }

    /// Whether none is in it.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Adds all of it to bits.
    pub(super) fn add_to(&self, bits: &mut Bits) {
        match self {
            Self::Empty => {}
            Self::One(slot) => bits.insert(*slot),
            Self::Few(slots) => slots.iter().for_each(|slot| bits.insert(*slot)),
            Self::Many(own) => bits.add(own),
        }
    }

    /// How many of them are in `bits`.
    pub(super) fn count_in(&self, bits: &Bits) -> u64 {
        match self {
            Self::Empty => 0,
            Self::One(slot) => u64::from(bits.contains(*slot)),
            Self::Few(slots) => slots.iter().filter(|slot| bits.contains(**slot)).count() as u64,
            Self::Many(own) => own.count_with(bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(slots: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::default();
        slots.iter().for_each(|slot| bits.insert(*slot));
        bits
    }

    fn slots(bits: &Bits) -> BTreeSet<u32> {
        bits.iter().collect()
    }

    proptest! {
        #[test]
        fn sets_of_bits_are_sets(one: BTreeSet<u8>, other: BTreeSet<u8>) {
            let [one, other] = [one, other].map(|set| set.into_iter().map(u32::from).collect::<BTreeSet<_>>());
            let (left, right) = (bits(&one), bits(&other));
            let done = |work: fn(&mut Bits, &Bits)| {
                let mut left = left.clone();
                work(&mut left, &right);
                slots(&left)
            };
            prop_assert_eq!(done(Bits::add), &one | &other);
            prop_assert_eq!(done(Bits::keep), &one & &other);
            prop_assert_eq!(done(Bits::drop_all), &one - &other);
            prop_assert_eq!(slots(&left.both(&right)), &one & &other);
            prop_assert_eq!(left.count_with(&right), (&one & &other).len() as u64);
            prop_assert_eq!((left.count(), left.is_empty()), (one.len() as u64, one.is_empty()));
        }

        #[test]
        fn a_small_set_stays_a_set_through_all_its_forms(steps in prop::collection::vec((any::<bool>(), 0_u32..300), 0..400)) {
            let (mut own, mut expected) = (SlotSet::default(), BTreeSet::new());
            let every_third = bits(&(0..300).filter(|slot| slot % 3 == 0).collect());
            for (is_in, slot) in steps {
                if is_in {
                    own.insert(slot, 300);
                    expected.insert(slot);
                } else {
                    own.remove(slot);
                    expected.remove(&slot);
                }
                let mut all = Bits::default();
                own.add_to(&mut all);
                prop_assert_eq!(slots(&all), expected.clone());
                prop_assert_eq!(own.is_empty(), expected.is_empty());
                let thirds = expected.iter().filter(|slot| *slot % 3 == 0).count() as u64;
                prop_assert_eq!(own.count_in(&every_third), thirds);
            }
        }
    }
}
