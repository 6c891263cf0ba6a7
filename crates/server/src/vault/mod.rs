//! The vault below `/api/v1`: LoRAs are uploaded, listed and deleted with a bearer token.
//!
//! `docs/http-api.md` is its page. Fields and texts are those of its contract; handlers parse, call one method of the
//! registry and translate.

mod access;
mod bytes;
mod deletion;
mod evaluation;
mod listing;
mod upload;
mod views;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::app::App;
use crate::openapi::Operation;
use crate::tus;

pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/api/v1/admin/lora", get(listing::list).delete(deletion::delete))
        .route("/api/v1/admin/lora/facts", get(listing::facts))
        .route("/api/v1/admin/lora/file", get(bytes::read))
        .route("/api/v1/admin/lora/restore", post(deletion::restore))
        .route("/api/v1/admin/lora/purge", post(deletion::purge))
        .route("/api/v1/admin/lora/upload", post(upload::by_admin))
        .route("/api/v1/lora/upload", post(upload::by_user))
        .merge(tus::routes("/api/v1/uploads"))
        .merge(evaluation::routes())
        .route_layer(from_fn_with_state(app.clone(), access::identify))
}

/// What is served, for the documentation.
pub(crate) fn operations() -> Vec<Operation> {
    [
        upload::operations(),
        listing::operations(),
        deletion::operations(),
        tus::operations("/api/v1/uploads", "/api/v1/uploads/{id}"),
        evaluation::operations(),
    ]
    .concat()
}
