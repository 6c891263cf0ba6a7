//! Fetching metadata, how it goes, and the log of it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use lorakeep_registry::{ActivityLine, FetchScope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::extract::{self, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/fetch-metadata", post(fetch))
        .route("/api/admin/models/metadata-status", get(status))
        .route("/api/admin/activity-log", get(log))
        .route("/api/admin/activity-log/clear", post(clear))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Metadata",
        [
            Operation::post(
                "/api/admin/models/fetch-metadata",
                "Fetches metadata of entries in the background",
            )
            .query::<FetchQuery>()
            .json::<QueuedView>(),
            Operation::get("/api/admin/models/metadata-status", "How each fetch stands, by file name")
                .json::<BTreeMap<String, MetadataStatusView>>(),
            Operation::get("/api/admin/activity-log", "The last 1,000 lines, oldest first")
                .json::<Vec<LineView>>(),
            Operation::post("/api/admin/activity-log/clear", "Empties the log").json::<ClearedView>(),
        ],
    )
}

/// Which entries are fetched for.
#[derive(Debug, Deserialize, JsonSchema)]
struct FetchQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    all: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MetadataQueued")]
struct QueuedView {
    queued: usize,
    files: Vec<String>,
}

async fn fetch(
    State(app): AppState,
    Query(query): Query<FetchQuery>,
) -> Result<JsonBody<QueuedView>, Refusal> {
    let scope = if query.all { FetchScope::All } else { FetchScope::Known };
    let files = app.registry().fetch_metadata(scope).await?;
    Ok(JsonBody(QueuedView { queued: files.len(), files }))
}

/// By file name, in the order in which they were queued.
#[derive(Debug, Serialize, JsonSchema)]
struct MetadataStatusView {
    /// `queued_metadata`, `fetching_metadata`, `done` or `error`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn status(State(app): AppState) -> JsonBody<Map<String, Value>> {
    let states = app.registry().metadata_status().into_iter();
    let views = states.map(|state| {
        let view = MetadataStatusView { status: state.word.as_str(), error: state.error };
        (state.file, json!(view))
    });
    JsonBody(views.collect())
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivityLine")]
struct LineView {
    time: String,
    message: String,
    level: String,
}

impl From<ActivityLine> for LineView {
    fn from(line: ActivityLine) -> Self {
        Self { time: line.time, message: line.message, level: line.level }
    }
}

async fn log(State(app): AppState) -> JsonBody<Vec<LineView>> {
    JsonBody(app.registry().activity().into_iter().map(LineView::from).collect())
}

#[derive(Debug, Serialize, JsonSchema)]
struct ClearedView {
    status: &'static str,
}

async fn clear(State(app): AppState) -> Result<JsonBody<ClearedView>, Refusal> {
    app.registry().clear_activity().await?;
    Ok(JsonBody(ClearedView { status: "cleared" }))
}
