//! CivitAI's tags: those that are known here, and bringing more.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use lorakeep_registry::CivitaiTag;
use schemars::JsonSchema;
use serde::Serialize;

use super::civitai::upstream_refusal;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/civitai/tags", get(list))
        .route("/api/admin/civitai/tags/sync", post(sync))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "CivitAI",
        [
            Operation::get("/api/admin/civitai/tags", "CivitAI's tags that are known here")
                .json::<TagsView>(),
            Operation::post("/api/admin/civitai/tags/sync", "Brings up to 2,000 more")
                .json::<SyncedView>()
                .refuses([404, 502]),
        ],
    )
}

#[derive(Debug, Serialize, JsonSchema)]
struct TagView {
    id: Option<u64>,
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    synced_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TagsView {
    tags: Vec<TagView>,
    count: usize,
}

impl From<CivitaiTag> for TagView {
    fn from(tag: CivitaiTag) -> Self {
        Self { id: tag.id, name: tag.name, kind: tag.kind, synced_at: super::views::time(tag.synced_at) }
    }
}

async fn list(State(app): AppState) -> Result<JsonBody<TagsView>, Refusal> {
    let tags: Vec<TagView> = app.registry().civitai_tags().await?.into_iter().map(TagView::from).collect();
    Ok(JsonBody(TagsView { count: tags.len(), tags }))
}

/// `unknown_remaining` while the site has more, else `message`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TagsSynced")]
struct SyncedView {
    synced: u64,
    total_known: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

async fn sync(State(app): AppState) -> Result<JsonBody<SyncedView>, Refusal> {
    let sync = app.registry().sync_civitai_tags().await.map_err(upstream_refusal)?;
    let has_more = sync.unknown_remaining > 0;
    Ok(JsonBody(SyncedView {
        synced: sync.synced,
        total_known: sync.total_known,
        unknown_remaining: has_more.then_some(sync.unknown_remaining),
        message: (!has_more).then_some("every tag that CivitAI lists is known"),
    }))
}
