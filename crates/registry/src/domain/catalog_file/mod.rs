//! The catalog as a JSON file: what outsiders write and read, in git or by hand (decision 3).
//!
//! Reading keeps every field in its order and says where a text goes wrong; writing gives back the same bytes for
//! whatever the usual Python tools wrote: indent 2, no final newline, characters beyond ASCII as they are.

mod judge;
mod read;
mod write;

use serde_json::{Map, Value};

use super::{Category, EntryDocument};

pub(crate) use judge::judged;
pub(crate) use read::read;
pub(crate) use write::write;

/// A catalog file, taken apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct CatalogFile {
    /// The `version`, when it is a number.
    pub(crate) version: Option<i64>,
    /// The `date`, when it is a text.
    pub(crate) date: Option<String>,
    /// The whole object with `null` for its `categories`; empty for a bare array.
    pub(crate) document: Map<String, Value>,
    /// Its groups of entries, in their order.
    pub(crate) groups: Vec<Group>,
}

/// Entries that stand together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    /// Their category; `None` for a bare array, where each goes by its folder.
    pub(crate) category: Option<Category>,
    /// The entries, not yet judged.
    pub(crate) entries: Vec<RawEntry>,
}

/// What stands where an entry should.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawEntry {
    /// An object.
    Document(EntryDocument),
    /// Anything else.
    Other(Value),
}

impl From<Value> for RawEntry {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self::Document(fields.into()),
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests;
