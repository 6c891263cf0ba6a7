//! What an upstream says of an entry, and how it is taken over without touching a user's word.
//!
//! A field that a user edited, or that differs from what the last fetch said, holds a user's word, and stays
//! ([`Sayings::is_users`]). Nothing is ever emptied, and no tag is ever taken away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{EntryDocument, FieldValue};

/// Who says what stands in a field of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactOrigin {
    /// A user, by an edit or in the catalog file.
    User,
    /// The file itself.
    File,
    /// CivitAI.
    #[default]
    Civitai,
    /// Hugging Face.
    HuggingFace,
    /// What another program wrote beside the file.
    Sidecar,
    /// The catalog that the entry came with.
    Catalog,
}

/// Who said what of one entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sayings {
    /// What the last fetches said, by field.
    pub said: Map<String, Value>,
    /// Who said it, by field.
    pub origins: BTreeMap<String, FactOrigin>,
    /// Fields that hold a user's word, because of an edit or since a sidecar had it.
    pub users: BTreeSet<String>,
}

/// What is known of a file from elsewhere; everything can be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Who says all of it.
    pub origin: FactOrigin,
    /// Fields of the entry that Hugging Face says and not `origin`.
    pub by_hub: BTreeSet<&'static str>,
    /// A name for people, cleaned.
    pub name: Option<String>,
    /// CivitAI's word for the base model.
    pub civitai_base_model: Option<String>,
    /// A base model that is used only when the entry has none.
    pub base_model: Option<String>,
    /// The model's tags on CivitAI.
    pub tags: Vec<String>,
    /// Trigger words.
    pub trained_words: Vec<String>,
    /// The version's name.
    pub version: Option<String>,
    /// CivitAI's id of the version.
    pub version_id: Option<u64>,
    /// CivitAI's id of the model.
    pub model_id: Option<u64>,
    /// CivitAI's id of the file.
    pub file_id: Option<u64>,
    /// The model's name.
    pub model_name: Option<String>,
    /// `LORA`, `Checkpoint`, …
    pub kind: Option<String>,
    /// `fp16`, …
    pub precision: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// When it was last changed there, as written.
    pub last_modified: Option<String>,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: Option<String>,
    /// Exact bytes.
    pub size_bytes: Option<u64>,
    /// Whether it is for adults.
    pub is_nsfw: bool,
}

/// What came of taking facts over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TakenOver {
    /// What changed, in the words of the activity log.
    pub changes: Vec<String>,
    /// What was said; to be handed in at the next fetch.
    pub said: Map<String, Value>,
    /// Who said it, by field.
    pub origins: BTreeMap<String, FactOrigin>,
}

/// The tag of what is for adults.
const NSFW: &str = "nsfw";

impl FactOrigin {
    /// Every origin.
    pub const ALL: [Self; 6] =
        [Self::User, Self::File, Self::Civitai, Self::HuggingFace, Self::Sidecar, Self::Catalog];

    /// The stored and shown name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::File => "file",
            Self::Civitai => "civitai",
            Self::HuggingFace => "huggingface",
            Self::Sidecar => "sidecar",
            Self::Catalog => "catalog",
        }
    }

    /// The origin of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }
}

impl Sayings {
    /// What was said last of a field by anybody but a user: by a fetch or a sidecar, else by the file, whose word stands
    /// in the entry itself.
    pub fn last_said(&self, document: &EntryDocument, field: &str) -> Option<Value> {
        self.said.get(field).cloned().or_else(|| said_by_file(document, field))
    }

    /// Whether a field holds a user's word. The only place that knows.
    pub fn is_users(&self, document: &EntryDocument, field: &str) -> bool {
        let differs = |said: Value| match (&said, document.get(field)) {
            // A list that has all that was said only got more.
            (Value::Array(said), Some(own)) => {
                !said.iter().all(|word| own.texts().any(|own| Some(own) == word.as_str()))
            }
            (said, own) => own.is_none_or(|own| own != *said),
        };
        self.users.contains(field) || self.last_said(document, field).is_some_and(differs)
    }

