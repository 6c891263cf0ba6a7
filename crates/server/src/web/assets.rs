//! The files that pages are made with, embedded, under one address that changes with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::compression::{gzip, takes_gzip};

/// One embedded file.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// By gzip, made when the first browser asks.
    packed: LazyLock<Bytes>,
}

macro_rules! asset {
    ($name:literal, $content_type:literal) => {{
        const BYTES: &[u8] = include_bytes!(concat!("../../assets/", $name));
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: BYTES,
            packed: LazyLock::new(|| gzip(BYTES, 9)),
        }
    }};
}

macro_rules! script {
    ($name:literal) => {
        asset!($name, "text/javascript; charset=utf-8")
    };
}

static ASSETS: [Asset; 16] = [
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icons.svg", "image/svg+xml"),
    asset!("favicon.svg", "image/svg+xml"),
    script!("theme.js"),
    script!("htmx.min.js"),
    script!("app.js"),
    script!("actions.js"),
    script!("api.js"),
    script!("dom.js"),
    script!("forms.js"),
    script!("library.js"),
    script!("live.js"),
    script!("messages.js"),
    script!("queue.js"),
    script!("text.js"),
    script!("upload.js"),
];

/// What `app.js` imports, so that a browser asks for all of it at once.
const MODULES: [&str; 10] = [
    "actions.js",
    "api.js",
    "dom.js",
    "forms.js",
    "library.js",
    "live.js",
    "messages.js",
    "queue.js",
    "text.js",
    "upload.js",
];

/// One hash over all files, so that the modules find each other beside themselves.
static BUNDLE: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.bytes);
    }
    hex::encode(&hash.finalize()[..6])
});

/// Where an asset is; its content never changes under this address.
pub(super) fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *BUNDLE)
}

/// Where the modules are.
pub(super) fn modules() -> impl Iterator<Item = String> {
    MODULES.into_iter().map(address)
}

/// Only names of the table are served, whatever the path looks like. An address of another version has what this one
/// has, but it must not be kept.
pub(super) async fn serve(Path((bundle, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let kept = if bundle == *BUNDLE { "public, max-age=31536000, immutable" } else { "no-store" };
    respond(&name, kept, &headers)
}

/// The one name that browsers ask for by themselves.
pub(super) async fn serve_icon(headers: HeaderMap) -> Response {
    respond("favicon.svg", "public, max-age=86400", &headers)
}

fn respond(name: &str, kept: &'static str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let common = [(CONTENT_TYPE, asset.content_type), (CACHE_CONTROL, kept), (VARY, "accept-encoding")];
    if takes_gzip(headers) {
        return (common, [(CONTENT_ENCODING, "gzip")], asset.packed.clone()).into_response();
    }
    (common, Bytes::from_static(asset.bytes)).into_response()
}
