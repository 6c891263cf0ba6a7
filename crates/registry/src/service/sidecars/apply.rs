//! What sidecars say, taken over by an entry: only what it lacks, and nothing that a user took out again.

use serde_json::Value;

use super::Said;
use crate::domain::{EntryDocument, FactOrigin, Facts, FieldValue, Sayings, take_over};

/// Adds what the document lacks. `last` is what fetches and sidecars said before; answers it with what was said now.
///
/// What a user wrote in the other program is a user's word here as well: no fetch changes it.
pub(in crate::service) fn apply(document: &mut EntryDocument, said: &Said, last: &Sayings) -> Sayings {
    let mut learning = Learning { document, last, now: last.clone() };
    let own = &said.own;
    let texts = [
        ("notes", own.notes.as_deref()),
        ("negative_words", own.negative.as_deref()),
        ("usage_tips", own.usage_tips.as_deref()),
        ("name", own.name.as_deref()),
    ];
    let texts = texts.into_iter().filter_map(|(field, text)| Some((field, Value::from(text?))));
    let lists = [("trigger_words", &own.trigger_words), ("tags", &own.tags)];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let lists = lists.map(|(field, list)| (field, Value::from(list.clone())));
    let strength = own.strength.map(|strength| ("strength", Value::from(strength)));
    let favorite = own.is_favorite.then_some(("favorite", Value::Bool(true)));
    for (field, value) in texts.chain(lists).chain(strength).chain(favorite) {
        if learning.learn(field, value) {
            learning.now.users.insert(field.to_owned());
        }
    }
    if let Some(description) = said.description.as_deref() {
        learning.learn("description", description.into());
    }
    let Learning { document, mut now, .. } = learning;
    let taken = take_over(document, &lacking(document, &said.facts), last);
    now.extend(taken);
    now
}

struct Learning<'a> {
    document: &'a mut EntryDocument,
    last: &'a Sayings,
    now: Sayings,
}

impl Learning<'_> {
    /// Sets a field that has no word, unless a user took it out; answers whether it did.
    fn learn(&mut self, field: &str, value: Value) -> bool {
        let is_lacking =
            if field == "name" { has_no_name(self.document) } else { is_empty(self.document, field) };
        // What was said before and is not there now was taken out by a user.
        if !is_lacking || self.last.said.contains_key(field) || self.last.users.contains(field) {
            return false;
        }
        self.document.set(field, value.clone());
        self.now.said.insert(field.to_owned(), value);
        self.now.origins.insert(field.to_owned(), FactOrigin::Sidecar);
        true
    }
}

/// The facts that the document has no word for. Facts of another version than the entry's are none of its.
fn lacking(document: &EntryDocument, facts: &Facts) -> Facts {
    let own_version = document.id("civitai_version_id");
    if own_version.is_some() && facts.version_id.is_some() && own_version != facts.version_id {
        return Facts::default();
    }
    let lacks = |field: &str| is_empty(document, field);
    let text = |field: &str, said: &Option<String>| said.clone().filter(|_| lacks(field));
    let list = |field: &str, said: &[String]| if lacks(field) { said.to_vec() } else { Vec::new() };
    Facts {
        name: facts.name.clone().filter(|_| has_no_name(document)),
        civitai_base_model: text("civitai_base_model", &facts.civitai_base_model),
        base_model: text("base_model", &facts.base_model),
        tags: list("civitai_tags", &facts.tags),
        trained_words: list("trainedWords", &facts.trained_words),
        version: text("civitai_version", &facts.version),
        version_id: facts.version_id.filter(|_| lacks("civitai_version_id")),
        model_id: facts.model_id.filter(|_| lacks("civitai_model_id")),
        file_id: facts.file_id.filter(|_| lacks("civitai_file_id")),
        model_name: text("civitai_model_name", &facts.model_name),
        kind: text("civitai_type", &facts.kind),
        precision: text("civitai_fp", &facts.precision),
        author: text("author", &facts.author),
        last_modified: text("lastModified", &facts.last_modified),
        sha256: facts.sha256.clone().filter(|_| document.sha256().is_none()),
        size_bytes: None,
        is_nsfw: facts.is_nsfw,
        origin: FactOrigin::Sidecar,
        by_hub: facts.by_hub.clone(),
    }
}

/// Whether the name is only the file's.
fn has_no_name(document: &EntryDocument) -> bool {
    let (name, file) = (document.text("name"), document.text("file"));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    !document.flag("name_locked") && (name.is_empty() || name == file || name == stem)
}

fn is_empty(document: &EntryDocument, field: &str) -> bool {
    document.get(field).is_none_or(|value| {
        value.is_null()
            || value.as_str().is_some_and(|text| text.trim().is_empty())
            || value.as_bool() == Some(false)
            || value.as_f64() == Some(0.0)
            || is_empty_list(value)
    })
}

fn is_empty_list(value: FieldValue<'_>) -> bool {
    value.is_texts() && value.texts().next().is_none()
}
