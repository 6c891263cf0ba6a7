//! The two catalogs and their categories.

use std::fmt;

use serde_json::{Map, Value};

/// Which of the two catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CatalogName {
    /// Checkpoints, VAEs, text encoders, technical LoRAs and so on (`models.json`).
    Models,
    /// Style LoRAs (`loras.json`).
    Loras,
}

impl CatalogName {
    /// Both, in the order in which names are looked up (decision 1).
    pub const ALL: [Self; 2] = [Self::Models, Self::Loras];

    /// The stored and shown name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Loras => "loras",
        }
    }

    /// The catalog of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|catalog| catalog.as_str() == name)
    }
}

impl fmt::Display for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One category of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Category {
    /// Its id, such as `checkpoints`; unique within its catalog.
    pub id: String,
    /// Its name, such as `Checkpoints`.
    pub name: String,
    /// The object of the catalog file, fields in their order, with `null` for its `models`.
    pub document: Map<String, Value>,
}

impl Category {
    /// A category with an empty list of models.
    pub fn new(id: &str, name: &str) -> Self {
        let document = [("id", Value::from(id)), ("name", Value::from(name)), ("models", Value::Null)];
        let document = document.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        Self { id: id.to_owned(), name: name.to_owned(), document }
    }

    /// A category named after its id: `_` and `-` become spaces, words start with a capital.
    pub fn named_after_id(id: &str) -> Self {
        let words = id.split(['_', '-']).filter(|word| !word.is_empty());
        Self::new(id, &words.map(capitalized).collect::<Vec<_>>().join(" "))
    }

    /// Fields of the catalog file that we do not know, in their order.
    pub fn extra(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document.iter().filter(|(field, _)| !matches!(field.as_str(), "id" | "name" | "models"))
    }
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
