//! Files on disk: delete, the bin, rescan, files that no catalog knows.

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::PageRequest;
use lorakeep_registry::domain::BinItemId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::{self, FileName, OptionalJson, PageQuery, Path, Query};
use super::views::{
    AdoptView, BinItemView, DeletedView, PageView, PurgedView, RestoredView, ScanView, UnlistedView,
};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Files",
        [
            Operation::delete("/api/admin/models/{filename}", "Moves a file to the bin")
                .query::<DeleteQuery>()
                .json::<DeletedView>()
                .refuses([409, 503, 507]),
            Operation::delete("/api/admin/entries/by-file/{filename}", "Moves a file of any name to the bin")
                .about("Also for files that are called like a word of another path, as `status`.")
                .query::<DeleteQuery>()
                .json::<DeletedView>()
                .refuses([409, 503, 507]),
            Operation::get("/api/admin/bin", "Deleted files, newest first")
                .query::<PageQuery>()
                .json::<PageView<BinItemView>>(),
            Operation::delete("/api/admin/bin", "Frees deleted files for good")
                .query::<PurgeQuery>()
                .example_query("min_age_days=30")
                .json::<PurgedView>()
                .refuses([503]),
            Operation::post("/api/admin/bin/{id}/restore", "Puts a deleted file back")
                .json::<RestoredView>()
                .refuses([409, 503]),
            Operation::delete("/api/admin/bin/{id}", "Frees one deleted file for good")
                .json::<PurgedView>()
                .refuses([409, 503]),
            Operation::post("/api/admin/scan", "Looks at every file by its size and time")
                .json::<ScanView>()
                .refuses([503]),
            Operation::get("/api/admin/unlisted", "Files that no catalog knows")
                .query::<PageQuery>()
                .json::<PageView<UnlistedView>>(),
            Operation::post("/api/admin/unlisted/adopt", "Makes entries of them; of all when none is named")
                .optional_body::<AdoptBody>(json!({"paths": ["loras/new.safetensors"]}))
                .json::<AdoptView>(),
        ],
    )
}

/// How a file is deleted.
#[derive(Debug, Deserialize, JsonSchema)]
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
#[derive(Debug, Deserialize, JsonSchema)]
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
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AdoptFilesBody")]
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
