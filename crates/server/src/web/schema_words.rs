//! A JSON Schema in a few words, for readers.

use serde_json::Value;

/// What a value is: words, and the name of the schema to look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) text: String,
    /// A schema with a name of its own.
    pub(super) link: Option<String>,
}

/// One field of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) words: Words,
    pub(super) is_required: bool,
    pub(super) description: String,
}

/// Values that are listed; of more only the first are.
const LISTED: usize = 12;

impl Words {
    /// Of a schema.
    pub(super) fn of(schema: &Value) -> Self {
        if let Some(target) = schema["$ref"].as_str() {
            let name = target.rsplit('/').next().unwrap_or_default();
            return Self { text: String::new(), link: Some(name.to_owned()) };
        }
        if let Some(choices) = ["anyOf", "oneOf", "allOf"].iter().find_map(|name| schema[*name].as_array()) {
            return Self::one_of(choices);
        }
        if let Some(values) = schema["enum"].as_array() {
            return Self::plain(listed(values));
        }
        if let Some(value) = schema.get("const") {
            return Self::plain(value.to_string());
        }
        match &schema["type"] {
            Value::String(kind) => Self::of_kind(kind, schema),
            Value::Array(kinds) => Self::of_kinds(kinds, schema),
            _ => Self::plain("anything"),
        }
    }

    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), link: None }
    }

    fn one_of(choices: &[Value]) -> Self {
        let all: Vec<Self> = choices.iter().map(Self::of).collect();
        let texts: Vec<&str> =
            all.iter().map(|own| own.text.as_str()).filter(|text| !text.is_empty()).collect();
        let text = texts.join(" or ");
        let link = all.iter().find_map(|own| own.link.clone());
        let text = if link.is_some() && !text.is_empty() { format!("or {text}") } else { text };
        Self { text, link }
    }

    fn of_kinds(kinds: &[Value], schema: &Value) -> Self {
        let all: Vec<Self> =
            kinds.iter().filter_map(Value::as_str).map(|kind| Self::of_kind(kind, schema)).collect();
        let texts: Vec<&str> =
            all.iter().map(|own| own.text.as_str()).filter(|text| !text.is_empty()).collect();
        Self { text: texts.join(" or "), link: all.iter().find_map(|own| own.link.clone()) }
    }

    fn of_kind(kind: &str, schema: &Value) -> Self {
        match kind {
            "array" => {
                let items = Self::of(&schema["items"]);
                Self { text: format!("list of {}", items.text).trim_end().to_owned(), link: items.link }
            }
            "object" if schema["additionalProperties"].is_object() => {
                let values = Self::of(&schema["additionalProperties"]);
                Self {
                    text: format!("object with values: {}", values.text).trim_end().to_owned(),
                    link: values.link,
                }
            }
            "string" => match schema["format"].as_str() {
                Some("date-time") => Self::plain("time"),
                Some("binary") => Self::plain("file"),
                _ => Self::plain("text"),
            },
            other => Self::plain(other),
        }
    }
}

fn listed(values: &[Value]) -> String {
    let shown: Vec<String> = values.iter().take(LISTED).map(Value::to_string).collect();
    let rest = if values.len() > LISTED { ", …" } else { "" };
    format!("{}{rest}", shown.join(", "))
}

impl Field {
    /// The fields of an object's schema.
    pub(super) fn all_of(schema: &Value) -> Vec<Self> {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let own = |(name, schema): (&String, &Value)| Self {
            name: name.clone(),
            words: Words::of(schema),
            is_required: required.contains(&name.as_str()),
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
        };
        schema["properties"].as_object().into_iter().flatten().map(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_told_in_words() {
        let cases = [
            (json!({"type": "string"}), "text", None),
            (json!({"type": ["integer", "null"]}), "integer or null", None),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/Download"}}),
                "list of",
                Some("Download"),
            ),
            (json!({"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "null"}]}), "or null", Some("A")),
            (json!({"type": "string", "enum": ["a", "b"]}), "\"a\", \"b\"", None),
            (json!({}), "anything", None),
        ];
        for (schema, text, link) in cases {
            let words = Words::of(&schema);
            assert_eq!((words.text.as_str(), words.link.as_deref()), (text, link), "{schema}");
        }
    }
}
