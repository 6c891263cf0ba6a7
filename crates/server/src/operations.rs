//! For probes and monitors: `/api/health` (open) and `/metrics` (admin key).

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use lorakeep_registry::domain::CallerKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, AppState, VERSION};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};
use crate::{auth, measure};

pub(crate) fn routes(app: &App) -> Router<App> {
    let guarded = Router::new()
        .route("/metrics", get(show_metrics))
        .route_layer(from_fn_with_state(app.clone(), auth::require_admin));
    Router::new().route("/api/health", get(show_health)).merge(guarded)
}

/// What is served, for the documentation.
pub(crate) fn described() -> Vec<Operation> {
    tagged(
        "Operations",
        [
            Operation::get("/api/health", "Whether the server works")
                .about("For probes. With a key it also says whether the key is right, the version, and what is wrong.")
                .open()
                .json::<HealthView>(),
            Operation::get("/metrics", "Counters and gauges for Prometheus")
                .text("text/plain", "Prometheus' text format"),
        ],
    )
}

/// The answer to a probe.
#[derive(Serialize, JsonSchema)]
struct HealthView {
    status: &'static str,
    /// Only when a key was sent: whether it is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    #[serde(flatten)]
    for_admin: Option<AdminHealthView>,
}

/// What strangers do not learn.
#[derive(Serialize, JsonSchema)]
struct AdminHealthView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    app_version: &'static str,
    /// For clients that read it; this server knows no pods.
    pod_id: Option<String>,
}

async fn show_health(State(app): AppState, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let identity = auth::identify(&app, &parts).await?;
    let is_admin = identity.caller.kind == CallerKind::Admin;
    let degraded = app.registry().health().degraded;
    let view = HealthView {
        status: if degraded.is_empty() { "ok" } else { "degraded" },
        authenticated: identity.has_tried.then_some(is_admin),
        for_admin: is_admin.then_some(AdminHealthView {
            reasons: degraded,
            app_version: VERSION,
            pod_id: None,
        }),
    };
    let mut response = ([(CACHE_CONTROL, "no-store")], axum::Json(view)).into_response();
    response.extensions_mut().insert(identity.credential);
    Ok(response)
}

async fn show_metrics(State(app): AppState) -> Result<Response, Refusal> {
    let text = measure::render(app.registry()).await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
