//! What a picture on CivitAI was made with, what of it is here, and a button for the rest.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::{Detected, ImageGeneration, MappedEntry, Resource};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;
use crate::extract::Query;

#[derive(Template)]
#[template(path = "generation.html")]
struct GenerationPage {
    frame: Frame,
    asked: String,
    fault: Option<String>,
    found: Option<Found>,
}

/// What was found, as the page shows it.
struct Found {
    image_id: u64,
    prompt: String,
    negative: String,
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    warnings: Vec<String>,
    raw: String,
    missing: Vec<String>,
}

/// One thing that the picture was made with.
struct Row {
    name: String,
    kind: String,
    strength: String,
    status: &'static str,
    file: Option<String>,
    version_id: Option<u64>,
}

/// The picture asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    image: String,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap, Query(asked): Query<Asked>) -> Page {
    let mut template =
        GenerationPage { frame: Frame::new("/generation"), asked: asked.image, fault: None, found: None };
    if template.asked.trim().is_empty() {
        return page::render(&headers, &template);
    }
    match image_id_of(&template.asked) {
        None => template.fault = Some("this is neither the number of an image nor a link to one".to_owned()),
        Some(image_id) => match app.registry().image_generation(image_id).await {
            Ok(generation) => template.found = Some(Found::new(image_id, &generation)),
            Err(error) => template.fault = Some(error.to_string()),
        },
    }
    page::render(&headers, &template)
}

/// The number itself, or the one in a link such as `https://civitai.com/images/123?x=y`.
fn image_id_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = text.rsplit_once("/images/").map_or(text, |(_, rest)| rest);
    let digits = number.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
    (digits.len() == number.len() || text.contains("/images/")).then(|| digits.parse().ok()).flatten()
}

impl Found {
    fn new(image_id: u64, generation: &ImageGeneration) -> Self {
        let rows: Vec<Row> = generation
            .resources
            .iter()
            .map(Row::of_resource)
            .chain(generation.detected.iter().map(Row::of_detected))
            .collect();
        let missing =
            rows.iter().filter(|row| row.status == "missing").filter_map(|row| row.file.clone()).collect();
        Self {
            image_id,
            prompt: generation.clean_prompt.clone(),
            negative: text(&generation.meta, "negativePrompt").unwrap_or_default(),
            facts: facts(&generation.meta),
            rows,
            warnings: generation.warnings.clone(),
            raw: serde_json::to_string_pretty(&generation.raw).unwrap_or_default(),
            missing,
        }
    }
}

impl Found {
    /// The body that asks for all that is missing.
    fn missing_body(&self) -> String {
        serde_json::json!({ "filenames": self.missing }).to_string()
    }
}

impl Row {
    fn of_resource(resource: &Resource) -> Self {
        let record = &resource.record;
        let name = [text_of(record, "modelName"), text_of(record, "versionName")];
        Self {
            name: name.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            kind: text_of(record, "modelType").unwrap_or_default(),
            strength: record
                .get("strength")
                .and_then(Value::as_f64)
                .map(|value| value.to_string())
                .unwrap_or_default(),
            version_id: ["versionId", "modelVersionId"].iter().find_map(|field| record.get(*field)?.as_u64()),
            ..Self::placed(resource.entry.as_ref())
        }
    }

    fn of_detected(detected: &Detected) -> Self {
        let dependency = &detected.dependency;
        Self {
            name: dependency.name.clone(),
            kind: dependency.kind.clone().unwrap_or_default(),
            strength: dependency.weight.map(|weight| weight.to_string()).unwrap_or_default(),
            version_id: detected.civitai.as_ref().and_then(|found| found.version_id),
            ..Self::placed(detected.entry.as_ref())
        }
    }

    /// What is known of its place here, when a catalog has it.
    fn placed(entry: Option<&MappedEntry>) -> Self {
        Self {
            name: String::new(),
            kind: String::new(),
            strength: String::new(),
            status: entry.map_or("not_found", |entry| entry.status.as_str()),
            file: entry.map(|entry| entry.entry.path.file.as_str().to_owned()),
            version_id: None,
        }
    }
}

/// What people set when they make a picture, in the order of a form.
fn facts(meta: &Value) -> Vec<(&'static str, String)> {
    const SHOWN: [(&str, &str); 8] = [
        ("Model", "Model"),
        ("Steps", "steps"),
        ("Sampler", "sampler"),
        ("Scheduler", "scheduler"),
        ("CFG scale", "cfgScale"),
        ("Seed", "seed"),
        ("Size", "Size"),
        ("Clip skip", "clipSkip"),
    ];
    SHOWN.into_iter().filter_map(|(name, field)| Some((name, text(meta, field)?))).collect()
}

fn text(meta: &Value, field: &str) -> Option<String> {
    meta.as_object().and_then(|fields| text_of(fields, field))
}

/// A text or a number, as text.
fn text_of(fields: &Map<String, Value>, field: &str) -> Option<String> {
    match fields.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_its_number_or_a_link() {
        for text in
            ["123", " 123 ", "https://civitai.com/images/123", "https://civitai.com/images/123?period=Day"]
        {
            assert_eq!(image_id_of(text), Some(123), "{text}");
        }
        for text in ["", "12a", "https://civitai.com/models/123", "https://civitai.com/images/"] {
            assert_eq!(image_id_of(text), None, "{text}");
        }
    }
}
