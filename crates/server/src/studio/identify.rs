//! Looking files up at CivitAI by their hash: start, look, cancel.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::OptionalJson;
use super::views::LookupView;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

/// Which files; those that name no source when none is named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentifyBody {
    #[serde(default)]
    paths: Vec<String>,
    /// Whether what is found goes into the entries.
    #[serde(default)]
    apply: bool,
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Files",
        [
            Operation::post(
                "/api/admin/identify",
                "Looks files up at CivitAI by their hash, in the background",
            )
            .optional_body::<IdentifyBody>(json!({"apply": true}))
            .answers::<LookupView>(202, "It has begun")
            .refuses([404, 409]),
            Operation::get("/api/admin/identify", "How the lookup stands")
                .json::<LookupView>()
                .refuses([404]),
            Operation::delete("/api/admin/identify", "Ends the lookup").json::<LookupView>().refuses([404]),
        ],
    )
}

pub(super) async fn start(
    State(app): AppState,
    OptionalJson(body): OptionalJson<IdentifyBody>,
) -> Result<(StatusCode, JsonBody<LookupView>), Refusal> {
    let report = app.registry().start_file_lookup(&body.paths, body.apply)?;
    Ok((StatusCode::ACCEPTED, JsonBody(report.into())))
}

pub(super) async fn show(State(app): AppState) -> Result<JsonBody<LookupView>, Refusal> {
    Ok(JsonBody(app.registry().file_lookup()?.into()))
}

pub(super) async fn cancel(State(app): AppState) -> Result<JsonBody<LookupView>, Refusal> {
    Ok(JsonBody(app.registry().cancel_file_lookup().await?.into()))
}
