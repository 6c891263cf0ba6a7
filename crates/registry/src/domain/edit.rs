//! What a user says of an entry: which fields, within which bounds, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::search::fold;
use super::{EntryDocument, FieldValue, Sayings};
use crate::error::Invalid;

/// Most tags or trigger words of an entry.
const MOST_WORDS: usize = 200;
/// Longest tag or trigger word, bytes; a trigger may be a phrase.
const LONGEST_WORD: usize = 500;

/// Fields that hold a text, with its longest length in bytes.
const TEXTS: [(&str, usize); 3] = [("name", 300), ("base_model", 100), ("notes", 20_000)];
/// Fields that hold a list of texts.
const LISTS: [&str; 2] = ["tags", "trigger_words"];
/// Marks an entry that somebody likes.
const FAVORITE: &str = "favorite";
/// A text or an object: at which strength it works, with which settings.
const USAGE_TIPS: &str = "usage_tips";
/// Longest usage tips as JSON, bytes.
const LONGEST_TIPS: usize = 4_000;

/// What a user wants of an entry, or of many.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntryEdit {
    /// Fields with their new values; null gives a field back to what an upstream says, or empties it.
    fields: BTreeMap<&'static str, Value>,
    add_tags: Vec<String>,
    remove_tags: Vec<String>,
}

/// What came of an edit: values of the fields that are another now, null where there was or is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EditedFields {
    /// Before.
    pub old: Map<String, Value>,
    /// After.
    pub new: Map<String, Value>,
}

impl EntryEdit {
    /// Reads an edit: `name`, `base_model`, `notes`, `usage_tips`, `tags`, `trigger_words`, `favorite` (each a value or
    /// null), `add_tags`, `remove_tags`.
    pub fn parse(fields: Map<String, Value>) -> Result<Self, Invalid> {
        let mut edit = Self::default();
        for (field, value) in fields {
            match field.as_str() {
                "add_tags" => edit.add_tags = words(&field, &value)?,
                "remove_tags" => edit.remove_tags = words(&field, &value)?,
                _ => {
                    let (name, value) = judged(&field, value)?;
                    edit.fields.insert(name, value);
                }
            }
        }
        let has_both =
            edit.fields.contains_key("tags") && !(edit.add_tags.is_empty() && edit.remove_tags.is_empty());
        if has_both {
            return Err(invalid(
                "tags",
                "`tags` replaces all tags: send it without `add_tags` and `remove_tags`",
            ));
        }
        Ok(edit)
    }

    /// Whether it wants nothing.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.add_tags.is_empty() && self.remove_tags.is_empty()
    }

    /// Makes the edit. Fields that it sets hold a user's word from then on; fields that it gives back do not.
    pub fn apply(&self, document: &mut EntryDocument, sayings: &mut Sayings) -> EditedFields {
        let before = document.clone();
        let mut touched: BTreeSet<&str> = self.fields.keys().copied().collect();
        for (field, value) in &self.fields {
            match value {
                Value::Null => give_back(document, sayings, field),
                value if is_nothing(value) => document.remove(field),
                value => document.set(field, value.clone()),
            }
        }
        if !self.add_tags.is_empty() || !self.remove_tags.is_empty() {
            touched.insert("tags");
            self.change_tags(document);
        }
        let edited = EditedFields::between(&before, document, touched.iter().copied());
        for field in edited.new.keys() {
            let is_given_back = self.fields.get(field.as_str()).is_some_and(Value::is_null);
            if is_given_back {
                sayings.users.remove(field)
            } else {
                sayings.users.insert(field.clone())
            };
        }
        edited
    }

    fn change_tags(&self, document: &mut EntryDocument) {
        let is_in = |tags: &[String], tag: &str| tags.iter().any(|own| fold(own) == fold(tag));
        let own: Vec<String> = document.texts("tags").map(str::to_owned).collect();
        let mut tags: Vec<String> =
            own.iter().filter(|tag| !is_in(&self.remove_tags, tag)).cloned().collect();
        for tag in &self.add_tags {
            if !is_in(&tags, tag) {
                tags.push(tag.clone());
            }
        }
        if tags != own {
            document.set("tags", tags);
        }
    }
}

