//! Evaluations: run, look, list, cancel, and the health of the service.

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::domain::{Caller, Right};
use lorakeep_registry::{EvaluationAnswer, EvaluationHealth, EvaluationRequest, PageRequest};

use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::evaluation::{self, EvaluationsView, answered, healthy, picture, refuse_faults, refused};
use crate::extract::{FileName, Json, PageQuery, Query};
use crate::openapi::{Operation, tagged};

/// Where evaluations are.
const BASE: &str = "/api/v1/evaluation";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/evaluation", post(run).get(list))
        .route("/api/v1/evaluation/", post(run).get(list))
        .route("/api/v1/evaluation/health", get(health))
        .route("/api/v1/evaluation/{id}", get(show).delete(delete))
        .route("/api/v1/evaluation/{id}/cancel", post(cancel))
        .route("/api/v1/evaluation/{id}/grid", get(grid))
        .route("/api/v1/evaluation/{id}/cells/{place}", get(cell))
}

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = evaluation::operations([
        "/api/v1/evaluation",
        "/api/v1/evaluation/health",
        "/api/v1/evaluation/{id}",
        "/api/v1/evaluation/{id}/cancel",
        "/api/v1/evaluation/{id}/grid",
        "/api/v1/evaluation/{id}/cells/{place}",
    ]);
    let slash = [
        evaluation::run("/api/v1/evaluation/"),
        Operation::get("/api/v1/evaluation/", "As without the slash")
            .query::<PageQuery>()
            .json::<EvaluationsView>(),
    ];
    operations.extend(tagged("Evaluations", slash));
    operations
}

async fn run(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Json(request): Json<EvaluationRequest>,
) -> Result<(StatusCode, JsonBody<EvaluationAnswer>), Refusal> {
    caller.require(Right::Evaluate)?;
    refuse_faults(&request)?;
    Ok(answered(BASE, app.registry().evaluate(&caller, request).await.map_err(refused)?))
}

async fn show(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
) -> Result<(StatusCode, JsonBody<EvaluationAnswer>), Refusal> {
    Ok(answered(BASE, app.registry().evaluation(&caller, &id).await?))
}

async fn list(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<JsonBody<EvaluationsView>, Refusal> {
    Ok(JsonBody(app.registry().list_evaluations(&caller, &PageRequest::from(query)).await?.into()))
}

async fn cancel(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
) -> Result<JsonBody<EvaluationAnswer>, Refusal> {
    let (_, body) = answered(BASE, app.registry().cancel_evaluation(&caller, &id).await?);
    Ok(body)
}

async fn delete(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
) -> Result<StatusCode, Refusal> {
    app.registry().delete_evaluation(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grid(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
) -> Result<Response, Refusal> {
    picture(app.registry().evaluation_picture(&caller, &id, None).await?).await
}

async fn cell(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Path((id, place)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let place = place.parse().map_err(|_| Refusal::path_not_found())?;
    picture(app.registry().evaluation_picture(&caller, &id, Some(place)).await?).await
}

async fn health(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, JsonBody<EvaluationHealth>), Refusal> {
    caller.require(Right::Evaluate)?;
    Ok(healthy(app.registry().evaluation_health().await?))
}
