//! Deleting to the bin, and the way back or out of it.

use axum::Json as JsonBody;
use axum::extract::{Extension, State};
use lorakeep_registry::domain::{Caller, Right};
use serde::Deserialize;

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
    Extension(caller): Extension<Caller>,
    Json(body): Json<PathBody>,
) -> Result<JsonBody<DeletedView>, Refusal> {
    caller.require(Right::Delete)?;
    Ok(JsonBody(app.registry().delete_lora(&body.partial_path).await?.into()))
}

pub(super) async fn restore(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Json(body): Json<PathBody>,
) -> Result<JsonBody<RestoredView>, Refusal> {
    caller.require(Right::Delete)?;
    let item = app.registry().restore_lora(&body.partial_path).await?;
    Ok(JsonBody(RestoredView::new(&item, app.registry())))
}

pub(super) async fn purge(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Json(body): Json<PathBody>,
) -> Result<JsonBody<PurgedView>, Refusal> {
    caller.require(Right::Delete)?;
    Ok(JsonBody(app.registry().purge_lora(&body.partial_path).await?.into()))
}
