//! Re-hashing files: start, look, cancel.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::OptionalJson;
use super::views::VerificationView;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

/// Whose files are hashed; all present ones when none is named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    #[serde(default)]
    filenames: Vec<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Files",
        [
            Operation::post("/api/admin/verify", "Hashes files again, in the background")
                .optional_body::<VerifyBody>(json!({"filenames": ["$FILENAME"]}))
                .answers::<VerificationView>(202, "It has begun")
                .refuses([404, 409]),
            Operation::get("/api/admin/verify", "How the hashing stands")
                .json::<VerificationView>()
                .refuses([404]),
            Operation::delete("/api/admin/verify", "Ends the hashing")
                .json::<VerificationView>()
                .refuses([404]),
        ],
    )
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
