//! Evaluations for the owner of the installation and the web page: what the vault offers, by the admin key.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::domain::Caller;
use lorakeep_registry::{EvaluationAnswer, EvaluationHealth, EvaluationRequest, PageRequest};

use super::extract::{FileName, Json, PageQuery, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::evaluation::{self, EvaluationsView, answered, healthy, picture, refuse_faults, refused};
use crate::openapi::Operation;

/// Where evaluations are.
const BASE: &str = "/api/admin/evaluations";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/evaluations", post(run).get(list))
        .route("/api/admin/evaluations/health", get(health))
        .route("/api/admin/evaluations/{id}", get(show).delete(delete))
        .route("/api/admin/evaluations/{id}/cancel", post(cancel))
        .route("/api/admin/evaluations/{id}/grid", get(grid))
        .route("/api/admin/evaluations/{id}/cells/{place}", get(cell))
}

pub(super) fn operations() -> Vec<Operation> {
    evaluation::operations([
        "/api/admin/evaluations",
        "/api/admin/evaluations/health",
        "/api/admin/evaluations/{id}",
        "/api/admin/evaluations/{id}/cancel",
        "/api/admin/evaluations/{id}/grid",
        "/api/admin/evaluations/{id}/cells/{place}",
    ])
}

async fn run(
    State(app): AppState,
    Json(request): Json<EvaluationRequest>,
) -> Result<(StatusCode, JsonBody<EvaluationAnswer>), Refusal> {
    refuse_faults(&request)?;
    Ok(answered(BASE, app.registry().evaluate(&Caller::admin(), request).await.map_err(refused)?))
}

async fn show(
    State(app): AppState,
    FileName(id): FileName,
) -> Result<(StatusCode, JsonBody<EvaluationAnswer>), Refusal> {
    Ok(answered(BASE, app.registry().evaluation(&Caller::admin(), &id).await?))
}

async fn list(
    State(app): AppState,
    Query(query): Query<PageQuery>,
) -> Result<JsonBody<EvaluationsView>, Refusal> {
    let page = PageRequest::from(query);
    Ok(JsonBody(app.registry().list_evaluations(&Caller::admin(), &page).await?.into()))
}

async fn cancel(State(app): AppState, FileName(id): FileName) -> Result<JsonBody<EvaluationAnswer>, Refusal> {
    let (_, body) = answered(BASE, app.registry().cancel_evaluation(&Caller::admin(), &id).await?);
    Ok(body)
}

async fn delete(State(app): AppState, FileName(id): FileName) -> Result<StatusCode, Refusal> {
    app.registry().delete_evaluation(&Caller::admin(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grid(State(app): AppState, FileName(id): FileName) -> Result<Response, Refusal> {
    picture(app.registry().evaluation_picture(&Caller::admin(), &id, None).await?).await
}

async fn cell(State(app): AppState, Path((id, place)): Path<(String, String)>) -> Result<Response, Refusal> {
    let place = place.parse().map_err(|_| Refusal::path_not_found())?;
    picture(app.registry().evaluation_picture(&Caller::admin(), &id, Some(place)).await?).await
}

async fn health(State(app): AppState) -> Result<(StatusCode, JsonBody<EvaluationHealth>), Refusal> {
    Ok(healthy(app.registry().evaluation_health().await?))
}