impl EditedFields {
    /// What differs in these fields.
    pub fn between<'a>(
        before: &EntryDocument,
        after: &EntryDocument,
        fields: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut edited = Self::default();
        for field in fields {
            let value =
                |document: &EntryDocument| document.get(field).map_or(Value::Null, FieldValue::to_value);
            let (old, new) = (value(before), value(after));
            if old != new {
                edited.old.insert(field.to_owned(), old);
                edited.new.insert(field.to_owned(), new);
            }
        }
        edited
    }

    /// Whether nothing is another now.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty()
    }
}

/// What was said last stands again; without that, nothing does.
fn give_back(document: &mut EntryDocument, sayings: &Sayings, field: &str) {
    match sayings.last_said(document, field) {
        Some(said) => document.set(field, said),
        None => document.remove(field),
    }
}

/// Whether a value says no more than an absent field.
fn is_nothing(value: &Value) -> bool {
    value.as_str() == Some("") || *value == Value::Bool(false)
}

fn judged(field: &str, value: Value) -> Result<(&'static str, Value), Invalid> {
    if let Some((name, longest)) = TEXTS.iter().find(|(name, _)| *name == field) {
        return Ok((name, if value.is_null() { value } else { text(field, &value, *longest)?.into() }));
    }
    if let Some(name) = LISTS.iter().find(|name| **name == field) {
        return Ok((name, if value.is_null() { value } else { words(field, &value)?.into() }));
    }
    match field {
        FAVORITE if value.is_null() || value.is_boolean() => Ok((FAVORITE, value)),
        FAVORITE => Err(invalid(field, "`favorite` is true, false or null")),
        USAGE_TIPS => usage_tips(value).map(|value| (USAGE_TIPS, value)),
        _ => Err(unknown(field)),
    }
}

fn unknown(field: &str) -> Invalid {
    let known = TEXTS.iter().map(|(name, _)| *name).chain(LISTS).chain([FAVORITE, USAGE_TIPS]);
    let known = known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    invalid(field, format!("`{field}` cannot be edited; there are {known}, `add_tags`, `remove_tags`"))
}

fn text(field: &str, value: &Value, longest: usize) -> Result<String, Invalid> {
    let text = value.as_str().ok_or_else(|| invalid(field, format!("`{field}` is a text or null")))?.trim();
    if text.len() > longest {
        return Err(invalid(field, format!("`{field}` has {} bytes; at most {longest} fit", text.len())));
    }
    let is_line = field != "notes";
    if text
        .chars()
        .any(|character| character.is_control() && (is_line || !matches!(character, '\n' | '\t' | '\r')))
    {
        return Err(invalid(field, format!("`{field}` has control characters; leave them out")));
    }
    if field == "name" && text.is_empty() {
        return Err(invalid(field, "`name` is empty; null gives the name back"));
    }
    Ok(text.to_owned())
}

/// A list of words, each once, without what is empty.
fn words(field: &str, value: &Value) -> Result<Vec<String>, Invalid> {
    let items = value.as_array().ok_or_else(|| invalid(field, format!("`{field}` is a list of texts")))?;
    let mut words: Vec<String> = Vec::new();
    for item in items {
        let word = text(field, item, LONGEST_WORD)?;
        if !word.is_empty() && words.iter().all(|known| fold(known) != fold(&word)) {
            words.push(word);
        }
    }
    if words.len() > MOST_WORDS {
        return Err(invalid(field, format!("`{field}` has {} texts; at most {MOST_WORDS} fit", words.len())));
    }
    Ok(words)
}

fn usage_tips(value: Value) -> Result<Value, Invalid> {
    let value = match value {
        Value::String(text) => Value::from(text.trim()),
        Value::Null | Value::Object(_) => value,
        _ => return Err(invalid(USAGE_TIPS, "`usage_tips` is a text, an object or null")),
    };
    let length = value.to_string().len();
    if length > LONGEST_TIPS {
        return Err(invalid(
            USAGE_TIPS,
            format!("`usage_tips` has {length} bytes; at most {LONGEST_TIPS} fit"),
        ));
    }
    Ok(value)
}

