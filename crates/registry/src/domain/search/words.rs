//! Words as the search compares them, and how a typed word fits one of them.
//!
//! A word is a run of letters and digits in lower case, so that `Soft_Ink-v2` has `soft`, `ink` and `v2`.

/// Letters of a typed word from which on one typo is forgiven.
const ONE_TYPO: usize = 5;
/// Letters of a typed word from which on two typos are forgiven.
const TWO_TYPOS: usize = 9;
/// Longest typed word that is looked at for typos, letters; nobody means a longer one by another.
const LONGEST_FOR_TYPOS: usize = 40;

/// How a typed word fits a word of an entry, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// It is the word.
    Whole,
    /// The word begins with it.
    Beginning,
    /// It stands within the word.
    Inside,
    /// The word begins with it but for a typo or two.
    Typo,
}

/// A word that somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypedWord {
    text: String,
    /// Its letters, when typos are forgiven.
    letters: Vec<char>,
    typos: usize,
    signature: u32,
}

/// A text in lower case.
pub(crate) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Calls `take` with each word of a text. `buffer` is reused between calls; what it held is lost.
pub(crate) fn each_word(text: &str, buffer: &mut String, mut take: impl FnMut(&str)) {
    buffer.clear();
    for character in text.chars() {
        if character.is_alphanumeric() {
            buffer.extend(character.to_lowercase());
        } else if !buffer.is_empty() {
            take(buffer);
            buffer.clear();
        }
    }
    if !buffer.is_empty() {
        take(buffer);
    }
}

/// Which letters a word has, one bit for several of them: words that differ by few typos differ by few bits.
pub(crate) fn signature(word: &str) -> u32 {
    word.chars().fold(0, |bits, character| bits | 1 << (u32::from(character) % 32))
}

impl TypedWord {
    /// A word as [`each_word`] gives it.
    pub(crate) fn new(word: &str) -> Self {
        let count = word.chars().count();
        // A number with another digit is another number.
        let is_spelled = word.chars().all(char::is_alphabetic);
        let typos = match count {
            ONE_TYPO..TWO_TYPOS if is_spelled => 1,
            TWO_TYPOS..=LONGEST_FOR_TYPOS if is_spelled => 2,
            _ => 0,
        };
        let letters = if typos > 0 { word.chars().collect() } else { Vec::new() };
        Self { text: word.to_owned(), letters, typos, signature: signature(word) }
    }

    /// The words of a typed text, each once.
    pub(crate) fn all_of(text: &str) -> Vec<Self> {
        let mut words: Vec<Self> = Vec::new();
        each_word(text, &mut String::new(), |word| {
            if words.iter().all(|known| known.text != word) {
                words.push(Self::new(word));
            }
        });
        words
    }

    /// The word.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether typos are forgiven.
    pub(crate) fn forgives(&self) -> bool {
        self.typos > 0
    }

    /// How it fits a word of an entry.
    #[cfg(test)]
    pub(crate) fn fit(&self, word: &str) -> Option<Fit> {
        self.plain_fit(word).or_else(|| self.is_mistyped(word).then_some(Fit::Typo))
    }

    /// How it fits a word of an entry when nothing is mistyped.
    pub(crate) fn plain_fit(&self, word: &str) -> Option<Fit> {
        match word.find(&self.text)? {
            0 if word.len() == self.text.len() => Some(Fit::Whole),
            0 => Some(Fit::Beginning),
            _ => Some(Fit::Inside),
        }
    }

    /// Whether a word of that [`signature`] can be meant by it at all.
    pub(crate) fn may_mean(&self, signature: u32) -> bool {
        (self.signature & !signature).count_ones() as usize <= self.typos
    }

    /// Whether the word begins with it but for the typos that are forgiven: a letter missing, one too many, another
    /// one, or two in the wrong order.
    pub(crate) fn is_mistyped(&self, word: &str) -> bool {
        if self.typos == 0 {
            return false;
        }
        let mut beginning = [' '; LONGEST_FOR_TYPOS + 2];
        let mut length = 0;
        for (own, character) in beginning.iter_mut().zip(word.chars().take(self.letters.len() + self.typos)) {
            *own = character;
            length += 1;
        }
        begins_with(&self.letters, &beginning[..length], self.typos)
    }
}

