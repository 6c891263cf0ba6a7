//! What an image was made with, in the contract's form.

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::domain::Dependency;
use lorakeep_registry::{CivitaiMatch, Detected, ImageGeneration, MapStatus, MappedEntry, Resource};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::civitai::upstream_refusal;
use super::extract::PathId;
use crate::app::AppState;
use crate::envelope::Refusal;

/// What an image was made with.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ImageGeneration")]
pub(super) struct GenerationView {
    /// The answer of CivitAI as it came.
    raw: Value,
    resources: Vec<ResourceView>,
    /// What the prompt and the metadata name beside them.
    detected_deps: Vec<DependencyView>,
    /// The prompt without its tags for networks.
    clean_prompt: String,
    meta: Value,
    #[serde(rename = "type")]
    kind: String,
    process: Option<String>,
    techniques: Vec<Value>,
    tools: Vec<Value>,
    detected_type: &'static str,
    warnings: Vec<String>,
}

/// CivitAI's record of a resource, with `catalog_status` and, when an entry is there, `catalog_file`, `catalog_dest` and
/// `catalog_name`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct ResourceView(Map<String, Value>);

/// `name`, `type`, `weight`, `hash`, `source`, what CivitAI knows of it, and `catalog_status`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct DependencyView(Map<String, Value>);

pub(super) async fn show(
    State(app): AppState,
    PathId(image_id): PathId,
) -> Result<JsonBody<GenerationView>, Refusal> {
    let generation = app.registry().image_generation(image_id).await.map_err(upstream_refusal)?;
    Ok(JsonBody(generation.into()))
}

impl From<ImageGeneration> for GenerationView {
    fn from(generation: ImageGeneration) -> Self {
        Self {
            resources: generation.resources.into_iter().map(resource).collect(),
            detected_deps: generation.detected.iter().map(detected).collect(),
            raw: generation.raw,
            clean_prompt: generation.clean_prompt,
            meta: generation.meta,
            kind: generation.kind,
            process: generation.process,
            techniques: generation.techniques,
            tools: generation.tools,
            detected_type: generation.detected_type,
            warnings: generation.warnings,
        }
    }
}

/// The record as CivitAI gave it, and where it stands here.
fn resource(resource: Resource) -> ResourceView {
    let mut map = resource.record;
    map.insert("catalog_status".into(), catalog_status(resource.entry.as_ref()).into());
    if let Some(MappedEntry { entry, .. }) = &resource.entry {
        map.insert("catalog_file".into(), entry.file().into());
        map.insert("catalog_dest".into(), entry.dest().into());
        map.insert("catalog_name".into(), entry.document.name().into());
    }
    ResourceView(map)
}

fn detected(detected: &Detected) -> DependencyView {
    let mut map = dependency(&detected.dependency);
    if let Some(found) = &detected.civitai {
        map.extend(civitai_fields(found));
    }
    map.insert("catalog_status".into(), catalog_status(detected.entry.as_ref()).into());
    if let Some(MappedEntry { entry, .. }) = &detected.entry {
        map.insert("catalog_file".into(), entry.file().into());
        map.insert("catalog_dest".into(), entry.dest().into());
    }
    DependencyView(map)
}

fn dependency(dependency: &Dependency) -> Map<String, Value> {
    let fields = [
        ("name", Some(Value::from(dependency.name.as_str()))),
        ("type", dependency.kind.as_deref().map(Value::from)),
        ("weight", dependency.weight.map(Value::from)),
        ("hash", dependency.hash.as_deref().map(Value::from)),
        ("source", Some(dependency.source.as_str().into())),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect()
}

fn civitai_fields(found: &CivitaiMatch) -> Map<String, Value> {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let fields = [
        ("civitai_model_id", found.model_id.map_or(Value::Null, Value::from)),
        ("civitai_version_id", found.version_id.map_or(Value::Null, Value::from)),
        ("civitai_model_name", text(&found.model_name)),
        ("civitai_version_name", text(&found.version_name)),
        ("civitai_base_model", text(&found.base_model)),
        ("civitai_type", text(&found.kind)),
        ("civitai_file", text(&found.file)),
        ("civitai_download_url", text(&found.download_url)),
    ];
    fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

/// `present`, `missing` or `not_found` (decision 5): only the disk counts.
pub(super) fn catalog_status(entry: Option<&MappedEntry>) -> &'static str {
    match entry {
        Some(mapped) if mapped.file.is_some() => MapStatus::Present.as_str(),
        Some(_) => MapStatus::Missing.as_str(),
        None => "not_found",
    }
}
