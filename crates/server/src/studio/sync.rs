//! Following a catalog in a repository: check for updates, sync.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::{Error, SyncConflict, SyncReport, UpdateCheck};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::{self, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/sync", post(sync))
        .route("/api/admin/models/check-updates", post(check))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Repository",
        [
            Operation::post(
                "/api/admin/models/check-updates",
                "Fetches the repository and looks whether its catalog is newer",
            )
            .json::<UpdateCheckView>()
            .refuses([409, 502, 503]),
            Operation::post("/api/admin/models/sync", "Merges the repository's catalog")
                .about("500 `repo_missing` while there is no clone yet: check for updates first.")
                .query::<SyncQuery>()
                .example_query("dry_run=true")
                .json::<SyncView>()
                .refuses([409, 503]),
        ],
    )
}

#[derive(Debug, Deserialize, JsonSchema)]
struct SyncQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    dry_run: bool,
}

async fn sync(State(app): AppState, Query(query): Query<SyncQuery>) -> Result<JsonBody<SyncView>, Refusal> {
    let report = app.registry().sync_catalog(query.dry_run).await.map_err(sync_refusal)?;
    Ok(JsonBody(SyncView::new(report, query.dry_run)))
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

/// What a merge did or would do.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum SyncView {
    UpToDate { status: &'static str, version: i64 },
    Changed(ChangesView),
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CatalogChanges")]
struct ChangesView {
    /// `updated`, or `would_update` by `dry_run`.
    status: &'static str,
    old_version: i64,
    new_version: i64,
    new_date: String,
    added: Vec<String>,
    updated: Vec<String>,
    kept: Vec<String>,
    conflicts: Vec<ConflictView>,
    errors: Vec<RefusedEntryView>,
}

/// A field that was changed on both sides; ours stays.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FieldConflict")]
struct ConflictView {
    file: String,
    field: String,
    ours: Value,
    theirs: Value,
}

#[derive(Serialize, JsonSchema)]
struct RefusedEntryView {
    file: String,
    message: String,
}

impl SyncView {
    fn new(report: SyncReport, is_dry: bool) -> Self {
        if !report.is_changed {
            return Self::UpToDate { status: "up_to_date", version: report.old_version };
        }
        let refused = report.refused.into_iter().map(|(file, message)| RefusedEntryView { file, message });
        Self::Changed(ChangesView {
            status: if is_dry { "would_update" } else { "updated" },
            old_version: report.old_version,
            new_version: report.new_version,
            new_date: report.new_date,
            added: report.added,
            updated: report.updated,
            kept: report.kept,
            conflicts: report.conflicts.into_iter().map(ConflictView::from).collect(),
            errors: refused.collect(),
        })
    }
}

impl From<SyncConflict> for ConflictView {
    fn from(SyncConflict { file, conflict }: SyncConflict) -> Self {
        Self { file, field: conflict.field, ours: conflict.ours, theirs: conflict.theirs }
    }
}

/// What the repository has.
#[derive(Serialize, JsonSchema)]
struct UpdateCheckView {
    /// `update_available` or `up_to_date`.
    status: &'static str,
    version: i64,
    remote_version: Option<i64>,
    remote_date: Option<String>,
    commit: String,
}

async fn check(State(app): AppState) -> Result<JsonBody<UpdateCheckView>, Refusal> {
    let UpdateCheck { version, remote_version, remote_date, has_update, commit } =
        app.registry().check_updates().await.map_err(sync_refusal)?;
    let status = if has_update { "update_available" } else { "up_to_date" };
    Ok(JsonBody(UpdateCheckView { status, version, remote_version, remote_date, commit }))
}
