//! Sessions of browsers, and the admin key that begins them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json as JsonBody, Router};
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::extract::Json;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};
use crate::session::{self, Session};

/// A key is shown once and kept by nobody.
const NOWHERE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// What needs no credential: to get one.
pub(super) fn open_routes() -> Router<App> {
    Router::new().route("/api/auth/login", post(log_in))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Sessions",
        [
            Operation::post("/api/auth/login", "Begins the session of a browser")
                .open()
                .body::<LoginBody>(json!({"api_key": "$KEY"}))
                .json::<LoginView>()
                .refuses([401, 403]),
            Operation::post("/api/auth/logout", "Ends the session").empty(302, "To the login page"),
            Operation::post(
                "/api/admin/admin-key/rotate",
                "Makes a new admin key; the old one and every session end",
            )
            .json::<NewKeyView>()
            .refuses([409]),
        ],
    )
}

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/auth/logout", post(log_out))
        .route("/api/admin/admin-key/rotate", post(rotate_key))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    api_key: String,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct LoginView {
    status: &'static str,
    redirect: String,
}

async fn log_in(
    State(app): AppState,
    parts: Parts,
    Json(body): Json<LoginBody>,
) -> Result<Response, Refusal> {
    let login = session::log_in(&app, &parts, &body.api_key, body.next.as_deref()).await?;
    let Some(login) = login else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "wrong_key", "Invalid API key"));
    };
    let view = LoginView { status: "ok", redirect: login.redirect };
    let mut response = (NOWHERE, JsonBody(view)).into_response();
    login.session.begin(response.headers_mut());
    Ok(response)
}

/// The contract answers a page's form, so it leads to the login.
async fn log_out(State(app): AppState, parts: Parts) -> Result<Response, Refusal> {
    session::end(&app, &parts.headers).await?;
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("/login"));
    Session::forget(&app, &parts, headers);
    Ok(response)
}

/// A new admin key, shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewAdminKey")]
struct NewKeyView {
    key: String,
}

async fn rotate_key(State(app): AppState) -> Result<impl IntoResponse, Refusal> {
    let key = app.registry().rotate_admin_key().await?;
    Ok((NOWHERE, JsonBody(NewKeyView { key })))
}
