//! The reference of the API for people, and the pages of the documentation as Markdown. Everybody may read both.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::assets;
use super::fault::PageFault;
use super::page::{self, Page};
use super::schema_words::{Field, Words};
use crate::app::VERSION;
use crate::docs::{Surface, markdown, pages};
use crate::problem::Problem;

/// The way in: the surfaces and the pages.
#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    version: &'static str,
    surfaces: Vec<SurfaceLink>,
    pages: &'static [pages::DocPage],
}

struct SurfaceLink {
    name: &'static str,
    title: String,
    about: String,
}

/// One surface.
#[derive(Template)]
#[template(path = "reference.html")]
struct ReferencePage {
    version: &'static str,
    name: &'static str,
    title: String,
    about: String,
    groups: Vec<Group>,
    schemas: Vec<Named>,
}

struct Group {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    is_open: bool,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    answers: Vec<Answer>,
    command: String,
}

struct Parameter {
    name: String,
    place: String,
    is_required: bool,
    words: Words,
    description: String,
}

struct Body {
    media: String,
    words: Words,
    fields: Vec<Field>,
    example: Option<String>,
}

struct Answer {
    status: String,
    description: String,
    media: String,
    words: Option<Words>,
}

/// A schema with a name.
struct Named {
    name: String,
    description: String,
    words: Words,
    fields: Vec<Field>,
}

trait Styled {
    /// The address of an asset.
    fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

impl Styled for DocsPage {}
impl Styled for ReferencePage {}

pub(super) async fn show(headers: HeaderMap) -> Page {
    let link = |surface: Surface| {
        let info = &surface.document()["info"];
        SurfaceLink { name: surface.as_str(), title: text(&info["title"]), about: text(&info["description"]) }
    };
    let surfaces = Surface::ALL.map(link).into();
    page::render(&headers, &DocsPage { version: VERSION, surfaces, pages: pages::PAGES })
}

/// `studio` is the reference of a surface, `studio.md` the same in Markdown, `errors.md` a page.
pub(super) async fn show_one(Path(name): Path<String>, headers: HeaderMap) -> Page {
    if let Some(surface) = Surface::parse(&name) {
        return page::render(&headers, &ReferencePage::new(surface));
    }
    let name = name.strip_suffix(".md").ok_or_else(unknown)?;
    match (pages::find(name), Surface::parse(name)) {
        (Some(page), _) => Ok(as_markdown(page.text.to_owned())),
        (None, Some(surface)) => Ok(as_markdown(markdown::reference(surface))),
        (None, None) => Err(unknown()),
    }
}

fn unknown() -> PageFault {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such page; `/docs` lists them all").into()
}

fn as_markdown(text: String) -> Response {
    let headers = [(CONTENT_TYPE, "text/markdown; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, text).into_response()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl ReferencePage {
    fn new(surface: Surface) -> Self {
        let document = surface.document();
        let mut groups: Vec<Group> = Vec::new();
        for (path, methods) in entries(&document["paths"]) {
            for (method, operation) in entries(methods) {
                let tag = text(&operation["tags"][0]);
                let shown = Operation::new(path, method, operation, document);
                match groups.iter_mut().find(|group| group.name == tag) {
                    Some(group) => group.operations.push(shown),
                    None => groups.push(Group { name: tag, operations: vec![shown] }),
                }
            }
        }
        Self {
            version: VERSION,
            name: surface.as_str(),
            title: text(&document["info"]["title"]),
            about: text(&document["info"]["description"]),
            groups,
            schemas: entries(&document["components"]["schemas"]).map(Named::new).collect(),
        }
    }
}

impl Operation {
    fn new(path: &str, method: &str, operation: &Value, document: &Value) -> Self {
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            description: text(&operation["description"]),
            is_open: operation["security"].as_array().is_some_and(Vec::is_empty),
            parameters: items(&operation["parameters"]).map(Parameter::new).collect(),
            body: operation["requestBody"]["content"].as_object().and_then(Body::new),
            answers: entries(&operation["responses"])
                .map(|(status, answer)| Answer::new(status, answer, document))
                .collect(),
            command: text(&operation["x-codeSamples"][0]["source"]),
        }
    }
}

impl Parameter {
    fn new(parameter: &Value) -> Self {
        Self {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            is_required: parameter["required"] == true,
            words: Words::of(&parameter["schema"]),
            description: text(&parameter["description"]),
        }
    }
}

impl Body {
    fn new(content: &Map<String, Value>) -> Option<Self> {
        let (media, content) = content.iter().next()?;
        let example = content.get("example").map(|example| format!("{example:#}"));
        let schema = &content["schema"];
        Some(Self { media: media.clone(), words: Words::of(schema), fields: Field::all_of(schema), example })
    }
}

impl Answer {
    fn new(status: &str, answer: &Value, document: &Value) -> Self {
        let shared =
            answer["$ref"].as_str().and_then(|target| document.pointer(target.trim_start_matches('#')));
        let answer = shared.unwrap_or(answer);
        let content = entries(&answer["content"]).next();
        Self {
            status: status.to_owned(),
            description: text(&answer["description"]),
            media: content.map(|(media, _)| media.clone()).unwrap_or_default(),
            words: content.map(|(_, content)| Words::of(&content["schema"])),
        }
    }
}

impl Named {
    fn new((name, schema): (&String, &Value)) -> Self {
        Self {
            name: name.clone(),
            description: text(&schema["description"]),
            words: Words::of(schema),
            fields: Field::all_of(schema),
        }
    }
}
