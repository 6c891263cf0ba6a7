//! Fetching metadata, how it goes, and the log of it.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use lorakeep_registry::{ActivityLine, FetchScope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::extract::{self, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/fetch-metadata", post(fetch))
        .route("/api/admin/models/metadata-status", get(status))
        .route("/api/admin/activity-log", get(log))
        .route("/api/admin/activity-log/clear", post(clear))
}

/// Which entries are fetched for.
#[derive(Debug, Deserialize)]
struct FetchQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    all: bool,
}

#[derive(Debug, Serialize)]
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
async fn status(State(app): AppState) -> JsonBody<Map<String, Value>> {
    let states = app.registry().metadata_status().into_iter();
    let views = states.map(|state| {
        let word = state.word.as_str();
        let view = match state.error {
            Some(error) => json!({ "status": word, "error": error }),
            None => json!({ "status": word }),
        };
        (state.file, view)
    });
    JsonBody(views.collect())
}

#[derive(Debug, Serialize)]
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

async fn clear(State(app): AppState) -> Result<JsonBody<Value>, Refusal> {
    app.registry().clear_activity().await?;
    Ok(JsonBody(json!({ "status": "cleared" })))
}
