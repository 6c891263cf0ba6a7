//! The styles that a team may use: the list, and one of them.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HOST, LINK, LOCATION, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::domain::TeamScope;
use lorakeep_registry::error::Thing;
use lorakeep_registry::{Error, ListedStyle};

use super::access::PublicCaller;
use super::envelope::{Head, PublicRefusal};
use super::pages::{Page, PageKey};
use super::query::ListQuery;
use super::views::AnyStyleView;
use crate::app::{App, AppState};
use crate::compression::{WORTH_PACKING, takes_gzip};
use crate::conditional::{REVALIDATE, is_known};
use crate::extract::{FileName, Query};
use crate::forwarded::is_https;

/// What an answer depends on beside its address.
const DEPENDS_ON: HeaderValue =
    HeaderValue::from_static("x-api-key, aurous-version, lorakeep-version, accept-encoding");

pub(super) async fn list(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Head(Query(query)): Head<Query<ListQuery>>,
    parts: Parts,
) -> Result<Response, PublicRefusal> {
    let team = caller.require(TeamScope::ReadStyles)?.team_id;
    let wanted = query.wanted()?;
    let shelf = app.registry().style_shelf().await?;
    let team = shelf.has_styles_of(team).then_some(team);
    let key = PageKey { wanted, team, version: caller.version, base: base_of(&app, &parts) };
    let page = app.public().pages.load(shelf, key).await?;
    answer(page, &parts.headers).await
}

pub(super) async fn show(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Head(FileName(name)): Head<FileName>,
    parts: Parts,
) -> Result<Response, PublicRefusal> {
    let team = caller.require(TeamScope::ReadStyles)?.team_id;
    let shelf = app.registry().style_shelf().await?;
    let found = shelf.find(&name).filter(|listed| listed.style.is_visible_to(team));
    let listed = found.ok_or_else(|| Error::not_found(Thing::Style, &name))?;
    if listed.style.old_slugs.contains(&name) {
        return Ok(moved(listed));
    }
    let view = AnyStyleView::new(listed, caller.version, &base_of(&app, &parts));
    let body = serde_json::to_vec(&view).map_err(|error| Error::internal("serialising a style", error))?;
    answer(Arc::new(Page::new(body, None)), &parts.headers).await
}

/// The way from an earlier slug: to the id, which never changes, so that nobody who keeps it goes in circles.
fn moved(listed: &ListedStyle) -> Response {
    let location = format!("/v1/loras/{}", listed.style.id);
    let headers = [(LOCATION, location), (CACHE_CONTROL, "private, no-cache".to_owned())];
    (StatusCode::PERMANENT_REDIRECT, headers).into_response()
}

/// 304 to who has it, by gzip to who takes it.
async fn answer(page: Arc<Page>, headers: &HeaderMap) -> Result<Response, PublicRefusal> {
    let is_packed = page.body.len() >= WORTH_PACKING && takes_gzip(headers);
    let etag = if is_packed { page.packed_etag.clone() } else { page.etag.clone() };
    let link = page.link.clone();
    let mut response = if is_known(headers, &page.etag) || is_known(headers, &page.packed_etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if is_packed {
        ([(CONTENT_ENCODING, "gzip")], page.packed().await?).into_response()
    } else {
        page.body.clone().into_response()
    };
    let own = response.headers_mut();
    own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    own.insert(ETAG, etag);
    own.insert(CACHE_CONTROL, REVALIDATE);
    own.insert(VARY, DEPENDS_ON);
    if let Some(link) = link {
        own.insert(LINK, link);
    }
    Ok(response)
}

/// Where this server is, as its callers see it: the configured address, else the one that was called.
pub(super) fn base_of(app: &App, parts: &Parts) -> String {
    let server = &app.registry().config().server;
    if let Some(url) = &server.public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let scheme = if is_https(parts, server) { "https" } else { "http" };
    if host.is_empty() { String::new() } else { format!("{scheme}://{host}") }
}
