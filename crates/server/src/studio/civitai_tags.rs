//! CivitAI's tags: those that are known here, and bringing more.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use lorakeep_registry::CivitaiTag;
use serde::Serialize;
use serde_json::{Value, json};

use super::civitai::upstream_refusal;
use crate::app::{App, AppState};
use crate::envelope::Refusal;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/civitai/tags", get(list))
        .route("/api/admin/civitai/tags/sync", post(sync))
}

#[derive(Debug, Serialize)]
struct TagView {
    id: Option<u64>,
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    synced_at: String,
}

#[derive(Debug, Serialize)]
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
async fn sync(State(app): AppState) -> Result<JsonBody<Value>, Refusal> {
    let sync = app.registry().sync_civitai_tags().await.map_err(upstream_refusal)?;
    let mut view = json!({ "synced": sync.synced, "total_known": sync.total_known });
    if sync.unknown_remaining > 0 {
        view["unknown_remaining"] = sync.unknown_remaining.into();
    } else {
        view["message"] = "every tag that CivitAI lists is known".into();
    }
    Ok(JsonBody(view))
}
