//! Evaluations: run, look, list, cancel, and the health of the service.

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::domain::{Caller, Right};
use lorakeep_registry::{EvaluationAnswer, EvaluationHealth, EvaluationRequest, PageRequest};

use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::evaluation::{EvaluationsView, answered, healthy, refuse_faults};
use crate::extract::{FileName, Json, PageQuery, Query};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/evaluation", post(run).get(list))
        .route("/api/v1/evaluation/", post(run).get(list))
        .route("/api/v1/evaluation/health", get(health))
        .route("/api/v1/evaluation/{id}", get(show).delete(delete))
        .route("/api/v1/evaluation/{id}/cancel", post(cancel))
}

async fn run(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Json(request): Json<EvaluationRequest>,
) -> Result<(StatusCode, JsonBody<EvaluationAnswer>), Refusal> {
    caller.require(Right::Evaluate)?;
    refuse_faults(&request)?;
    Ok(answered(app.registry().evaluate(&caller, request).await?))
}

async fn show(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
) -> Result<(StatusCode, JsonBody<EvaluationAnswer>), Refusal> {
    Ok(answered(app.registry().evaluation(&caller, &id).await?))
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
    Ok(JsonBody(app.registry().cancel_evaluation(&caller, &id).await?))
}

async fn delete(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
) -> Result<StatusCode, Refusal> {
    app.registry().delete_evaluation(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn health(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, JsonBody<EvaluationHealth>), Refusal> {
    caller.require(Right::Evaluate)?;
    Ok(healthy(app.registry().evaluation_health().await?))
}
