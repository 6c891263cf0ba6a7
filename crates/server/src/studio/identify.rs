//! Looking files up at CivitAI by their hash: start, look, cancel.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::extract::OptionalJson;
use super::views::LookupView;
use crate::app::AppState;
use crate::envelope::Refusal;

/// Which files; those that name no source when none is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentifyBody {
    #[serde(default)]
    paths: Vec<String>,
    /// Whether what is found goes into the entries.
    #[serde(default)]
    apply: bool,
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
