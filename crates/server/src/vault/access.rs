//! Who is let into the vault: the holder of a token, and whoever comes through the socket in the data folder.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::domain::{Caller, Right};

use crate::app::App;
use crate::auth::Credential;
use crate::envelope::Refusal;
use crate::wire::Peer;

/// The one route that may be open to everybody.
const OPEN_ROUTE: &str = "/api/v1/lora/upload";

/// Gives the request its caller, or refuses it; what the caller may do is asked by each handler.
pub(super) async fn identify(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some((caller, credential)) = caller(&app, &parts) else {
        let detail = "Not authenticated";
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "not_authenticated", detail);
        let mut response = refusal.into_response();
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        response.extensions_mut().insert(Credential::Nothing);
        return response;
    };
    parts.extensions.insert(caller);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    response.extensions_mut().insert(credential);
    response
}

/// A caller who may delete. It stands before the body in a handler, so that others learn nothing of its shape.
pub(super) struct Deleter;

impl<S: Send + Sync> FromRequestParts<S> for Deleter {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::anonymous);
        caller.require(Right::Delete)?;
        Ok(Self)
    }
}

fn caller(app: &App, parts: &Parts) -> Option<(Caller, Credential)> {
    if parts.extensions.get::<Peer>() == Some(&Peer::Trusted) {
        return Some((Caller::admin(), Credential::Trusted));
    }
    let uploads = &app.registry().config().uploads;
    if !parts.headers.contains_key(AUTHORIZATION) && uploads.anonymous && parts.uri.path() == OPEN_ROUTE {
        return Some((Caller::anonymous(), Credential::Nothing));
    }
    let token = token(&parts.headers)?;
    match app.bearer()?.verify(token, app.registry().now()) {
        Ok(holder) => Some((Caller::token(holder), Credential::Token)),
        Err(error) => {
            tracing::info!(%error, "a token was refused");
            None
        }
    }
}

/// Exactly one token; two headers could be read differently by a proxy.
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
