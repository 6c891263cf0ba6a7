//! The two catalogs as a whole: list, sums, import, export.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::domain::CatalogName;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::multipart;
use super::views::{ImportView, ListingView, StatsView};
use crate::app::{App, AppState};
use crate::conditional::{REVALIDATE, is_known};
use crate::envelope::Refusal;
use crate::openapi::{Extra, Operation, tagged};

/// The `ETag` that the client has.
fn known() -> Extra {
    Extra::header("If-None-Match", "The `ETag` of the answer that the client has")
}

const CATALOG_FILE: &[(&str, &str, bool, bool)] =
    &[("file", "A catalog file: an object with categories, or a bare array of entries", true, true)];

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Catalog",
        [
            Operation::get("/api/admin/models", "The whole catalog of models with states")
                .json::<ListingView<'_>>()
                .empty(304, "Nothing changed")
                .takes(known()),
            Operation::get("/api/admin/loras", "The whole catalog of styles with states and galleries")
                .json::<ListingView<'_>>()
                .empty(304, "Nothing changed")
                .takes(known()),
            Operation::get("/api/admin/stats", "The heads of both lists without the lists")
                .json::<BothStatsView>(),
            Operation::post("/api/admin/models/import", "Imports a catalog file of models")
                .form(CATALOG_FILE, json!({"file": "@$CATALOG_FILE"}))
                .json::<ImportView>()
                .refuses([411]),
            Operation::post("/api/admin/loras/import", "Imports a catalog file of styles")
                .form(CATALOG_FILE, json!({"file": "@$CATALOG_FILE"}))
                .json::<ImportView>()
                .refuses([411]),
            Operation::post(
                "/api/admin/models/import-builtin",
                "Adds the built-in list of well-known models",
            )
            .json::<ImportView>(),
            Operation::get("/api/admin/models/export", "The catalog file of models, byte for byte")
                .json::<Map<String, Value>>(),
            Operation::get("/api/admin/loras/export", "The catalog file of styles, byte for byte")
                .json::<Map<String, Value>>(),
        ],
    )
}

/// The heads of both lists without the lists.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BothStatsView {
    models: StatsView,
    loras: StatsView,
}

pub(super) async fn stats(State(app): AppState) -> axum::Json<BothStatsView> {
    let of = |catalog| StatsView::from(&app.registry().catalog_stats(catalog));
    axum::Json(BothStatsView { models: of(CatalogName::Models), loras: of(CatalogName::Loras) })
}

pub(super) async fn list_models(State(app): AppState, headers: HeaderMap) -> Result<Response, Refusal> {
    list(&app, CatalogName::Models, &headers).await
}

pub(super) async fn list_loras(State(app): AppState, headers: HeaderMap) -> Result<Response, Refusal> {
    list(&app, CatalogName::Loras, &headers).await
}

async fn list(app: &App, catalog: CatalogName, headers: &HeaderMap) -> Result<Response, Refusal> {
    let listings = &app.studio().listings;
    let etag = listings.etag(app.registry(), catalog);
    if is_known(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag), (CACHE_CONTROL, REVALIDATE)]).into_response());
    }
    let rendered = listings.load(app.registry(), catalog).await?;
    let json = HeaderValue::from_static("application/json");
    let headers = [(CONTENT_TYPE, json), (ETAG, rendered.etag), (CACHE_CONTROL, REVALIDATE)];
    Ok((headers, rendered.body).into_response())
}

pub(super) async fn import_models(State(app): AppState, request: Request) -> Result<Response, Refusal> {
    import(&app, CatalogName::Models, request).await
}

pub(super) async fn import_loras(State(app): AppState, request: Request) -> Result<Response, Refusal> {
    import(&app, CatalogName::Loras, request).await
}

async fn import(app: &App, catalog: CatalogName, request: Request) -> Result<Response, Refusal> {
    let _turn = app.studio().imports.acquire().await.expect("the semaphore is never closed");
    let document = multipart::read_file(request, "file").await?;
    let report = app.registry().import(catalog, &document).await?;
    Ok(axum::Json(ImportView::from(report)).into_response())
}

pub(super) async fn import_builtin(State(app): AppState) -> Result<axum::Json<ImportView>, Refusal> {
    Ok(axum::Json(app.registry().import_builtin().await?.into()))
}

pub(super) async fn export_models(State(app): AppState) -> Result<Response, Refusal> {
    export(app, CatalogName::Models).await
}

pub(super) async fn export_loras(State(app): AppState) -> Result<Response, Refusal> {
    export(app, CatalogName::Loras).await
}

async fn export(app: App, catalog: CatalogName) -> Result<Response, Refusal> {
    let document = tokio::task::spawn_blocking(move || app.registry().export(catalog))
        .await
        .map_err(|error| lorakeep_registry::Error::internal("writing the catalog", error))?;
    let disposition = format!("attachment; filename=\"{catalog}.json\"");
    Ok(([(CONTENT_TYPE, "application/json"), (CONTENT_DISPOSITION, disposition.as_str())], document)
        .into_response())
}
