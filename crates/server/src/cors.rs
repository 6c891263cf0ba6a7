//! Which pages of other sites may call: the configured origins and extensions alone, and never with a cookie.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::app::App;
use crate::origin;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page may send beside the headers that every page may.
const SENT: &str = "authorization, content-type, if-match, if-none-match, idempotency-key, x-api-key, x-request-id, \
                    aurous-version, lorakeep-version, range, tus-resumable, upload-checksum, upload-length, upload-metadata, \
                    upload-offset";
/// What a page may read beside the headers that every page may.
const SHOWN: &str = "content-disposition, content-range, etag, link, location, retry-after, x-error-code, x-request-id, \
                     aurous-version, ratelimit-limit, ratelimit-remaining, ratelimit-reset, tus-resumable, upload-expires, \
                     upload-length, upload-metadata, upload-offset";
/// How long a browser may remember it, seconds.
const REMEMBERED: &str = "600";

/// A browser asks with the first, and is answered with the second, before a page calls into a private network.
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Answers preflights of configured origins, and lets their pages read answers.
pub(crate) async fn share(State(app): State<App>, request: Request, next: Next) -> Response {
    let origins = &app.registry().config().server.cors_origins;
    if origins.is_empty() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let origin = origin::sent(&parts.headers).filter(|sent| origins.iter().any(|origin| origin == sent));
    let origin = origin.map(|origin| HeaderValue::try_from(origin).expect("it came as a header value"));
    let mut response = match &origin {
        Some(_) if is_preflight(&parts) => preflight(&parts.headers),
        _ => next.run(Request::from_parts(parts, body)).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN));
    }
    response
}

fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    if asked.get(REQUEST_PRIVATE_NETWORK).is_some_and(|value| value == "true") {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}
