//! Following a catalog in a repository: check for updates, sync.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::{Error, SyncConflict, SyncReport, UpdateCheck};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{self, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/sync", post(sync))
        .route("/api/admin/models/check-updates", post(check))
}

#[derive(Debug, Deserialize)]
struct SyncQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    dry_run: bool,
}

async fn sync(State(app): AppState, Query(query): Query<SyncQuery>) -> Result<JsonBody<Value>, Refusal> {
    let report = app.registry().sync_catalog(query.dry_run).await.map_err(sync_refusal)?;
    Ok(JsonBody(report_view(report, query.dry_run)))
}

/// The contract answers 500 when there is no clone yet.
fn sync_refusal(error: Error) -> Refusal {
    match error {
        Error::Unavailable { code: "repo_missing", message } => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "repo_missing", message)
        }
        other => other.into(),
    }
}

fn report_view(report: SyncReport, is_dry: bool) -> Value {
    if !report.is_changed {
        return json!({ "status": "up_to_date", "version": report.old_version });
    }
    let conflicts: Vec<Value> = report.conflicts.into_iter().map(conflict_view).collect();
    let refused =
        report.refused.into_iter().map(|(file, message)| json!({ "file": file, "message": message }));
    json!({
        "status": if is_dry { "would_update" } else { "updated" },
        "old_version": report.old_version,
        "new_version": report.new_version,
        "new_date": report.new_date,
        "added": report.added,
        "updated": report.updated,
        "kept": report.kept,
        "conflicts": conflicts,
        "errors": refused.collect::<Vec<Value>>(),
    })
}

fn conflict_view(SyncConflict { file, conflict }: SyncConflict) -> Value {
    json!({ "file": file, "field": conflict.field, "ours": conflict.ours, "theirs": conflict.theirs })
}

async fn check(State(app): AppState) -> Result<JsonBody<Value>, Refusal> {
    let UpdateCheck { version, remote_version, remote_date, has_update, commit } =
        app.registry().check_updates().await.map_err(sync_refusal)?;
    Ok(JsonBody(json!({
        "status": if has_update { "update_available" } else { "up_to_date" },
        "version": version,
        "remote_version": remote_version,
        "remote_date": remote_date,
        "commit": commit,
    })))
}
