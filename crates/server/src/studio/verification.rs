//! Re-hashing files: start, look, cancel.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::extract::OptionalJson;
use super::views::VerificationView;
use crate::app::AppState;
use crate::envelope::Refusal;

/// Whose files are hashed; all present ones when none is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    #[serde(default)]
    filenames: Vec<String>,
}

pub(super) async fn start(
    State(app): AppState,
    OptionalJson(body): OptionalJson<VerifyBody>,
) -> Result<(StatusCode, JsonBody<VerificationView>), Refusal> {
    let report = app.registry().start_verification(&body.filenames).await?;
    Ok((StatusCode::ACCEPTED, JsonBody(report.into())))
}

pub(super) async fn show(State(app): AppState) -> Result<JsonBody<VerificationView>, Refusal> {
    Ok(JsonBody(app.registry().verification()?.into()))
}

pub(super) async fn cancel(State(app): AppState) -> Result<JsonBody<VerificationView>, Refusal> {
    Ok(JsonBody(app.registry().cancel_verification().await?.into()))
}
