//! The public API below `/v1`: what a studio's customers call with a key of their team.
//!
//! `docs/public-api.md` is its page. The shape of an answer follows the dated version that the caller wants; errors are
//! `{"error": {"code", "message", "request_id"}}`.

mod access;
mod envelope;
mod generations;
mod loras;
mod pages;
mod previews;
mod query;
mod rate;
mod render;
mod views;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::app::App;

/// What the public API keeps between requests.
#[derive(Default)]
pub(crate) struct Public {
    pages: pages::Pages,
    rates: rate::RateLimiter,
}

pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/v1/loras", get(loras::list))
        .route("/v1/loras/{lora}", get(loras::show))
        .route("/v1/loras/{lora}/render", post(render::render))
        .route("/v1/generations", get(generations::list).post(generations::create))
        .route("/v1/generations/{id}", get(generations::show))
        .route("/v1/generations/{id}/cancel", post(generations::cancel))
        .route("/v1/generations/{id}/images/{place}", get(generations::image))
        .route_layer(from_fn_with_state(app.clone(), access::admit))
        .route("/v1/previews/{name}", get(previews::send))
}
