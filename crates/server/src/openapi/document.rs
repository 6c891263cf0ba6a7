//! A whole document: OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.1.html>).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::command::command;
use super::operation::{Answer, Operation, RequestBody, Shape};
use super::parameter::{has_number, of_path, of_query};
use super::schema::Schemas;

/// What a surface says of itself as a whole.
pub(crate) struct Description {
    /// Its name.
    pub(crate) title: &'static str,
    /// Markdown.
    pub(crate) about: &'static str,
    /// Ways to be let in: name and scheme; each is enough.
    pub(crate) schemes: Vec<(&'static str, Value)>,
    /// The header that examples send.
    pub(crate) credential: &'static str,
    /// The shape of its refusals.
    pub(crate) refused: Refused,
}

/// How a surface says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// `{"detail": "text"}`, and a list of faults for what cannot be read.
    Detail,
    /// `{"error": {"code", "message", "request_id"}}`.
    Code,
}

/// Refusals by status: what they mean.
const MEANINGS: [(u16, &str); 23] = [
    (400, "The input is wrong; the text says what would be right"),
    (401, "The credential is missing or wrong"),
    (403, "The caller may not do this"),
    (404, "There is no such thing"),
    (405, "The path is served by another method"),
    (408, "The body made no progress"),
    (409, "The state forbids it"),
    (410, "It is gone"),
    (411, "The body needs a length"),
    (412, "It is another version of the protocol"),
    (413, "It is too large"),
    (415, "The body is of another media type"),
    (416, "There is no such part"),
    (421, "`Host` names another server"),
    (422, "The request cannot be read as asked"),
    (423, "Another request is at it"),
    (429, "Too much at once; `Retry-After` says when to come back"),
    (460, "The checksum is another"),
    (500, "A defect; its cause is in the log under the request's id"),
    (502, "The upstream failed or refused"),
    (503, "Not possible now, or not configured"),
    (504, "The upstream took too long"),
    (507, "The disk is full"),
];

/// The document of the operations.
pub(crate) fn document(about: &Description, version: &str, operations: &[Operation]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    let mut refusals = BTreeSet::new();
    for operation in operations {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
        let statuses = refusals_of(operation);
        let shown = described(operation, about, &statuses, &mut schemas);
        refusals.extend(statuses);
        let own = paths.entry(operation.path).or_insert_with(|| json!({}));
        own[operation.method] = shown;
    }
    let mut named = schemas.into_named();
    named.extend(envelopes(about.refused));
    let responses: Map<String, Value> =
        refusals.into_iter().map(|status| (status.to_string(), refusal(status, about.refused))).collect();
    let security: Vec<Value> = about.schemes.iter().map(|(name, _)| json!({*name: []})).collect();
    let schemes: Map<String, Value> =
        about.schemes.iter().map(|(name, scheme)| ((*name).to_owned(), scheme.clone())).collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": about.title,
            "version": version,
            "description": about.about,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "security": security,
        "tags": tags.into_iter().map(|tag| json!({"name": tag})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {"securitySchemes": schemes, "responses": responses, "schemas": named},
    })
}

