//! Files on disk: delete, the bin, rescan, files that no catalog knows.

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::PageRequest;
use lorakeep_registry::domain::BinItemId;
use serde::Deserialize;

use super::extract::{self, FileName, OptionalJson, PageQuery, Path, Query};
use super::views::{
    AdoptView, BinItemView, DeletedView, PageView, PurgedView, RestoredView, ScanView, UnlistedView,
};
use crate::app::AppState;
use crate::envelope::Refusal;

/// How a file is deleted.
#[derive(Debug, Deserialize)]
pub(super) struct DeleteQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    purge: bool,
    dest: Option<String>,
}

pub(super) async fn delete(
    State(app): AppState,
    FileName(file): FileName,
    Query(query): Query<DeleteQuery>,
) -> Result<JsonBody<DeletedView>, Refusal> {
    Ok(JsonBody(app.registry().delete_file(&file, query.dest.as_deref(), query.purge).await?.into()))
}

pub(super) async fn list_bin(
    State(app): AppState,
    Query(page): Query<PageQuery>,
) -> Result<JsonBody<PageView<BinItemView>>, Refusal> {
    let page = app.registry().list_bin(page.into()).await?;
    Ok(JsonBody(PageView::new(page, BinItemView::from)))
}

pub(super) async fn restore(
    State(app): AppState,
    Path(id): Path<BinItemId>,
) -> Result<JsonBody<RestoredView>, Refusal> {
    Ok(JsonBody(app.registry().restore_bin_item(id).await?.into()))
}

pub(super) async fn purge_item(
    State(app): AppState,
    Path(id): Path<BinItemId>,
) -> Result<JsonBody<PurgedView>, Refusal> {
    Ok(JsonBody(app.registry().purge_bin_item(id).await?.into()))
}

/// Which items are purged. Without the age nothing is: the whole bin goes only when somebody says so.
#[derive(Debug, Deserialize)]
pub(super) struct PurgeQuery {
    min_age_days: u32,
}

pub(super) async fn purge_bin(
    State(app): AppState,
    Query(query): Query<PurgeQuery>,
) -> Result<JsonBody<PurgedView>, Refusal> {
    Ok(JsonBody(app.registry().purge_bin(query.min_age_days).await?.into()))
}

pub(super) async fn scan(State(app): AppState) -> Result<JsonBody<ScanView>, Refusal> {
    Ok(JsonBody(app.registry().rescan().await?.into()))
}

pub(super) async fn list_unlisted(
    State(app): AppState,
    Query(page): Query<PageQuery>,
) -> Result<JsonBody<PageView<UnlistedView>>, Refusal> {
    let page = app.registry().unlisted_files(&PageRequest::from(page))?;
    Ok(JsonBody(PageView::new(page, UnlistedView::from)))
}

/// Which files become entries; all of them when none is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdoptBody {
    #[serde(default)]
    paths: Vec<String>,
}

pub(super) async fn adopt(
    State(app): AppState,
    OptionalJson(body): OptionalJson<AdoptBody>,
) -> Result<JsonBody<AdoptView>, Refusal> {
    Ok(JsonBody(app.registry().adopt_unlisted(&body.paths).await?.into()))
}