    /// Who says what stands in a field.
    pub fn origin_of(&self, document: &EntryDocument, field: &str) -> FactOrigin {
        if self.is_users(document, field) {
            return FactOrigin::User;
        }
        match self.origins.get(field) {
            Some(origin) => *origin,
            None if !self.said.contains_key(field) => match said_by_file(document, field) {
                Some(_) => FactOrigin::File,
                None => FactOrigin::Catalog,
            },
            // Facts that were fetched before their origin was kept.
            None if document.id("civitai_version_id").is_some() => FactOrigin::Civitai,
            None => FactOrigin::HuggingFace,
        }
    }

    /// What came of taking facts over is known from now on.
    pub fn extend(&mut self, taken: TakenOver) {
        self.said.extend(taken.said);
        self.origins.extend(taken.origins);
    }
}

/// What identification filled a field with, as the entry notes it: in the transaction that fills it, and also where the
/// entry goes by its catalog file.
fn said_by_file(document: &EntryDocument, field: &str) -> Option<Value> {
    let Value::Object(mut identified) = document.get("identified")?.to_value() else { return None };
    let filled = identified.get("filled")?.as_array()?.iter().any(|name| name == field);
    if filled { identified.remove(field) } else { None }
}

impl Facts {
    fn origin_of(&self, field: &str) -> FactOrigin {
        if self.by_hub.contains(field) { FactOrigin::HuggingFace } else { self.origin }
    }
}

/// Takes facts over beside what was said before.
pub fn take_over(document: &mut EntryDocument, facts: &Facts, sayings: &Sayings) -> TakenOver {
    let mut work = Work { document, sayings, done: TakenOver::default() };
    work.replace("civitai_base_model", facts.civitai_base_model.as_deref(), |value| {
        Some(format!("civitai_base_model={value}"))
    });
    let base_model = facts.base_model.as_ref().or(facts.civitai_base_model.as_ref());
    work.fill("base_model", base_model.map(|text| text.as_str().into()), |value| {
        format!("base_model={value}")
    });
    work.extend("civitai_tags", &facts.tags);
    work.extend("trainedWords", &facts.trained_words);
    work.replace("civitai_version", facts.version.as_deref(), |value| Some(format!("version={value}")));
    work.id("civitai_version_id", facts.version_id);
    work.id("civitai_model_id", facts.model_id);
    work.id("civitai_file_id", facts.file_id);
    for (field, value) in [
        ("civitai_model_name", &facts.model_name),
        ("civitai_type", &facts.kind),
        ("civitai_fp", &facts.precision),
    ] {
        work.replace(field, value.as_deref(), |_| None);
    }
    work.replace("lastModified", facts.last_modified.as_deref(), |value| {
        Some(format!("lastModified={value}"))
    });
    if !work.document.flag("name_locked") {
        work.replace("name", facts.name.as_deref(), |value| Some(format!("name={value}")));
    }
    work.fill("author", facts.author.as_deref().map(Value::from), |value| format!("author={value}"));
    if work.document.sha256().is_none() {
        work.fill("hash", facts.sha256.as_deref().map(Value::from), |_| "+hash".to_owned());
    }
    work.fill("size_bytes", facts.size_bytes.map(Value::from), |value| format!("size_bytes={value}"));
    work.tag_nsfw(facts.is_nsfw);
    let mut done = work.done;
    done.origins = done.said.keys().map(|field| (field.clone(), facts.origin_of(field))).collect();
    done
}

struct Work<'a> {
    document: &'a mut EntryDocument,
    sayings: &'a Sayings,
    done: TakenOver,
}

