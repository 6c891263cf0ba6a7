//! Who asks. Every credential ends as one [`Caller`]; surfaces never look at headers.
//!
//! Order: trusted by the way it came, then the key, then the session of a browser.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use lorakeep_registry::domain::{Caller, CallerKind};

use crate::app::App;
use crate::envelope::Refusal;
use crate::forwarded;
use crate::problem::Problem;
use crate::session::{self, Session};
use crate::wire::Peer;

/// The header of the studio's key, and of teams' keys.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How the caller proved who they are, for the log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The socket in the data folder, or the same process.
    Trusted,
    /// The admin key.
    Key,
    /// The session of a browser.
    Session,
    /// A bearer token.
    Token,
    /// A key of a team.
    TeamKey,
    /// None, or a wrong one.
    Nothing,
}

impl Credential {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "local",
            Self::Key => "key",
            Self::Session => "session",
            Self::Token => "token",
            Self::TeamKey => "team",
            Self::Nothing => "anonymous",
        }
    }
}

/// What a look at the credentials found.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    pub(crate) credential: Credential,
    /// Whether a key was sent, right or wrong, or somebody is let in without.
    pub(crate) has_tried: bool,
    /// To send again with the answer.
    pub(crate) session: Option<Session>,
}

impl Identity {
    fn admin(credential: Credential, session: Option<Session>) -> Self {
        Self { caller: Caller::admin(), credential, has_tried: true, session }
    }

    fn anonymous(has_tried: bool) -> Self {
        Self { caller: Caller::anonymous(), credential: Credential::Nothing, has_tried, session: None }
    }
}

/// Reads the credentials of a request; an error when this client has to wait before its next guess, or when another
/// site's page made the browser send a session.
pub(crate) async fn identify(app: &App, parts: &Parts) -> Result<Identity, Problem> {
    if parts.extensions.get() == Some(&Peer::Trusted) {
        return Ok(Identity::admin(Credential::Trusted, None));
    }
    let by_key = has_admin_key(app, parts).await;
    if let Ok(true) = by_key {
        return Ok(Identity::admin(Credential::Key, None));
    }
    // A wrong key does not refuse by itself: a browser may hold an old one beside its session.
    if let Some(session) = session::find(app, parts).await? {
        return Ok(Identity::admin(Credential::Session, Some(session)));
    }
    by_key.map(|_| Identity::anonymous(parts.headers.contains_key(API_KEY)))
}

/// Exactly one key, and the right one; two headers could be read differently by a proxy.
async fn has_admin_key(app: &App, parts: &Parts) -> Result<bool, Problem> {
    let mut keys = parts.headers.get_all(API_KEY).iter();
    let (Some(key), second) = (keys.next(), keys.next()) else { return Ok(false) };
    let admin_key = app.registry().admin_key().await.map_err(|error| Problem::from(&error))?;
    judge_guess(app, parts, second.is_none() && admin_key.is(key.as_bytes()))
}

/// What a key that was sent counts for: nothing (429) while its sender has to wait for too many wrong ones.
///
/// Nothing is awaited between the look at the limit and the note of a wrong key, so that guesses at once count all.
pub(crate) fn judge_guess(app: &App, parts: &Parts, is_right: bool) -> Result<bool, Problem> {
    let Some(Peer::Address(peer)) = parts.extensions.get().copied() else { return Ok(is_right) };
    let proxies = &app.registry().config().server.trusted_proxies;
    let address = forwarded::client_address(peer, &parts.headers, proxies);
    if let Some(wait) = app.guesses().wait(address, Instant::now()) {
        let seconds = wait.as_secs_f64().ceil() as u64;
        return Err(Problem::busy("too many wrong keys from this address, try again later", seconds));
    }
    if !is_right {
        app.guesses().note_wrong(address, Instant::now());
    }
    Ok(is_right)
}

/// Lets only the admin pass; for all routes of the studio and for `/metrics`.
pub(crate) async fn require_admin(State(app): State<App>, request: Request, next: Next) -> Response {
    let refuse = |_: &Parts, problem: Option<Problem>| {
        Refusal::from(problem.unwrap_or_else(not_authenticated)).into_response()
    };
    admit(&app, request, next, refuse).await
}

/// Lets only the admin pass. `refuse` says to everyone else what the surface says: to whom no credential counts, and to
/// whom there is a problem with it.
pub(crate) async fn admit(
    app: &App,
    request: Request,
    next: Next,
    refuse: impl FnOnce(&Parts, Option<Problem>) -> Response,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let refused = match identify(app, &parts).await {
        Ok(identity) if identity.caller.kind == CallerKind::Admin => {
            parts.extensions.insert(identity.caller);
            let mut response = next.run(Request::from_parts(parts, body)).await;
            response.extensions_mut().insert(identity.credential);
            if let Some(session) = identity.session {
                session.keep(response.headers_mut());
            }
            return response;
        }
        Ok(_) => None,
        Err(problem) => Some(problem),
    };
    let mut response = refuse(&parts, refused);
    response.extensions_mut().insert(Credential::Nothing);
    response
}

fn not_authenticated() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "not_authenticated", "Not authenticated")
}
