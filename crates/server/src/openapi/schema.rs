//! Schemas of what comes in and of what goes out, in one set of names.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::operation::SchemaOf;

/// Where a document keeps its schemas.
const PLACE: &str = "/components/schemas";

/// Makes schemas for one document.
pub(super) struct Schemas {
    input: SchemaGenerator,
    output: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = PLACE.into();
            settings.meta_schema = None;
            settings
        };
        Self {
            input: SchemaGenerator::new(settings().for_deserialize()),
            output: SchemaGenerator::new(settings().for_serialize()),
        }
    }

    /// Of what is read.
    pub(super) fn input(&mut self, of: SchemaOf) -> Value {
        polished(of(&mut self.input).to_value())
    }

    /// Of what is answered.
    pub(super) fn output(&mut self, of: SchemaOf) -> Value {
        polished(of(&mut self.output).to_value())
    }

    /// All that have a name, by it.
    pub(super) fn into_named(mut self) -> Map<String, Value> {
        let mut named: Map<String, Value> = Map::new();
        let all = self.input.take_definitions(true).into_iter().chain(self.output.take_definitions(true));
        for (name, schema) in all {
            let (name, schema) = (short(&name), polished(schema));
            if let Some(other) = named.insert(name.clone(), schema.clone()) {
                assert_eq!(
                    other, schema,
                    "two schemas are named `{name}`: rename one with `#[schemars(rename)]`"
                );
            }
        }
        named.sort_keys();
        named
    }
}

/// The name outside: what is a view here is the thing itself there.
fn short(name: &str) -> String {
    name.replace("View", "")
}

/// Names are short, times say that they are times.
fn polished(mut schema: Value) -> Value {
    polish(&mut schema);
    schema
}

fn polish(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                *target = short(target);
            }
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                properties
                    .iter_mut()
                    .filter(|(name, _)| name.ends_with("_at"))
                    .for_each(|(_, own)| date(own));
            }
            fields.values_mut().for_each(polish);
        }
        Value::Array(items) => items.iter_mut().for_each(polish),
        _ => {}
    }
}

/// Fields named `…_at` are RFC 3339.
fn date(schema: &mut Value) {
    let Value::Object(own) = schema else { return };
    let is_text = match own.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => false,
    };
    // A schema that says where its text comes from is left as it is.
    if is_text && !own.contains_key("format") && !own.contains_key("x-origin") {
        own.insert("format".to_owned(), "date-time".into());
    }
}
