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
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use serde_json::json;

use crate::app::App;
use crate::openapi::{Extra, Operation, tagged};

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
        .route("/v1/previews/{name}", get(previews::send).layer(from_fn(access::word_refusals)))
}

/// The version that an answer shall have.
fn version() -> Extra {
    let words = "The dated version of the answer; the team's own or the system's when left out";
    Extra::header("Aurous-Version", words).of(json!({"type": "string", "enum": ["2026-05-15", "2026-11-01"]}))
}

/// What is served, for the documentation.
pub(crate) fn operations() -> Vec<Operation> {
    let known = || Extra::header("If-None-Match", "The `ETag` of the answer that the client has");
    let styles = tagged(
        "Styles",
        [
            Operation::get("/v1/loras", "The styles that the team may use, newest first")
                .about(
                    "Public styles and those of the team. Without `limit` all of them, up to 10,000; with it a page, and the \
                     header `Link` leads to the next one.",
                )
                .query::<query::ListQuery>()
                .example_query("limit=20")
                .takes(version())
                .takes(known())
                .json::<Vec<views::AnyStyleView<'_>>>()
                .empty(304, "Nothing changed"),
            Operation::get("/v1/loras/{lora}", "One style")
                .takes(version())
                .takes(known())
                .json::<views::AnyStyleView<'_>>()
                .empty(304, "Nothing changed")
                .empty(308, "The slug is an earlier one; `Location` has the style's id"),
            Operation::post("/v1/loras/{lora}/render", "What a generator needs of a style")
                .about("The prompt with the style's template applied, the defaults merged with the request, and the LoRA files.")
                .takes(version())
                .body::<render::RenderBody>(json!({"prompt": "a lighthouse at dusk", "steps": 20}))
                .json::<views::RenderView>()
                .refuses([409]),
            Operation::get("/v1/previews/{name}", "The preview picture of a style")
                .open()
                .by_range("image/*"),
        ],
    );
    [styles, generations::operations()].concat()
}
