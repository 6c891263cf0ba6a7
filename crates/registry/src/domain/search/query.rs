//! What can be asked of the list of entries.

use std::collections::BTreeMap;

/// What entries can be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// `models` or `loras`.
    Catalog,
    /// The id of the category.
    Category,
    /// The base model as the entry has it.
    BaseModel,
    /// Base models that share LoRAs, by the id of their family.
    Family,
    /// Where the file stands: `present`, `not_downloaded`, `downloading`, `queued`, `error`.
    Status,
    /// Where it comes from: `civitai`, `huggingface`, `upload`, …
    Source,
    /// Its own tags and those of its model on CivitAI.
    Tag,
    /// The folder below the models root; a filter takes those below it as well.
    Folder,
    /// What it is: `lora`, `checkpoint`, `vae`, …
    Kind,
    /// Who made it.
    Creator,
    /// `true` for favourites, `false` for all others.
    Favorite,
}

/// Which values of a dimension are wanted. Upper and lower case are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    /// At least one of these, when there are any.
    pub any: Vec<String>,
    /// Each of these.
    pub all: Vec<String>,
    /// None of these.
    pub not: Vec<String>,
}

/// Which entries are wanted; all of them when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct EntryFilter {
    /// Words that an entry must all have in its name, file, folder, base model, tags, trigger words, notes or creator:
    /// within a word, or with a typo or two. Signs part words; signs alone are in no entry.
    pub text: String,
    /// What is wanted of each dimension.
    pub selections: BTreeMap<Dimension, Selection>,
}

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortField {
    /// How well the words fit, then the name.
    Relevance,
    /// The name, whatever its case.
    Name,
    /// The file name, whatever its case.
    File,
    /// When the entry was made.
    Added,
    /// Bytes on disk, else those expected.
    Size,
    /// The place in the catalog: `models` before `loras`, then as in the files.
    Place,
}

/// An order of the list; entries that are equal in it are ordered by their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By what.
    pub field: SortField,
    /// Whether the last comes first.
    pub is_descending: bool,
}

/// One page of the list.
#[derive(Debug, Clone, Default)]
pub struct EntryQuery {
    /// Which entries.
    pub filter: EntryFilter,
    /// In which order; without one by relevance when words are looked for, else by name.
    pub sort: Option<Sort>,
    /// Entries a page; the default is 100, at most 1,000.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Whether to count the values of each dimension.
    pub wants_facets: bool,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 11] = [
        Self::Catalog,
        Self::Category,
        Self::BaseModel,
        Self::Family,
        Self::Status,
        Self::Source,
        Self::Tag,
        Self::Folder,
        Self::Kind,
        Self::Creator,
        Self::Favorite,
    ];

    /// Its name in queries and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Category => "category",
            Self::BaseModel => "base_model",
            Self::Family => "family",
            Self::Status => "status",
            Self::Source => "source",
            Self::Tag => "tag",
            Self::Folder => "folder",
            Self::Kind => "kind",
            Self::Creator => "creator",
            Self::Favorite => "favorite",
        }
    }

    /// The dimension of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == name)
    }
}

impl Selection {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty() && self.not.is_empty()
    }
}

impl SortField {
    /// Every order.
    pub const ALL: [Self; 6] =
        [Self::Relevance, Self::Name, Self::File, Self::Added, Self::Size, Self::Place];

    /// Its name in queries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
            Self::Name => "name",
            Self::File => "file",
            Self::Added => "added",
            Self::Size => "size",
            Self::Place => "place",
        }
    }
}

impl Sort {
    /// The first comes first.
    pub fn by(field: SortField) -> Self {
        Self { field, is_descending: false }
    }

    /// The order of that name, with a `-` before it for the last first; `relevance` has no such form.
    pub fn parse(name: &str) -> Option<Self> {
        let (name, is_descending) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        let field = SortField::ALL.into_iter().find(|field| field.as_str() == name)?;
        (field != SortField::Relevance || !is_descending).then_some(Self { field, is_descending })
    }
}

impl EntryQuery {
    /// Entries of this page.
    pub(crate) fn rows(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, 1000) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_names_and_a_minus_turns_them_around() {
        for field in SortField::ALL {
            assert_eq!(Sort::parse(field.as_str()), Some(Sort::by(field)));
        }
        assert_eq!(Sort::parse("-size"), Some(Sort { field: SortField::Size, is_descending: true }));
        for unknown in ["", "-", "-relevance", "--name", "Name", "name "] {
            assert_eq!(Sort::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_page_has_a_hundred_entries_and_never_more_than_a_thousand() {
        let rows = |limit| EntryQuery { limit, ..EntryQuery::default() }.rows();
        assert_eq!((rows(None), rows(Some(0)), rows(Some(7)), rows(Some(u32::MAX))), (100, 1, 7, 1000));
    }
}
