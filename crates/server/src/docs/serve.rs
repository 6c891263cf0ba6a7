//! The documents and the index over HTTP.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};

use super::pages::PAGES;
use super::surfaces::Surface;
use crate::app::App;
use crate::envelope::Refusal;

/// Kept for a while: it changes with the program alone.
const A_WHILE: &str = "public, max-age=300";

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/openapi/{file}", get(send_document)).route("/llms.txt", get(send_index))
}

/// `studio.json` and so on.
async fn send_document(Path(file): Path<String>) -> Result<Response, Refusal> {
    let surface = file.strip_suffix(".json").and_then(Surface::parse).ok_or_else(Refusal::path_not_found)?;
    let common = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, A_WHILE),
        // Tools in browsers read it; there is nothing in it that is anybody's.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    Ok((common, surface.openapi()).into_response())
}

/// By the convention of <https://llmstxt.org>: a title, what it is, and links with one line each.
async fn send_index(_: HeaderMap) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, A_WHILE)], index()).into_response()
}

fn index() -> String {
    let mut text = String::from(
        "# Lorakeep\n\n> Lorakeep keeps a diffusion studio's model files: it catalogs, fetches, verifies, inspects, evaluates and serves LoRAs, \
         checkpoints and their companions over HTTP, on a web page and on a command line.\n\n\
         Errors have a stable code in the header `X-Error-Code`, and every answer has an `X-Request-Id`.\n\n## API reference\n\n",
    );
    for surface in Surface::ALL {
        let name = surface.as_str();
        let title = surface.document()["info"]["title"].as_str().unwrap_or_default();
        text.extend([
            format!("- [{title}](/docs/{name}.md): every operation with its parameters and a curl example\n"),
            format!("- [{title}, OpenAPI 3.1](/openapi/{name}.json): the same for programs\n"),
        ]);
    }
    text.push_str("\n## Pages\n\n");
    let line = |page: &super::pages::DocPage| {
        format!("- [{}](/docs/{}.md): {}\n", page.title, page.name, page.about)
    };
    text.extend(PAGES.iter().map(line));
    text
}
