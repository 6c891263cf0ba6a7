//! Who asks. Every credential ends as one [`Caller`]; surfaces never look at headers.
//!
//! Order: trusted by the way it came, then the key. A browser session will stand after the key, so that a wrong key
//! does not refuse by itself.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use lorakeep_registry::Registry;
use lorakeep_registry::domain::{Caller, CallerKind};

use crate::app::App;
use crate::envelope::Refusal;
use crate::forwarded;
use crate::problem::Problem;
use crate::wire::Peer;

/// The header of the studio's key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How the caller proved who they are, for the log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The socket in the data folder, or the same process.
    Trusted,
    /// The admin key.
    Key,
    /// A bearer token.
    Token,
    /// None, or a wrong one.
    Nothing,
}

impl Credential {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "local",
            Self::Key => "key",
            Self::Token => "token",
            Self::Nothing => "anonymous",
        }
    }
}

/// What a look at the credentials found.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    pub(crate) credential: Credential,
    /// Whether any credential was sent, right or wrong.
    pub(crate) has_tried: bool,
}

/// Reads the credentials of a request; an error when this client has to wait before its next guess.
pub(crate) fn identify(app: &App, parts: &Parts) -> Result<Identity, Problem> {
    let peer = parts.extensions.get::<Peer>().copied();
    if peer == Some(Peer::Trusted) {
        return Ok(Identity { caller: Caller::admin(), credential: Credential::Trusted, has_tried: true });
    }
    if !parts.headers.contains_key(API_KEY) {
        return Ok(anonymous(false));
    }
    let address = address(app, peer, &parts.headers);
    refuse_guesser(app, address)?;
    if has_admin_key(app.registry(), &parts.headers) {
        return Ok(Identity { caller: Caller::admin(), credential: Credential::Key, has_tried: true });
    }
    if let Some(address) = address {
        app.guesses().note_wrong(address, Instant::now());
    }
    Ok(anonymous(true))
}

fn anonymous(has_tried: bool) -> Identity {
    Identity { caller: Caller::anonymous(), credential: Credential::Nothing, has_tried }
}

/// Whose guesses these are; `None` for a request that came over no network.
fn address(app: &App, peer: Option<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
    let Some(Peer::Address(peer)) = peer else { return None };
    Some(forwarded::client_address(peer, headers, &app.registry().config().server.trusted_proxies))
}

fn refuse_guesser(app: &App, address: Option<IpAddr>) -> Result<(), Problem> {
    let Some(address) = address else { return Ok(()) };
    match app.guesses().wait(address, Instant::now()) {
        None => Ok(()),
        Some(wait) => {
            let seconds = wait.as_secs_f64().ceil() as u64;
            Err(Problem::busy("too many wrong keys from this address, try again later", seconds))
        }
    }
}

/// Exactly one key, and the right one; two headers could be read differently by a proxy.
fn has_admin_key(registry: &Registry, headers: &HeaderMap) -> bool {
    let mut keys = headers.get_all(API_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) => registry.is_admin_key(key.as_bytes()),
        _ => false,
    }
}

/// Lets only the admin pass; for all routes of the studio and for `/metrics`.
pub(crate) async fn require_admin(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (mut response, credential) = match identify(&app, &parts) {
        Err(problem) => (Refusal::from(problem).into_response(), Credential::Nothing),
        Ok(identity) if identity.caller.kind == CallerKind::Anonymous => {
            (not_authenticated().into_response(), identity.credential)
        }
        Ok(identity) => {
            parts.extensions.insert(identity.caller);
            (next.run(Request::from_parts(parts, body)).await, identity.credential)
        }
    };
    response.extensions_mut().insert(credential);
    response
}

fn not_authenticated() -> Refusal {
    Problem::new(StatusCode::UNAUTHORIZED, "not_authenticated", "Not authenticated").into()
}
