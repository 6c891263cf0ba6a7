//! What all pages share: who may see them, the frame around them, their headers and their compression.

use askama::Template;
use axum::extract::{OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::assets;
use super::fault::PageFault;
use crate::app::{App, VERSION};
use crate::auth;
use crate::compression::{WORTH_PACKING, gzip, takes_gzip};
use crate::problem::Problem;

/// Everything comes from this server; nothing inline runs; no other site may frame a page or take its forms.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// What htmx sends when it wants a part of a page.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
/// Fast enough that packing costs less than sending.
const PAGE_LEVEL: u32 = 4;

/// The answer of a page's handler.
pub(super) type Page = Result<Response, PageFault>;

/// What stands around the content of a page.
pub(super) struct Frame {
    pub(super) version: &'static str,
    here: &'static str,
}

/// One line of the menu.
pub(super) struct MenuItem {
    pub(super) path: &'static str,
    pub(super) icon: &'static str,
    pub(super) name: &'static str,
    pub(super) is_here: bool,
    /// Whether a line stands above it.
    pub(super) starts_group: bool,
}

/// The pages in the order of the menu.
const MENU: [(&str, &str, &str); 11] = [
    ("/", "library", "Library"),
    ("/add", "plus", "Add"),
    ("/downloads", "download", "Downloads"),
    ("/generation", "picture", "Generation data"),
    ("/styles", "style", "Styles"),
    ("/teams", "key", "Teams and keys"),
    ("/disk", "disk", "Disk"),
    ("/bin", "bin", "Bin"),
    ("/quarantine", "shield", "Quarantine"),
    ("/activity", "activity", "Activity"),
    ("/settings", "settings", "Settings"),
];
/// Pages that begin a group of the menu: what is sold, what lies on the disk, the server itself.
const GROUPS: [&str; 3] = ["/styles", "/disk", "/activity"];

impl Frame {
    /// The frame of the page at `here`.
    pub(super) fn new(here: &'static str) -> Self {
        Self { version: VERSION, here }
    }

    #[expect(clippy::unused_self, reason = "templates call it on their frame")]
    pub(super) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    #[expect(clippy::unused_self, reason = "templates call it on their frame")]
    pub(super) fn modules(&self) -> impl Iterator<Item = String> {
        assets::modules()
    }

    pub(super) fn menu(&self) -> Vec<MenuItem> {
        let item = |(path, icon, name)| {
            let starts_group = GROUPS.contains(&path);
            MenuItem { path, icon, name, is_here: path == self.here, starts_group }
        };
        MENU.into_iter().map(item).collect()
    }
}

/// Lets only people pass who are logged in; sends others to the door and back afterwards.
pub(super) async fn require_person(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let refuse = |parts: &Parts, problem: Option<Problem>| match problem {
        Some(problem) => PageFault::from(problem).into_response(),
        None => to_the_door(&parts.headers, &uri.to_string()),
    };
    auth::admit(&app, request, next, refuse).await
}

/// A part cannot be sent elsewhere: the script does that when it sees the status.
fn to_the_door(headers: &HeaderMap, wanted: &str) -> Response {
    if headers.contains_key(HX_REQUEST) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Redirect::to(&format!("/login?next={}", utf8_percent_encode(wanted, NON_ALPHANUMERIC))).into_response()
}

/// Whether only the changing part of a page is wanted.
pub(super) fn wants_part(headers: &HeaderMap) -> bool {
    headers.contains_key(HX_REQUEST)
}

/// Renders a page or a part of one.
pub(super) fn render(headers: &HeaderMap, template: &impl Template) -> Page {
    render_as(StatusCode::OK, headers, template)
}

/// [`render`] with another status.
pub(super) fn render_as(status: StatusCode, headers: &HeaderMap, template: &impl Template) -> Page {
    let html = template
        .render()
        .map_err(|error| PageFault::from(lorakeep_registry::Error::internal("rendering a page", error)))?;
    Ok(respond(headers, status, html))
}

/// A page's answer: private, never kept, packed when the browser takes it.
pub(super) fn respond(headers: &HeaderMap, status: StatusCode, html: String) -> Response {
    let common = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "private, no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (VARY, "accept-encoding, hx-request, cookie"),
    ];
    if html.len() >= WORTH_PACKING && takes_gzip(headers) {
        return (status, common, [(CONTENT_ENCODING, "gzip")], gzip(html.as_bytes(), PAGE_LEVEL))
            .into_response();
    }
    (status, common, html).into_response()
}
