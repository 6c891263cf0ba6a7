//! What stands in paths, queries and headers.

use serde_json::{Map, Value, json};

use super::operation::Operation;

/// A parameter that no struct holds.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    pub(super) place: &'static str,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) schema: Value,
    pub(super) is_required: bool,
    pub(super) example: Option<&'static str>,
}

impl Extra {
    /// A header that may be left out.
    pub(crate) fn header(name: &str, description: &str) -> Self {
        Self {
            place: "header",
            name: name.to_owned(),
            description: description.to_owned(),
            schema: json!({"type": "string"}),
            is_required: false,
            example: None,
        }
    }

    /// A part of the query that may be left out.
    pub(crate) fn query(name: impl Into<String>, description: impl Into<String>, schema: Value) -> Self {
        let (name, description) = (name.into(), description.into());
        Self { place: "query", name, description, schema, is_required: false, example: None }
    }

    /// It must be there, and the example sends this.
    pub(crate) fn required(mut self, example: &'static str) -> Self {
        (self.is_required, self.example) = (true, Some(example));
        self
    }

    /// With another schema than a text.
    pub(crate) fn of(mut self, schema: Value) -> Self {
        self.schema = schema;
        self
    }

    pub(super) fn into_value(self) -> Value {
        let Self { place, name, description, schema, is_required, example } = self;
        let mut own = json!({
            "name": name, "in": place, "required": is_required, "description": description, "schema": schema,
        });
        if let Some(example) = example {
            own["example"] = example.into();
        }
        own
    }
}

/// What each name in the braces of a path stands for, and what it is made of.
const IN_PATHS: [(&str, &str, Kind); 13] = [
    ("filename", "A file name, without its folder", Kind::Text),
    ("sha256", "The SHA-256 of a content, 64 hexadecimal digits", Kind::Sha256),
    ("base_model", "A base model by the name that entries have, or `all`", Kind::Text),
    ("version_id", "CivitAI's id of a version", Kind::Number),
    ("model_id", "CivitAI's id of a model", Kind::Number),
    ("image_id", "CivitAI's id of an image", Kind::Number),
    ("name", "An image's id, or its id with an ending, as `123.jpeg`", Kind::Text),
    ("team", "A team by its id or name", Kind::Text),
    ("key", "A key by its id or its first characters", Kind::Text),
    ("place", "Which picture, from 0", Kind::Number),
    ("style", "A style by its id or slug", Kind::Text),
    ("lora", "A style by its id or slug", Kind::Text),
    ("id", "The id", Kind::Text),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Sha256,
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string", "minLength": 1}),
            Self::Number => json!({"type": "integer", "minimum": 0, "maximum": i64::MAX}),
            Self::Sha256 => json!({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
        }
    }
}

/// Whether its path holds a number, which other texts are refused for.
pub(super) fn has_number(operation: &Operation) -> bool {
    let is_number = |name: &str| IN_PATHS.iter().any(|known| known.0 == name && known.2 == Kind::Number);
    operation.path_parameters().any(is_number)
}

/// The parameters in the braces of its path.
pub(super) fn of_path(operation: &Operation) -> Vec<Value> {
    let own = |name: &str| {
        let known = IN_PATHS.iter().find(|known| known.0 == name);
        let (_, description, kind) = known.unwrap_or_else(|| panic!("`{name}` is described in `IN_PATHS`"));
        json!({"name": name, "in": "path", "required": true, "description": description, "schema": kind.schema()})
    };
    operation.path_parameters().map(own).collect()
}

/// The fields of a struct that a query is read into.
pub(super) fn of_query(schema: Value) -> Vec<Value> {
    let Value::Object(mut schema) = schema else { return Vec::new() };
    let required = schema.remove("required").unwrap_or_default();
    let is_required =
        |name: &str| required.as_array().is_some_and(|names| names.iter().any(|own| own == name));
    let Some(Value::Object(fields)) = schema.remove("properties") else { return Vec::new() };
    let parameter = |(name, schema): (String, Value)| {
        let mut schema = without_null(schema);
        let description = schema.remove("description");
        let mut own = json!({"name": name, "in": "query", "required": is_required(&name)});
        if let Some(description) = description {
            own["description"] = description;
        }
        own["schema"] = schema.into();
        own
    };
    fields.into_iter().map(parameter).collect()
}

/// A query has no null: what is not there is left out.
fn without_null(schema: Value) -> Map<String, Value> {
    let Value::Object(mut schema) = schema else { return Map::new() };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    schema.shift_remove("default");
    schema
}
