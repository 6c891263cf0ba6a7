//! Deleting to the bin, and the way back or out of it.

use axum::Json as JsonBody;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::access::Deleter;
use super::views::{DeletedView, PurgedView, RestoredView};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::extract::Json;
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    let example = || json!({"partial_path": "$PARTIAL_PATH"});
    tagged(
        "LoRAs",
        [
            Operation::delete("/api/v1/admin/lora", "Moves a LoRA to the bin, an upload's entry with it")
                .body::<PathBody>(example())
                .json::<DeletedView>()
                .refuses([404, 409, 503, 507]),
            Operation::post("/api/v1/admin/lora/restore", "Brings the newest deleted file of that path back")
                .body::<PathBody>(example())
                .json::<RestoredView>()
                .refuses([404, 409, 503]),
            Operation::post("/api/v1/admin/lora/purge", "Frees it for good")
                .body::<PathBody>(example())
                .json::<PurgedView>()
                .refuses([404, 409, 503]),
        ],
    )
}

/// Which file, as the upload answered it.
#[derive(Debug, Deserialize, JsonSchema)]
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
