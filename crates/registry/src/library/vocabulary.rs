//! Every word of every entry, and which entries have it.
//!
//! A typed word is looked for in one long text that holds each word once, so that the cost follows the number of
//! different words and not the length of all texts; typos are looked for among words whose letters could fit.

use std::collections::HashMap;

use memchr::memmem;

use super::bits::{Bits, SlotSet};
use crate::domain::search::{Fit, TypedWord, signature};

/// Stands after each word; no word has it.
const END: u8 = b'\n';

/// Words by number, and their slots.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// Each word, with [`END`] after it.
    text: String,
    /// Where each word begins in it.
    starts: Vec<u32>,
    /// Who has it; none after its last entry lost it.
    slots: Vec<SlotSet>,
    /// The words that may be mistyped, by their letters.
    signatures: Vec<u32>,
    /// The numbers of all words, by the word.
    sorted: Vec<u32>,
    /// Words that nobody has any more.
    unused: usize,
}

/// The entries that a typed word fits, by how well: each in the best set that it belongs to.
pub(super) type Fits = [Bits; 4];

/// Collects words quickly, for a library that is read at once.
#[derive(Debug, Default)]
pub(super) struct VocabularyBuilder {
    numbers: HashMap<Box<str>, u32>,
    vocabulary: Vocabulary,
}

impl VocabularyBuilder {
    /// An entry has a word.
    pub(super) fn add(&mut self, word: &str, slot: u32, slots: u32) {
        let number = self.numbers.get(word).copied().unwrap_or_else(|| {
            let number = self.vocabulary.append(word);
            self.numbers.insert(word.into(), number);
            number
        });
        self.vocabulary.slots[number as usize].insert(slot, slots);
    }

    /// All words are added.
    pub(super) fn finish(self) -> Vocabulary {
        let mut vocabulary = self.vocabulary;
        drop(self.numbers);
        let mut sorted: Vec<u32> = (0..vocabulary.starts.len() as u32).collect();
        sorted.sort_unstable_by(|one, other| vocabulary.word(*one).cmp(vocabulary.word(*other)));
        vocabulary.sorted = sorted;
        vocabulary.text.shrink_to_fit();
        vocabulary.starts.shrink_to_fit();
        vocabulary.slots.shrink_to_fit();
        vocabulary.signatures.shrink_to_fit();
        vocabulary
    }
}

impl Vocabulary {
    fn word(&self, number: u32) -> &str {
        let start = self.starts[number as usize] as usize;
        let end = self.starts.get(number as usize + 1).map_or(self.text.len(), |next| *next as usize);
        &self.text[start..end - 1]
    }

    fn append(&mut self, word: &str) -> u32 {
        let number = self.starts.len() as u32;
        self.starts.push(self.text.len() as u32);
        self.text.push_str(word);
        self.text.push(END as char);
        self.slots.push(SlotSet::default());
        self.signatures.push(signature(word));
        number
    }

    fn find(&self, word: &str) -> Result<usize, usize> {
        self.sorted.binary_search_by(|number| self.word(*number).cmp(word))
    }

    /// An entry has a word now.
    pub(super) fn insert(&mut self, word: &str, slot: u32, slots: u32) {
        let number = match self.find(word) {
            Ok(at) => self.sorted[at],
            Err(at) => {
                let number = self.append(word);
                self.sorted.insert(at, number);
                self.unused += 1;
                number
            }
        };
        let own = &mut self.slots[number as usize];
        self.unused -= usize::from(own.is_empty());
        own.insert(slot, slots);
    }

    /// An entry has a word no more.
    pub(super) fn remove(&mut self, word: &str, slot: u32) {
        if let Ok(at) = self.find(word) {
            let own = &mut self.slots[self.sorted[at] as usize];
            let was_empty = own.is_empty();
            own.remove(slot);
            self.unused += usize::from(own.is_empty() && !was_empty);
        }
    }

    /// How many words it holds, unused ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether so many words are unused that it is worth being made anew.
    pub(super) fn is_worn(&self) -> bool {
        self.unused > 4096 && self.unused * 2 > self.starts.len()
    }

    /// The entries that have a word that the typed one fits, by how well it does.
    pub(super) fn look_up(&self, typed: &TypedWord) -> Fits {
        let mut fits = Fits::default();
        self.look_up_plain(typed, &mut fits);
        if typed.forgives() {
            self.look_up_mistyped(typed, &mut fits);
        }
        for better in 0..fits.len() - 1 {
            let (good, worse) = fits.split_at_mut(better + 1);
            worse.iter_mut().for_each(|set| set.drop_all(&good[better]));
        }
        fits
    }

    fn look_up_plain(&self, typed: &TypedWord, fits: &mut Fits) {
        let finder = memmem::Finder::new(typed.text());
        let (mut from, mut number) = (0, 0);
        while let Some(found) = finder.find(&self.text.as_bytes()[from..]) {
            number = self.number_at(from + found, number);
            if let Some(fit) = typed.plain_fit(self.word(number)) {
                self.slots[number as usize].add_to(&mut fits[fit as usize]);
            }
            match self.starts.get(number as usize + 1) {
                Some(next) => from = *next as usize,
                None => return,
            }
        }
    }

    /// The word that stands there, not before the word `from`.
    fn number_at(&self, offset: usize, from: u32) -> u32 {
        let (from, offset) = (from as usize, offset as u32);
        // The next hit is near as a rule: look further and further ahead, then between.
        let mut step = 1;
        while self.starts.get(from + step).is_some_and(|start| *start <= offset) {
            step *= 2;
        }
        let (low, high) = (from + step / 2, (from + step).min(self.starts.len()));
        (low + self.starts[low..high].partition_point(|start| *start <= offset)) as u32 - 1
    }

    fn look_up_mistyped(&self, typed: &TypedWord, fits: &mut Fits) {
        for (number, signature) in self.signatures.iter().enumerate() {
            if typed.may_mean(*signature) && !self.slots[number].is_empty() {
                let word = self.word(number as u32);
                if typed.is_mistyped(word) {
                    self.slots[number].add_to(&mut fits[Fit::Typo as usize]);
                }
            }
        }
    }
}
