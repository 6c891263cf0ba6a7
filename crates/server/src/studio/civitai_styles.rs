//! Styles from CivitAI: looking a model up, adding versions of it, pictures of it, names that are missing.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::{HeaderMap, StatusCode};
use lorakeep_registry::{AddStyles, Error, StylesAdded, WantedVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::extract::{Json, TwoParts};
use super::views::CardView;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::media;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/loras/lookup-civitai", post(look_up))
        .route("/api/admin/loras/add-civitai", post(add))
        .route("/api/admin/loras/backfill-names", post(fill_names))
        .route("/api/admin/loras/images/{model_id}/previews/{filename}", get(send_preview))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Styles",
        [
            Operation::post("/api/admin/loras/lookup-civitai", "Looks a model up at CivitAI")
                .body::<LookUpBody>(json!({"url": "https://civitai.com/models/$MODEL_ID"}))
                .json::<CardView>()
                .refuses([404, 502, 503]),
            Operation::post("/api/admin/loras/add-civitai", "Adds versions of a model as styles")
                .body::<AddBody>(json!({"model_id": "$MODEL_ID", "versions": ["$VERSION_ID"]}))
                .json::<AddedView>()
                .refuses([404, 409, 502, 503]),
            Operation::post(
                "/api/admin/loras/backfill-names",
                "Fills in names of models where styles lack them",
            )
            .json::<NamesFilledView>()
            .refuses([404, 502]),
            Operation::get(
                "/api/admin/loras/images/{model_id}/previews/{filename}",
                "A preview picture of a style",
            )
            .by_range("image/*"),
        ],
    )
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LookUpBody {
    url: String,
}

async fn look_up(State(app): AppState, Json(body): Json<LookUpBody>) -> Result<JsonBody<CardView>, Refusal> {
    let card = app.registry().model_card(&body.url).await.map_err(refusal)?;
    Ok(JsonBody(card.into()))
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

/// A card as it was looked up, with the versions that were chosen; names and pictures are taken from CivitAI again.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AddStylesBody")]
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
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
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
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AddedStyles")]
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

/// Names that were missing.
#[derive(Debug, Serialize, JsonSchema)]
struct NamesFilledView {
    status: &'static str,
    filled: u64,
    model_ids_checked: u64,
}

async fn fill_names(State(app): AppState) -> Result<JsonBody<NamesFilledView>, Refusal> {
    let filled = app.registry().fill_model_names().await.map_err(refusal)?;
    let (filled, model_ids_checked) = (filled.filled, filled.model_ids_checked);
    Ok(JsonBody(NamesFilledView { status: "ok", filled, model_ids_checked }))
}

async fn send_preview(
    State(app): AppState,
    TwoParts(model_id, name): TwoParts,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    media::send(app.registry().preview_file(model_id, &name)?, &headers).await
}
