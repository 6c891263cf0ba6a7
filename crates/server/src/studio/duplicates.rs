//! The same content more than once: the report, and copies to the bin.

use axum::Json as JsonBody;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Json;
use super::views::{BinItemView, DuplicatesView};
use crate::app::AppState;
use crate::envelope::Refusal;

/// One copy, by its path below the models root.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyBody {
    path: String,
}

pub(super) async fn list(State(app): AppState) -> Result<JsonBody<DuplicatesView>, Refusal> {
    Ok(JsonBody(app.registry().duplicates().await?.into()))
}

pub(super) async fn bin(
    State(app): AppState,
    Json(body): Json<CopyBody>,
) -> Result<JsonBody<BinItemView>, Refusal> {
    Ok(JsonBody(app.registry().bin_duplicate(&body.path).await?.into()))
}