/// Whether `typed` and some beginning of `word` are at most `typos` edits apart: optimal string alignment (Damerau's
/// edits, no part edited twice), by rows.
fn begins_with(typed: &[char], word: &[char], typos: usize) -> bool {
    const WIDTH: usize = LONGEST_FOR_TYPOS + 3;
    let width = word.len() + 1;
    let (mut before, mut last, mut row) = ([0_u8; WIDTH], [0_u8; WIDTH], [0_u8; WIDTH]);
    for (at, cell) in last.iter_mut().enumerate().take(width) {
        *cell = at as u8;
    }
    for (own, letter) in typed.iter().enumerate() {
        row[0] = own as u8 + 1;
        let mut least = row[0];
        for at in 1..width {
            let is_same = word[at - 1] == *letter;
            let mut cell = (last[at - 1] + u8::from(!is_same)).min(last[at] + 1).min(row[at - 1] + 1);
            let is_swapped = own > 0 && at > 1 && *letter == word[at - 2] && typed[own - 1] == word[at - 1];
            if is_swapped {
                cell = cell.min(before[at - 2] + 1);
            }
            row[at] = cell;
            least = least.min(cell);
        }
        // A swap looks two rows back, so one row may be worse by one and still lead to an end.
        if usize::from(least) > typos + 1 {
            return false;
        }
        (before, last, row) = (last, row, before);
    }
    last[..width].iter().any(|cell| usize::from(*cell) <= typos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, &mut String::new(), |word| words.push(word.to_owned()));
        words
    }

    fn fit(typed: &str, word: &str) -> Option<Fit> {
        TypedWord::new(typed).fit(word)
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(words("Soft_Ink-v2.1 (Über, 水彩)"), ["soft", "ink", "v2", "1", "über", "水彩"]);
        assert_eq!(words(".*[a-z]+$ \\ '%"), ["a", "z"]);
        assert_eq!(words(" -- "), [] as [&str; 0]);
    }

    #[test]
    fn a_word_fits_better_the_more_of_it_is_typed() {
        assert_eq!(fit("ink", "ink"), Some(Fit::Whole));
        assert_eq!(fit("ink", "inked"), Some(Fit::Beginning));
        assert_eq!(fit("ink", "drink"), Some(Fit::Inside));
        assert_eq!(fit("ink", "pen"), None);
    }

    #[test]
    fn typos_are_forgiven_in_words_that_are_long_enough() {
        for typed in ["animr", "aniime", "anmie", "nanime", "anme"] {
            let wanted = (typed.len() >= ONE_TYPO).then_some(Fit::Typo);
            assert_eq!(fit(typed, "anime"), wanted, "{typed}");
        }
        assert_eq!(fit("watercolr", "watercolor"), Some(Fit::Typo));
        assert_eq!(fit("watrecolr", "watercolors"), Some(Fit::Typo), "two typos, and more behind");
        assert_eq!(fit("wtrecolr", "watercolor"), None, "three");
        assert_eq!(fit("style10", "style11"), None, "a number is exact");
    }

    /// The same distance by its definition, without bounds and shortcuts.
    fn distance(typed: &[char], word: &[char]) -> usize {
        let mut table = vec![vec![0; word.len() + 1]; typed.len() + 1];
        for own in 0..=typed.len() {
            for at in 0..=word.len() {
                table[own][at] = match (own, at) {
                    (0, at) => at,
                    (own, 0) => own,
                    _ => {
                        let other = usize::from(typed[own - 1] != word[at - 1]);
                        let mut cell = (table[own - 1][at - 1] + other)
                            .min(table[own - 1][at] + 1)
                            .min(table[own][at - 1] + 1);
                        if own > 1
                            && at > 1
                            && typed[own - 1] == word[at - 2]
                            && typed[own - 2] == word[at - 1]
                        {
                            cell = cell.min(table[own - 2][at - 2] + 1);
                        }
                        cell
                    }
                };
            }
        }
        table[typed.len()][word.len()]
    }

    proptest! {
        #[test]
        fn a_mistyped_word_is_one_that_is_few_edits_from_a_beginning(typed in "[ab]{5,11}", word in "[ab]{1,14}") {
            let own = TypedWord::new(&typed);
            let (letters, all): (Vec<char>, Vec<char>) = (typed.chars().collect(), word.chars().collect());
            let least = (0..=all.len()).map(|end| distance(&letters, &all[..end])).min().unwrap();
            prop_assert_eq!(own.is_mistyped(&word), least <= own.typos);
            if own.is_mistyped(&word) {
                prop_assert!(own.may_mean(signature(&word)));
            }
        }
    }
}