fn invalid(field: &str, message: impl Into<String>) -> Invalid {
    Invalid { code: "bad_edit", field: field.to_owned(), message: message.into(), suggestion: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other} is not an object"),
        }
    }

    fn edited(document: Value, sayings: &mut Sayings, edit: Value) -> (Value, EditedFields) {
        let mut document = EntryDocument::from(map(document));
        let edited = EntryEdit::parse(map(edit)).unwrap().apply(&mut document, sayings);
        (document.to_fields().into(), edited)
    }

    fn refused(edit: Value) -> String {
        EntryEdit::parse(map(edit)).unwrap_err().field
    }

    #[test]
    fn an_edit_sets_fields_and_says_what_they_were() {
        let mut sayings = Sayings::default();
        let edit =
            json!({"name": " Mine ", "notes": "one\ntwo", "favorite": true, "usage_tips": {"strength": 0.8}});
        let (document, edited) = edited(json!({"file": "a.pt", "name": "a"}), &mut sayings, edit);
        assert_eq!(
            document,
            json!({"file": "a.pt", "name": "Mine", "favorite": true, "notes": "one\ntwo",
                "usage_tips": {"strength": 0.8}})
        );
        assert_eq!(
            Value::from(edited.old),
            json!({"favorite": null, "name": "a", "notes": null, "usage_tips": null})
        );
        assert!(sayings.users.iter().eq(["favorite", "name", "notes", "usage_tips"]));
    }

    #[test]
    fn null_gives_a_field_back_to_what_was_said() {
        let mut sayings = Sayings::default();
        sayings.said.insert("name".to_owned(), "Upstream".into());
        sayings.users.extend(["name".to_owned(), "notes".to_owned()]);
        let before = json!({"file": "a.pt", "name": "Mine", "notes": "n", "favorite": true});
        let edit = json!({"name": null, "notes": null, "favorite": false});
        let (document, _) = edited(before, &mut sayings, edit);
        assert_eq!(document, json!({"file": "a.pt", "name": "Upstream"}));
        assert!(sayings.users.iter().eq(["favorite"]), "that it is none is a user's word as well");
    }

    #[test]
    fn tags_come_and_go_whatever_their_case() {
        let mut sayings = Sayings::default();
        let before = json!({"file": "a.pt", "tags": ["Style", "old"]});
        let edit = json!({"add_tags": ["style", "new", "NEW"], "remove_tags": ["OLD", "never"]});
        let (document, change) = edited(before.clone(), &mut sayings, edit);
        assert_eq!(document["tags"], json!(["Style", "new"]));
        assert_eq!(change.old["tags"], json!(["Style", "old"]));
        let (same, change) = edited(before.clone(), &mut Sayings::default(), json!({"add_tags": ["STYLE"]}));
        assert_eq!((same, change.is_empty()), (before, true));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let long = "a".repeat(30_000);
        for (edit, field) in [
            (json!({"file": "b.pt"}), "file"),
            (json!({"name": ""}), "name"),
            (json!({"name": "a\u{7}"}), "name"),
            (json!({"name": "two\nlines"}), "name"),
            (json!({"name": 7}), "name"),
            (json!({"notes": long}), "notes"),
            (json!({"tags": "a"}), "tags"),
            (json!({"tags": [1]}), "tags"),
            (json!({"tags": [], "add_tags": ["a"]}), "tags"),
            (json!({"add_tags": null}), "add_tags"),
            (json!({"tags": (0..300).map(|tag| tag.to_string()).collect::<Vec<_>>()}), "tags"),
            (json!({"favorite": "yes"}), "favorite"),
            (json!({"usage_tips": [1]}), "usage_tips"),
        ] {
            assert_eq!(refused(edit), field);
        }
    }
}
