//! CivitAI: which versions are here, adding one, making a LoRA a style.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::{AddVersion, Added, Error, Promoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{self, PathId, Query};
use super::{civitai_image, civitai_map};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Extra, Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/civitai-map", get(civitai_map::show))
        .route("/api/admin/civitai/image/{image_id}", get(civitai_image::show))
        .route("/api/admin/civitai/add/{version_id}", post(add))
        .route("/api/admin/loras/reclassify", post(reclassify))
        .route("/api/admin/civitai/promote-to-lora/{version_id}", post(promote))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "CivitAI",
        [
            Operation::get("/api/admin/models/civitai-map", "Which versions and models of CivitAI are here")
                .json::<civitai_map::MapView<'_>>()
                .empty(304, "Nothing changed")
                .takes(Extra::header("If-None-Match", "The `ETag` of the answer that the client has")),
            Operation::get("/api/admin/civitai/image/{image_id}", "What an image was made with")
                .json::<civitai_image::GenerationView>()
                .refuses([502, 503]),
            Operation::post("/api/admin/civitai/add/{version_id}", "Adds a file of a version to the catalog")
                .query::<AddQuery>()
                .json::<AddedVersionView>()
                .refuses([409, 502, 503]),
            Operation::post(
                "/api/admin/loras/reclassify",
                "Sorts styles into the categories of their base models again",
            )
            .json::<ReclassifiedView>(),
            Operation::post(
                "/api/admin/civitai/promote-to-lora/{version_id}",
                "Makes a LoRA of the models a style",
            )
            .json::<PromotedView>()
            .refuses([409]),
        ],
    )
}

/// Which file of the version, and whether early access matters.
#[derive(Debug, Deserialize, JsonSchema)]
struct AddQuery {
    file_id: Option<u64>,
    #[serde(default, deserialize_with = "extract::flag")]
    early_access: bool,
}

async fn add(
    State(app): AppState,
    PathId(version_id): PathId,
    Query(query): Query<AddQuery>,
) -> Result<JsonBody<AddedVersionView>, Refusal> {
    let wanted = AddVersion { version_id, file_id: query.file_id, early_access: query.early_access };
    let added = app.registry().add_version(wanted).await.map_err(upstream_refusal)?;
    Ok(JsonBody(added.into()))
}

async fn promote(
    State(app): AppState,
    PathId(version_id): PathId,
) -> Result<JsonBody<PromotedView>, Refusal> {
    Ok(JsonBody(app.registry().promote_version(version_id).await?.into()))
}

#[derive(Serialize, JsonSchema)]
struct ReclassifiedView {
    status: &'static str,
    /// Styles in each category.
    categories: BTreeMap<String, u64>,
}

async fn reclassify(State(app): AppState) -> Result<JsonBody<ReclassifiedView>, Refusal> {
    let categories = app.registry().reclassify_styles().await?;
    Ok(JsonBody(ReclassifiedView { status: "reclassified", categories }))
}

/// In the words that clients know, followed by what happened and what to do. What is gone upstream is 404; any other
/// refusal of an upstream is 502, so that it never looks like one of ours.
pub(super) fn upstream_refusal(error: Error) -> Refusal {
    let Error::Upstream { code, status, message } = error else { return error.into() };
    match status {
        Some(status @ (404 | 410)) => {
            Refusal::new(StatusCode::NOT_FOUND, code, format!("CivitAI API returned {status}: {message}"))
        }
        Some(status @ 300..) => {
            Refusal::new(StatusCode::BAD_GATEWAY, code, format!("CivitAI API returned {status}: {message}"))
        }
        None if code == "unreachable" => {
            Refusal::new(StatusCode::BAD_GATEWAY, code, format!("Failed to reach CivitAI: {message}"))
        }
        _ => Refusal::new(StatusCode::BAD_GATEWAY, code, message),
    }
}

/// The contract's answers, each with its own fields.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
enum AddedVersionView {
    Added { file: String, name: String, category: String, dest: String },
    AlreadyExists { file: String },
    Restricted { reason: String },
}

impl From<Added> for AddedVersionView {
    fn from(added: Added) -> Self {
        match added {
            Added::New(state) => Self::Added {
                file: state.entry.file().to_owned(),
                name: state.entry.document.name().to_owned(),
                category: state.entry.category.clone(),
                dest: state.entry.dest().to_owned(),
            },
            Added::AlreadyExists(state) => Self::AlreadyExists { file: state.entry.file().to_owned() },
            Added::Restricted { reason } => Self::Restricted { reason },
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
enum PromotedView {
    Promoted { file: String, category: String },
    AlreadyExists,
}

impl From<Promoted> for PromotedView {
    fn from(promoted: Promoted) -> Self {
        match promoted {
            Promoted::Promoted(entry) => {
                Self::Promoted { file: entry.file().to_owned(), category: entry.category.clone() }
            }
            Promoted::AlreadyExists => Self::AlreadyExists,
        }
    }
}
