//! The page at `/`: says that the server runs and where its API is.

use axum::response::{Html, IntoResponse};
use http::header::CONTENT_SECURITY_POLICY;

use crate::app::VERSION;

/// Nothing is loaded from anywhere, and no other page may frame this one.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn show() -> impl IntoResponse {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Lorakeep</title>\n\
         <h1>Lorakeep {VERSION}</h1>\n<p>The server runs. Its API is below <code>/api/admin</code> and takes the key as \
         <code>X-API-Key</code>; <a href=\"/api/health\">/api/health</a> is open.</p>\n\
         <p>On this machine, <code>lorakeep list</code> shows the catalog.</p>\n</html>\n"
    );
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(page))
}
