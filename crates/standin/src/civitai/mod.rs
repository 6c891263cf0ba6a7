//! A CivitAI: REST v1, tRPC, downloads; and the callers' rights.

mod download;
mod enums;
mod image;
pub(crate) mod images;
mod model;
mod models;
mod picture;
mod trpc;
mod versions;
mod views;

pub use image::CivitImage;
pub use model::{CivitFile, CivitModel, CivitVersion, PublishedHashes};

use crate::observe::lock;
use crate::shared::Shared;
use crate::wire::{Answer, Request, Response};
use serde_json::{Value, json};
use std::time::Instant;

/// Routes of the site.
pub(crate) fn route(shared: &Shared, request: &Request) -> Answer {
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    if parts.starts_with(&["api", "v1"]) && is_asked_too_often(shared) {
        return error(429, "Too many requests").with("retry-after", "1").into();
    }
    let response = match parts.as_slice() {
        ["api", "v1", rest @ ..] => rest_api(shared, request, rest),
        ["api", "trpc", procedure] => trpc::route(shared, request, procedure),
        ["api", "download", "models", version] => download::route(shared, request, version),
        [images::SITE_CDN, uuid, params, _] => return images::picture(shared, uuid, params),
        ["login"] | ["model-versions" | "images", _] => {
            Response::html(200, "<!DOCTYPE html><html><body>Sign in to continue</body></html>")
        }
        _ => Response::html(404, "<!DOCTYPE html><html><body>404</body></html>"),
    };
    response.into()
}

fn is_asked_too_often(shared: &Shared) -> bool {
    shared.civitai_bucket.as_ref().is_some_and(|bucket| !lock(bucket).take(Instant::now()))
}

fn rest_api(shared: &Shared, request: &Request, parts: &[&str]) -> Response {
    let response = match (request.method.as_str(), parts) {
        ("GET", ["models"]) => models::list(shared, request),
        ("GET", ["models", id]) => models::one(shared, id),
        ("POST", ["model-versions", "by-hash"]) => versions::by_hashes(shared, request),
        ("POST", ["model-versions", "by-hash", "ids"]) => versions::ids_by_hashes(shared, request),
        ("GET", ["model-versions", "by-hash", hash]) => versions::by_hash(shared, hash),
        ("GET", ["model-versions", "mini", id]) => versions::mini(shared, request, id),
        ("GET", ["model-versions", id]) => versions::one(shared, id),
        ("GET", ["images"]) => images::list(shared, request),
        ("GET", ["tags"]) => models::tags(shared, request),
        ("GET", ["creators"]) => models::creators(shared, request),
        ("GET", ["enums"]) => enums::all(),
        ("GET", ["me"]) => me(shared, request),
        ("GET", _) => Response::json(404, &json!({"error": "Not found"})),
        _ => error(405, "Method not allowed"),
    };
    let cached = if signed_in(shared, request) {
        "private, no-store"
    } else if parts.contains(&"by-hash") {
        "public, s-maxage=3600, stale-while-revalidate=1800"
    } else {
        "public, s-maxage=300, stale-while-revalidate=150"
    };
    response.with("cache-control", cached).with("access-control-allow-origin", "*")
}

fn me(shared: &Shared, request: &Request) -> Response {
    if !signed_in(shared, request) {
        return error(401, "Unauthorized");
    }
    Response::json(200, &json!({"id": 4242, "username": "standin-user", "tier": "free", "status": "active"}))
}

/// Whether the caller holds the valid key; a wrong one counts as none. The header wins over `?token=`.
fn signed_in(shared: &Shared, request: &Request) -> bool {
    let key = &shared.options.civitai_key;
    match request.bearer() {
        Some(token) => token == key,
        None => request.param("token").as_ref() == Some(key),
    }
}

/// `{"error": text}`.
fn error(status: u16, text: &str) -> Response {
    Response::json(status, &json!({"error": text}))
}

/// One page of a list with the site's `metadata`. `cursor` (an offset) wins over `page`.
fn page(shared: &Shared, request: &Request, all: &[Value], default_limit: usize) -> Value {
    let number = |name| request.param(name).and_then(|value| value.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(default_limit).max(1);
    let start = number("cursor").unwrap_or_else(|| number("page").unwrap_or(1).saturating_sub(1) * limit);
    let items: Vec<&Value> = all.iter().skip(start).take(limit).collect();
    let mut metadata = json!({"currentPage": start / limit + 1, "pageSize": limit});
    if start + limit < all.len() {
        let next = (start + limit).to_string();
        metadata["nextCursor"] = json!(next);
        metadata["nextPage"] = json!(next_page(shared, request, &next));
    }
    json!({"items": items, "metadata": metadata})
}

/// The same request with another cursor, as an absolute address.
fn next_page(shared: &Shared, request: &Request, cursor: &str) -> String {
    let kept = request.params().into_iter().filter(|(name, _)| name != "cursor" && name != "page");
    let query: Vec<String> = kept
        .chain([("cursor".to_owned(), cursor.to_owned())])
        .map(|(name, value)| format!("{name}={}", crate::storage::escaped(&value)))
        .collect();
    format!("{}{}?{}", shared.addresses.civitai, request.path, query.join("&"))
}
