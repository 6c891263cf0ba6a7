//! Styles from CivitAI: looking a model up, adding versions of it, pictures of it, names that are missing.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::{HeaderMap, StatusCode};
use lorakeep_registry::domain::plain_text;
use lorakeep_registry::{
    AddStyles, CardFile, CardPreview, CardVersion, Error, ModelCard, StylesAdded, WantedVersion,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::civitai_image::catalog_status;
use super::extract::{Json, TwoParts};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::media;

/// Characters of a description on a card.
const DESCRIPTION: usize = 4000;
/// Units of 1e9 bytes, three decimals.
fn gigabytes(bytes: u64) -> f64 {
    (bytes as f64 / 1e6).round() / 1e3
}

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/loras/lookup-civitai", post(look_up))
        .route("/api/admin/loras/add-civitai", post(add))
        .route("/api/admin/loras/backfill-names", post(fill_names))
        .route("/api/admin/loras/images/{model_id}/previews/{filename}", get(send_preview))
}

#[derive(Debug, Deserialize)]
struct LookUpBody {
    url: String,
}

async fn look_up(State(app): AppState, Json(body): Json<LookUpBody>) -> Result<JsonBody<Value>, Refusal> {
    let card = app.registry().model_card(&body.url).await.map_err(refusal)?;
    Ok(JsonBody(card_view(&card)))
}

/// The contract's words for what CivitAI does not know and for a CivitAI that does not answer.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::Upstream { code, status: Some(404 | 410), .. } => {
            Refusal::new(StatusCode::NOT_FOUND, code, "Model not found on CivitAI")
        }
        Error::Upstream { code: "unreachable", .. } => {
            Refusal::new(StatusCode::BAD_GATEWAY, "unreachable", "Could not reach CivitAI")
        }
        other => other.into(),
    }
}

fn card_view(card: &ModelCard) -> Value {
    let description = card.description.as_deref().unwrap_or_default();
    json!({
        "model_id": card.model_id,
        "name": card.name,
        "author": card.author,
        // Text alone: pages build HTML of it.
        "description": plain_text(description, DESCRIPTION),
        "type": card.kind,
        "tags": card.tags,
        "nsfw": card.is_nsfw,
        "stats": {"downloads": card.downloads, "thumbs_up": card.thumbs_up, "rating": card.rating},
        "versions": card.versions.iter().map(version_view).collect::<Vec<Value>>(),
        "preview_images": card.previews.iter().map(preview_view).collect::<Vec<Value>>(),
        "selected_version_id": card.selected_version_id,
    })
}

fn version_view(version: &CardVersion) -> Value {
    let main = version.files.iter().find(|file| file.is_primary).or_else(|| version.files.first());
    json!({
        "id": version.id,
        "name": version.name,
        "base_model": version.base_model,
        "published_at": version.published_at,
        "trained_words": version.trained_words,
        "downloads": version.downloads,
        "file": main.and_then(|file| file.name.as_deref()),
        "size_gb": main.and_then(|file| file.size_bytes).map_or(0.0, gigabytes),
        "files": version.files.iter().map(file_view).collect::<Vec<Value>>(),
        "restricted": version.restriction,
        "catalog_status": catalog_status(version.entry.as_ref()),
        "catalog_file": version.entry.as_ref().map(|mapped| mapped.entry.file()),
        "catalog": version.entry.as_ref().map(|mapped| mapped.entry.catalog.as_str()),
    })
}

fn file_view(file: &CardFile) -> Value {
    json!({
        "id": file.id,
        "name": file.name,
        "type": file.kind,
        "size_bytes": file.size_bytes,
        "format": file.format,
        "fp": file.precision,
        "sha256": file.sha256,
        "primary": file.is_primary,
        "usable": file.is_usable,
    })
}

fn preview_view(preview: &CardPreview) -> Value {
    json!({
        "url": preview.url,
        "type": preview.kind,
        "width": preview.width,
        "height": preview.height,
        "nsfw_level": preview.level,
    })
}

/// A card as it was looked up, with the versions that were chosen; names and pictures are taken from CivitAI again.
#[derive(Debug, Deserialize)]
struct AddBody {
    model_id: IdBody,
    author: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    rating: Option<f64>,
    downloads: Option<u64>,
    versions: Vec<VersionBody>,
}

/// An id as number or text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
struct IdBody(u64);

impl TryFrom<Value> for IdBody {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let id = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        id.map(Self).ok_or("expected u64")
    }
}

/// A version by its id alone, or as the card has it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
struct VersionBody {
    version_id: u64,
    file_id: Option<u64>,
}

impl TryFrom<Value> for VersionBody {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let Value::Object(fields) = &value else {
            return Ok(Self { version_id: IdBody::try_from(value)?.0, file_id: None });
        };
        let id = |names: &[&str]| {
            let value = names.iter().find_map(|name| fields.get(*name));
            value.cloned().filter(|value| !value.is_null()).map(IdBody::try_from).transpose()
        };
        let version_id = id(&["id", "version_id", "versionId"])?.ok_or("expected u64")?.0;
        Ok(Self { version_id, file_id: id(&["file_id", "fileId"])?.map(|id| id.0) })
    }
}

/// The contract's two lists, and why each of the second is in it.
#[derive(Debug, Serialize)]
struct AddedView {
    added: Vec<String>,
    skipped: Vec<String>,
    reasons: Map<String, Value>,
}

impl From<StylesAdded> for AddedView {
    fn from(outcome: StylesAdded) -> Self {
        let skipped = outcome.skipped.iter().map(|skipped| skipped.name.clone()).collect();
        let reasons = outcome.skipped.into_iter().map(|skipped| (skipped.name, skipped.reason.into()));
        Self { added: outcome.added, skipped, reasons: reasons.collect() }
    }
}

async fn add(State(app): AppState, Json(body): Json<AddBody>) -> Result<JsonBody<AddedView>, Refusal> {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let version = |body: VersionBody| WantedVersion { version_id: body.version_id, file_id: body.file_id };
    let wanted = AddStyles {
        model_id: body.model_id.0,
        versions: body.versions.into_iter().map(version).collect(),
        author: some(body.author),
        description: some(body.description),
        tags: body.tags,
        rating: body.rating,
        downloads: body.downloads,
    };
    Ok(JsonBody(app.registry().add_styles(wanted).await.map_err(refusal)?.into()))
}

async fn fill_names(State(app): AppState) -> Result<JsonBody<Value>, Refusal> {
    let filled = app.registry().fill_model_names().await.map_err(refusal)?;
    Ok(JsonBody(json!({
        "status": "ok", "filled": filled.filled, "model_ids_checked": filled.model_ids_checked,
    })))
}

async fn send_preview(
    State(app): AppState,
    TwoParts(model_id, name): TwoParts,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    media::send(app.registry().preview_file(model_id, &name)?, &headers).await
}