impl Work<'_> {
    fn is_users(&self, field: &str) -> bool {
        self.sayings.is_users(self.document, field)
    }

    fn is_empty(&self, field: &str) -> bool {
        self.document.get(field).is_none_or(|own| {
            own.is_null()
                || own.as_str().is_some_and(|text| text.trim().is_empty())
                || own.as_f64() == Some(0.0)
        })
    }

    /// Whether the value was read from the file, where an upstream knows better: keys do not tell Pony from SDXL.
    fn is_of_file(&self, field: &str) -> bool {
        self.sayings.origin_of(self.document, field) == FactOrigin::File
    }

    /// Sets a text to what is said, unless a user said otherwise.
    fn replace(&mut self, field: &str, said: Option<&str>, change: impl Fn(&str) -> Option<String>) {
        let Some(said) = said else { return };
        self.done.said.insert(field.to_owned(), said.into());
        if self.is_users(field) || self.document.text(field) == said {
            return;
        }
        self.document.set(field, said);
        self.done.changes.extend(change(said));
    }

    /// Sets a field that has no value yet.
    fn fill(&mut self, field: &str, said: Option<Value>, change: impl Fn(&str) -> String) {
        let Some(said) = said else { return };
        if (self.is_empty(field) || self.is_of_file(field)) && !self.is_users(field) {
            let text = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
            self.document.set(field, said.clone());
            self.done.changes.push(change(&text));
        }
        self.done.said.insert(field.to_owned(), said);
    }

    /// Sets an id, kept as it is written when it is the same.
    fn id(&mut self, field: &str, said: Option<u64>) {
        let Some(said) = said else { return };
        if self.document.id(field) != Some(said) && !self.is_users(field) {
            self.document.set(field, said);
        }
        let written = self.document.get(field).map_or(Value::Null, FieldValue::to_value);
        self.done.said.insert(field.to_owned(), written);
    }

    /// Sets a list to what is said, with what a user added to it behind.
    fn extend(&mut self, field: &str, said: &[String]) {
        if said.is_empty() {
            return;
        }
        let is_edited = self.sayings.users.contains(field);
        let said_before: Vec<&str> = self
            .sayings
            .said
            .get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let own: Vec<String> = self.document.texts(field).map(str::to_owned).collect();
        // What was said before and is gone now was taken out by a user.
        let kept_out =
            |word: &String| is_edited || (said_before.contains(&word.as_str()) && !own.contains(word));
        let added: Vec<&String> = said.iter().filter(|word| !own.contains(word) && !kept_out(word)).collect();
        let count = added.len();
        if count > 0 {
            let all: Vec<Value> = own.iter().chain(added).map(|word| Value::from(word.as_str())).collect();
            self.document.set(field, all);
            self.done.changes.push(format!("+{count} {field}"));
        }
        self.done.said.insert(field.to_owned(), said.to_vec().into());
    }

    /// Adds the tag once; a user may take it out for good.
    fn tag_nsfw(&mut self, is_nsfw: bool) {
        let was_said = self.sayings.said.get(NSFW) == Some(&Value::Bool(true));
        let has_it = self.document.texts("tags").any(|tag| tag.eq_ignore_ascii_case(NSFW));
        if is_nsfw && !has_it && !was_said {
            let tags: Vec<Value> = self.document.texts("tags").chain([NSFW]).map(Value::from).collect();
            self.document.set("tags", tags);
            self.done.changes.push("+nsfw".to_owned());
        }
        if is_nsfw {
            self.done.said.insert(NSFW.to_owned(), true.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> EntryDocument {
        match value {
            Value::Object(fields) => EntryDocument::from(fields),
            other => panic!("{other} is not an entry"),
        }
    }

    fn facts() -> Facts {
        Facts {
            name: Some("Soft Ink v1".into()),
            civitai_base_model: Some("SDXL 1.0".into()),
            tags: vec!["style".into(), "ink".into()],
            trained_words: vec!["soft ink".into()],
            version: Some("v1".into()),
            model_id: Some(7),
            last_modified: Some("2026-07-01T12:00:00.000Z".into()),
            is_nsfw: true,
            ..Facts::default()
        }
    }

    fn saying(taken: TakenOver) -> Sayings {
        let mut sayings = Sayings::default();
        sayings.extend(taken);
        sayings
    }

    #[test]
    fn facts_fill_an_entry_and_are_told_in_the_words_of_the_log() {
        let mut entry =
            document(json!({"name": "ink", "file": "a.pt", "tags": ["mine"], "civitai_model_id": "7"}));
        let taken = take_over(&mut entry, &facts(), &Sayings::default());
        let expected = [
            "civitai_base_model=SDXL 1.0",
            "base_model=SDXL 1.0",
            "+2 civitai_tags",
            "+1 trainedWords",
            "version=v1",
            "lastModified=2026-07-01T12:00:00.000Z",
            "name=Soft Ink v1",
            "+nsfw",
        ];
        assert_eq!(taken.changes, expected);
        assert_eq!(entry.get("tags").unwrap().to_value(), json!(["mine", "nsfw"]));
        assert_eq!(
            entry.get("civitai_model_id").unwrap().to_value(),
            json!("7"),
            "an id stays as it is written"
        );
        let again = take_over(&mut entry, &facts(), &saying(taken));
        assert_eq!(again.changes, [] as [String; 0]);
    }

    #[test]
    fn what_a_user_changed_after_a_fetch_stays() {
        let mut entry = document(json!({"file": "a.pt", "base_model": "Mine"}));
        let taken = take_over(&mut entry, &facts(), &Sayings::default());
        assert_eq!(entry.get("base_model").unwrap().to_value(), "Mine");
        entry.set("name", "My name");
        entry.set("civitai_tags", vec!["style", "own"]);
        entry.set("tags", Vec::<String>::new());
        entry.set("civitai_version", "mine");
        let newer = Facts { name: Some("Soft Ink v2".into()), version: Some("v2".into()), ..facts() };
        let mut expected = entry.clone();
        let again = take_over(&mut entry, &newer, &saying(taken));
        assert_eq!(again.changes, [] as [String; 0]);
        expected.set("civitai_tags", vec!["style", "own"]);
        assert_eq!(entry, expected);
    }

    #[test]
    fn a_locked_name_stays_and_nothing_is_emptied() {
        let before =
            json!({"name": "Mine", "name_locked": true, "civitai_version": "v1", "trainedWords": ["a"]});
        let mut entry = document(before.clone());
        take_over(&mut entry, &Facts { name: Some("Other".into()), ..Facts::default() }, &Sayings::default());
        assert_eq!(entry, document(before));
    }

    #[test]
    fn what_a_user_edited_before_the_first_fetch_stays() {
        let before = json!({"file": "a.pt", "name": "Mine", "trainedWords": ["own"]});
        let mut entry = document(before);
        let users = ["name", "trainedWords"].map(str::to_owned).into();
        let taken = take_over(&mut entry, &facts(), &Sayings { users, ..Sayings::default() });
        assert_eq!(
            (entry.text("name"), entry.texts("trainedWords").collect::<Vec<_>>()),
            ("Mine", vec!["own"])
        );
        assert_eq!(taken.said["name"], "Soft Ink v1", "what was said is kept for when it is given back");
    }

    #[test]
    fn each_field_has_an_origin() {
        let mut entry =
            document(json!({"file": "a.pt", "name": "a", "notes": "n", "size_gb": 1.5, "rating": 5}));
        let by_hub = ["lastModified"].into();
        let mut sayings = saying(take_over(&mut entry, &Facts { by_hub, ..facts() }, &Sayings::default()));
        sayings.users.insert("notes".to_owned());
        entry.set("civitai_version", "mine");
        let origin = |field| sayings.origin_of(&entry, field);
        assert_eq!(origin("name"), FactOrigin::Civitai);
        assert_eq!(origin("lastModified"), FactOrigin::HuggingFace);
        assert_eq!((origin("notes"), origin("civitai_version")), (FactOrigin::User, FactOrigin::User));
        assert_eq!(origin("rating"), FactOrigin::Catalog);
        let old = Sayings { origins: BTreeMap::new(), ..sayings };
        assert_eq!(old.origin_of(&entry, "name"), FactOrigin::HuggingFace, "no CivitAI version is known");
        for origin in FactOrigin::ALL {
            assert_eq!(FactOrigin::parse(origin.as_str()), Some(origin));
        }
    }
}