fn described(
    operation: &Operation,
    about: &Description,
    refusals: &BTreeSet<u16>,
    schemas: &mut Schemas,
) -> Value {
    let mut shown = json!({
        "operationId": operation.id(), "tags": [operation.tag], "summary": operation.summary,
    });
    if let Some(description) = operation.description {
        shown["description"] = description.into();
    }
    if operation.is_open {
        shown["security"] = json!([]);
    }
    let mut parameters = of_path(operation);
    parameters.extend(operation.query.map(|query| of_query(schemas.input(query))).into_iter().flatten());
    parameters.extend(operation.extra.iter().cloned().map(super::Extra::into_value));
    if !parameters.is_empty() {
        shown["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        shown["requestBody"] = request_body(body, schemas);
    }
    let mut responses: Map<String, Value> = Map::new();
    for answer in &operation.answers {
        responses.insert(answer.status.to_string(), response(answer, schemas));
    }
    for status in refusals.iter().filter(|status| operation.answers.iter().all(|own| own.status != **status))
    {
        let target = format!("#/components/responses/{status}");
        responses.insert(status.to_string(), json!({"$ref": target}));
    }
    responses.sort_keys();
    shown["responses"] = responses.into();
    let source = command(operation, about.credential);
    shown["x-codeSamples"] = json!([{"lang": "Shell", "label": "curl", "source": source}]);
    shown
}

fn request_body(body: &RequestBody, schemas: &mut Schemas) -> Value {
    let mut content = json!({"schema": shape(&body.shape, &mut |of| schemas.input(of))});
    if let (Shape::Typed(_), Some(example)) = (&body.shape, &body.example) {
        content["example"] = example.clone();
    }
    json!({"required": body.is_required, "content": {body.media: content}})
}

fn response(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut shown = json!({"description": answer.description});
    if let Some((media, own)) = &answer.content {
        shown["content"] = json!({*media: {"schema": shape(own, &mut |of| schemas.output(of))}});
    }
    shown
}

fn shape(shape: &Shape, typed: &mut dyn FnMut(super::operation::SchemaOf) -> Value) -> Value {
    match shape {
        Shape::Typed(of) => typed(*of),
        // OpenAPI 3.1: bytes that nothing encodes have no schema.
        Shape::Bytes => json!({}),
        Shape::Text => json!({"type": "string"}),
        Shape::Form(fields) => {
            let field = |(name, description, _, is_file): &super::operation::FormField| {
                let schema = if *is_file {
                    json!({"type": "string", "format": "binary", "description": description})
                } else {
                    json!({"type": "string", "description": description})
                };
                ((*name).to_owned(), schema)
            };
            let properties: Map<String, Value> = fields.iter().map(field).collect();
            let required: Vec<&str> = fields.iter().filter(|field| field.2).map(|field| field.0).collect();
            json!({"type": "object", "properties": properties, "required": required})
        }
    }
}

/// What an operation may be refused with: what it says, and what follows from its path, query and body.
fn refusals_of(operation: &Operation) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = BTreeSet::from([400, 421, 429, 500]);
    statuses.extend(&operation.refusals);
    if !operation.is_open {
        statuses.extend([401, 403]);
    }
    if operation.path_parameters().next().is_some() {
        statuses.insert(404);
    }
    if has_number(operation)
        || operation.query.is_some()
        || operation.extra.iter().any(|extra| extra.place == "query")
    {
        statuses.insert(422);
    }
    if operation.body.is_some() {
        statuses.extend([408, 413, 415, 422]);
    }
    statuses
}

fn refusal(status: u16, refused: Refused) -> Value {
    let known = MEANINGS.iter().find(|known| known.0 == status);
    let (_, meaning) = known.unwrap_or_else(|| panic!("`{status}` is described in `MEANINGS`"));
    let schema = match (refused, status) {
        (Refused::Detail, 422) => "RefusedInput",
        _ => "Refused",
    };
    let target = format!("#/components/schemas/{schema}");
    json!({"description": meaning, "content": {"application/json": {"schema": {"$ref": target}}}})
}

/// The shapes of refusals.
fn envelopes(refused: Refused) -> Map<String, Value> {
    let own = match refused {
        Refused::Detail => json!({
            "Refused": {
                "type": "object",
                "description": "Why a request was refused. A stable word for programs stands in the header `X-Error-Code`.",
                "properties": {"detail": {"type": "string", "description": "For people"}},
                "required": ["detail"],
                "additionalProperties": false,
            },
            "RefusedInput": {
                "type": "object",
                "description": "What of the input cannot be read, or why its content is refused.",
                "properties": {"detail": {"anyOf": [
                    {"type": "array", "items": {"$ref": "#/components/schemas/InputFault"}},
                    {"type": "string"},
                ]}},
                "required": ["detail"],
                "additionalProperties": false,
            },
            "InputFault": {
                "type": "object",
                "properties": {
                    "loc": {
                        "type": "array",
                        "description": "Where: `body`, `query` or `path`, then names and places",
                        "items": {"type": ["string", "integer"]},
                    },
                    "msg": {"type": "string", "description": "For people"},
                    "type": {"type": "string", "description": "A stable word"},
                },
                "required": ["loc", "msg", "type"],
                "additionalProperties": false,
            },
        }),
        Refused::Code => json!({
            "Refused": {
                "type": "object",
                "description": "Why a request was refused.",
                "properties": {"error": {
                    "type": "object",
                    "properties": {
                        "code": {"type": "string", "description": "A stable word"},
                        "message": {"type": "string", "description": "For people"},
                        "request_id": {"type": "string", "description": "Finds the request in the log"},
                    },
                    "required": ["code", "message", "request_id"],
                }},
                "required": ["error"],
                "additionalProperties": false,
            },
        }),
    };
    match own {
        Value::Object(own) => own,
        _ => Map::new(),
    }
}
