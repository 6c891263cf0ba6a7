//! Looking for entries: what can be asked, and which entry is an answer.
//!
//! Pure. The library answers the same from its indexes; its tests compare the two.

mod query;
mod values;
mod words;

pub use query::{Dimension, EntryFilter, EntryQuery, Selection, Sort, SortField};
pub(crate) use values::{each_searched_text, each_value, folder_holds};
pub(crate) use words::{Fit, TypedWord, each_word, fold, signature};
