//! Reading a catalog file: an object with categories, or a bare array of entries.
//!
//! The place is tracked while the text is read, so that a fault names line, column and field.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{CatalogFile, Group, RawEntry};
use crate::domain::Category;
use crate::error::Invalid;

/// Longest id or name of a category, in characters.
const MAX_CATEGORY_CHARACTERS: usize = 100;

/// Takes a catalog file apart; `Invalid` (`malformed_catalog`) names line, column and field.
pub(crate) fn read(bytes: &[u8]) -> Result<CatalogFile, Invalid> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(&bytes[..error.valid_up_to()]);
        malformed("", &format!("line {line}, column {column}: this byte is not UTF-8"))
    })?;
    let place = Place::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let file = Root(&place).deserialize(&mut reader).and_then(|file| reader.end().map(|()| file));
    file.map_err(|error| fault(&place, &error))
}

fn fault(place: &Place, error: &serde_json::Error) -> Invalid {
    let field = place.shown();
    let text = error.to_string();
    let what = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    let at = format!("line {}, column {}", error.line(), error.column());
    let named = if field.is_empty() { String::new() } else { format!(", field `{field}`") };
    malformed(&field, &format!("{at}{named}: {what}"))
}

fn malformed(field: &str, what: &str) -> Invalid {
    let message = format!("the catalog cannot be read: {what}");
    Invalid { code: "malformed_catalog", field: field.to_owned(), message, suggestion: None }
}

/// Line and column, from 1, of what follows these bytes.
fn position(before: &[u8]) -> (usize, usize) {
    let lines: Vec<&[u8]> = before.split(|&byte| byte == b'\n').collect();
    (lines.len(), lines.last().map_or(0, |last| last.len()) + 1)
}

/// The field that is being read; left as it is when reading fails.
#[derive(Default)]
struct Place(RefCell<Vec<Step>>);

enum Step {
    Field(String),
    Index(usize),
}

impl Place {
    /// Goes one step down while `read` runs.
    fn within<T, E>(&self, step: Step, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.borrow_mut().push(step);
        let value = read()?;
        self.0.borrow_mut().pop();
        Ok(value)
    }

    /// The next field of an object; a fault between two fields is shown at the one before.
    fn next_field<'de, A: MapAccess<'de>>(
        &self,
        object: &mut A,
        last: &mut String,
    ) -> Result<Option<String>, A::Error> {
        let next = object.next_key::<String>().inspect_err(|_| {
            if !last.is_empty() {
                self.0.borrow_mut().push(Step::Field(last.clone()));
            }
        })?;
        next.as_ref().inspect(|field| last.clone_from(field));
        Ok(next)
    }

    fn shown(&self) -> String {
        let mut shown = Vec::new();
        for step in self.0.borrow().iter() {
            match step {
                Step::Index(index) => shown.push(format!("[{index}]")),
                Step::Field(field) if shown.is_empty() => shown.push(field.clone()),
                Step::Field(field) => shown.push(format!(".{field}")),
            }
        }
        shown.concat()
    }
}

/// Reads every item of a list with the seed that `seed` makes.
fn items<'de, A: SeqAccess<'de>, S: DeserializeSeed<'de>>(
    place: &Place,
    mut list: A,
    seed: impl Fn() -> S,
) -> Result<Vec<S::Value>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = place.within(Step::Index(items.len()), || list.next_element_seed(seed()))? {
        items.push(item);
    }
    Ok(items)
}

/// The whole file.
#[derive(Clone, Copy)]
struct Root<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = CatalogFile;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<CatalogFile, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = CatalogFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `categories`, or an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<CatalogFile, A::Error> {
        let entries = items(self.0, list, || EntrySeed(self.0))?;
        Ok(CatalogFile { groups: vec![Group { category: None, entries }], ..CatalogFile::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<CatalogFile, A::Error> {
        let mut file = CatalogFile::default();
        let mut last = String::new();
        while let Some(field) = self.0.next_field(&mut object, &mut last)? {
            self.0.within(Step::Field(field.clone()), || {
                if field == "categories" {
                    file.groups = object.next_value_seed(Listed(
                        self.0,
                        "an array of categories",
                        GroupSeed(self.0),
                    ))?;
                    file.document.insert(field, Value::Null);
                } else {
                    file.document.insert(field, object.next_value_seed(AnyValue(self.0))?);
                }
                Ok(())
            })?;
        }
        file.version = file.document.get("version").and_then(Value::as_i64);
        file.date = file.document.get("date").and_then(Value::as_str).map(str::to_owned);
        Ok(file)
    }
}

/// An array whose items one seed reads; `null` counts as empty.
#[derive(Clone, Copy)]
struct Listed<'a, S>(&'a Place, &'static str, S);

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for Listed<'_, S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for Listed<'_, S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        items(self.0, list, || self.2)
    }
}

/// One category with its entries.
#[derive(Clone, Copy)]
struct GroupSeed<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for GroupSeed<'_> {
    type Value = Group;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Group, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for GroupSeed<'_> {
    type Value = Group;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a category: an object with `id`, `name` and `models`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Group, A::Error> {
        let (mut document, mut entries) = (Map::new(), Vec::new());
        let mut last = String::new();
        while let Some(field) = self.0.next_field(&mut object, &mut last)? {
            self.0.within(Step::Field(field.clone()), || {
                if field == "models" {
                    entries =
                        object.next_value_seed(Listed(self.0, "an array of entries", EntrySeed(self.0)))?;
                    document.insert(field, Value::Null);
                } else {
                    document.insert(field, object.next_value_seed(AnyValue(self.0))?);
                }
                Ok(())
            })?;
        }
        Ok(Group { category: category(document), entries })
    }
}

/// The category of an object; one without a usable id is none, so that its entries go by their folders.
fn category(document: Map<String, Value>) -> Option<Category> {
    let usable = |field: &str| {
        let text = document.get(field)?.as_str()?.trim();
        let is_fit = !text.is_empty()
            && text.chars().count() <= MAX_CATEGORY_CHARACTERS
            && !text.chars().any(char::is_control);
        is_fit.then(|| text.to_owned())
    };
    let id = usable("id")?;
    let name = usable("name").unwrap_or_else(|| id.clone());
    Some(Category { id, name, document })
}

/// One entry, packed as soon as it is read.
#[derive(Clone, Copy)]
struct EntrySeed<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = RawEntry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawEntry, D::Error> {
        AnyValue(self.0).deserialize(deserializer).map(RawEntry::from)
    }
}

/// Any JSON value, its fields in their order; of a field that stands twice the last value counts, in the first's place.
#[derive(Clone, Copy)]
struct AnyValue<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Value, A::Error> {
        items(self.0, list, || self).map(Value::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        let mut last = String::new();
        while let Some(field) = self.0.next_field(&mut object, &mut last)? {
            let read = || object.next_value_seed(self);
            let value = self.0.within(Step::Field(field.clone()), read)?;
            fields.insert(field, value);
        }
        Ok(Value::Object(fields))
    }
}
