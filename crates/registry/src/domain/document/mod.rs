//! The JSON object of an entry, kept small.
//!
//! A studio has tens of thousands of entries in memory, each with a dozen short fields; a general JSON tree takes five
//! times the room of what it says. Field names that are known are not stored, values take what they need.

mod stored;

use std::borrow::Cow;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Number, Value};

use stored::Stored;

/// The JSON object of one entry, fields in their order.
#[derive(Clone, PartialEq, Default)]
pub struct EntryDocument {
    fields: Vec<Field>,
}

#[derive(Clone, PartialEq)]
struct Field {
    name: Cow<'static, str>,
    value: Packed,
}

/// A JSON value in little room. A list of texts is always `Texts`, so that equal values are equal here.
#[derive(Clone, PartialEq)]
enum Packed {
    Null,
    Flag(bool),
    Number(Number),
    Text(Box<str>),
    Texts(Box<[Box<str>]>),
    Other(Box<Value>),
}

/// The value of one field.
#[derive(Clone, Copy)]
pub struct FieldValue<'a>(&'a Packed);

/// The names that most entries have.
const KNOWN: [&str; 37] = [
    "name",
    "file",
    "dest",
    "source",
    "size_gb",
    "tags",
    "hf_repo",
    "hf_file",
    "base_model",
    "url",
    "hash",
    "sha256",
    "size_bytes",
    "pair_id",
    "pair_role",
    "hf_revision",
    "civitai_model_id",
    "civitai_version_id",
    "civitai_file_id",
    "civitai_model_name",
    "civitai_version",
    "civitai_base_model",
    "civitai_type",
    "civitai_fp",
    "civitai_tags",
    "trainedWords",
    "trigger_words",
    "author",
    "description",
    "rating",
    "downloads",
    "images",
    "lastModified",
    "name_locked",
    "notes",
    "favorite",
    "usage_tips",
];

impl EntryDocument {
    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<FieldValue<'_>> {
        self.fields.iter().find(|own| own.name == field).map(|own| FieldValue(&own.value))
    }

    /// Whether it has the field, whatever its value.
    pub fn contains(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Its fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.fields.iter().map(|own| (&*own.name, FieldValue(&own.value)))
    }

    /// Sets a field: in its place when it is there, else at the end.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = Packed::from(value.into());
        if let Some(own) = self.fields.iter_mut().find(|own| own.name == field) {
            own.value = value;
        } else {
            self.fields.reserve_exact(1);
            self.fields.push(Field { name: name_of(field), value });
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: &str) {
        self.fields.retain(|own| own.name != field);
    }

    /// The strings of an array field; anything else in it is passed over.
    pub fn texts(&self, field: &str) -> impl Iterator<Item = &str> {
        self.get(field).into_iter().flat_map(FieldValue::texts)
    }

    /// The fields as a JSON object, for work that changes many of them.
    pub fn to_fields(&self) -> Map<String, Value> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_value())).collect()
    }

    /// What [`EntryDocument::to_stored`] wrote.
    pub(crate) fn from_stored(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str::<Stored>(text).map(|stored| stored.0)
    }

    /// The document as it is stored: JSON, fields in their order.
    pub(crate) fn to_stored(&self) -> String {
        serde_json::to_string(self).expect("texts as keys and finite numbers are always JSON")
    }
}

impl From<Map<String, Value>> for EntryDocument {
    fn from(fields: Map<String, Value>) -> Self {
        let packed = |(name, value): (String, Value)| Field { name: name_of(&name), value: value.into() };
        Self { fields: fields.into_iter().map(packed).collect() }
    }
}

impl Serialize for EntryDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            object.serialize_entry(name, &value)?;
        }
        object.end()
    }
}

