//! Deleting to the bin, and the way back or out of it.

use axum::Json as JsonBody;
use axum::extract::State;
use serde::Deserialize;

use super::access::Deleter;
use super::views::{DeletedView, PurgedView, RestoredView};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::extract::Json;

/// Which file, as the upload answered it.
#[derive(Debug, Deserialize)]
pub(super) struct PathBody {
    partial_path: String,
}

pub(super) async fn delete(
    State(app): AppState,
    _deleter: Deleter,
    Json(body): Json<PathBody>,
) -> Result<JsonBody<DeletedView>, Refusal> {
    Ok(JsonBody(app.registry().delete_lora(&body.partial_path).await?.into()))
}

pub(super) async fn restore(
    State(app): AppState,
    _deleter: Deleter,
    Json(body): Json<PathBody>,
) -> Result<JsonBody<RestoredView>, Refusal> {
    let item = app.registry().restore_lora(&body.partial_path).await?;
    Ok(JsonBody(RestoredView::new(&item, app.registry())))
}

pub(super) async fn purge(
    State(app): AppState,
    _deleter: Deleter,
    Json(body): Json<PathBody>,
) -> Result<JsonBody<PurgedView>, Refusal> {
    Ok(JsonBody(app.registry().purge_lora(&body.partial_path).await?.into()))
}
