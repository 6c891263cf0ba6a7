//! The same content more than once: the report, and copies to the bin.

use axum::Json as JsonBody;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::Json;
use super::views::{BinItemView, DuplicatesView};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

/// One copy, by its path below the models root.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyBody {
    path: String,
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Files",
        [
            Operation::get("/api/admin/duplicates", "The same content more than once")
                .json::<DuplicatesView>(),
            Operation::post("/api/admin/duplicates/bin", "Moves a copy to the bin; the last one stays")
                .body::<CopyBody>(json!({"path": "$COPY"}))
                .json::<BinItemView>()
                .refuses([404, 409, 503]),
        ],
    )
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