impl fmt::Debug for EntryDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> FieldValue<'a> {
    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        matches!(self.0, Packed::Null)
    }

    /// The text, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self.0 {
            Packed::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(self) -> Option<&'a Number> {
        match self.0 {
            Packed::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The number as a float.
    pub fn as_f64(self) -> Option<f64> {
        self.as_number().and_then(Number::as_f64)
    }

    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(self) -> Option<u64> {
        self.as_number().and_then(Number::as_u64)
    }

    /// The flag, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            Packed::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Whether it is an array that holds texts and nothing else.
    pub fn is_texts(self) -> bool {
        matches!(self.0, Packed::Texts(_))
    }

    /// The texts of an array; anything else in it is passed over.
    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        let (texts, mixed) = match self.0 {
            Packed::Texts(texts) => (&**texts, None),
            Packed::Other(value) => (&[][..], value.as_array()),
            _ => (&[][..], None),
        };
        texts.iter().map(|text| &**text).chain(mixed.into_iter().flatten().filter_map(Value::as_str))
    }

    /// A copy as a JSON value.
    pub fn to_value(self) -> Value {
        match self.0 {
            Packed::Null => Value::Null,
            Packed::Flag(flag) => Value::Bool(*flag),
            Packed::Number(number) => Value::Number(number.clone()),
            Packed::Text(text) => Value::from(&**text),
            Packed::Texts(texts) => texts.iter().map(|text| Value::from(&**text)).collect(),
            Packed::Other(value) => Value::clone(value),
        }
    }
}

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Packed::Null => serializer.serialize_unit(),
            Packed::Flag(flag) => serializer.serialize_bool(*flag),
            Packed::Number(number) => number.serialize(serializer),
            Packed::Text(text) => serializer.serialize_str(text),
            Packed::Texts(texts) => serializer.collect_seq(texts.iter()),
            Packed::Other(value) => value.serialize(serializer),
        }
    }
}

impl PartialEq<Value> for FieldValue<'_> {
    fn eq(&self, other: &Value) -> bool {
        match (self.0, other) {
            (Packed::Text(own), Value::String(other)) => **own == **other,
            (Packed::Number(own), Value::Number(other)) => own == other,
            _ => self.to_value() == *other,
        }
    }
}

impl fmt::Debug for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_value(), f)
    }
}

impl From<Value> for Packed {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Flag(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text.into_boxed_str()),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                Self::Texts(items.iter().filter_map(Value::as_str).map(Box::from).collect())
            }
            other => Self::Other(Box::new(other)),
        }
    }
}

fn name_of(name: &str) -> Cow<'static, str> {
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: &Value) -> EntryDocument {
        value.as_object().cloned().unwrap().into()
    }

    #[test]
    fn every_kind_of_value_survives_in_its_order() {
        let value = json!({
            "zeta": null, "name": "n", "flag": true, "int": -3, "big": u64::MAX, "float": 4.0, "tags": ["a", "é"],
            "empty": [], "mixed": ["a", 1, ["b"]], "object": {"b": [], "a": {}},
        });
        let own = document(&value);
        assert_eq!(Value::from(own.to_fields()), value);
        assert_eq!(own.to_stored(), value.to_string());
        assert_eq!(EntryDocument::from_stored(&value.to_string()).unwrap(), own);
        assert_eq!(own.texts("mixed").collect::<Vec<_>>(), ["a"]);
        assert_eq!(own.texts("tags").collect::<Vec<_>>(), ["a", "é"]);
        for (field, expected) in value.as_object().unwrap() {
            assert!(own.get(field).unwrap() == *expected, "{field}");
        }
        assert!(!own.contains("absent") && own.len() == 10);
    }

    #[test]
    fn a_set_field_keeps_its_place() {
        let mut own = document(&json!({"a": 1, "name": 2}));
        own.set("a", "x");
        own.set("new", vec!["y"]);
        assert_eq!(own.to_stored(), r#"{"a":"x","name":2,"new":["y"]}"#);
    }

    #[test]
    fn a_field_takes_less_room_than_a_general_value() {
        assert!(size_of::<Field>() <= 48, "{}", size_of::<Field>());
        assert!(size_of::<Packed>() * 3 <= size_of::<Value>(), "{}", size_of::<Value>());
    }
}
