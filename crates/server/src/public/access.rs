//! Who is let into the public API, how often, and which version of it they mean.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lorakeep_registry::domain::{ApiVersion, Caller, CallerKind, TeamCaller, TeamScope};

use super::envelope::{PublicRefusal, finish};
use super::rate::Standing;
use crate::app::App;
use crate::auth::{API_KEY, Credential, judge_guess};
use crate::problem::Problem;
use crate::requests::RequestId;

/// The header that chooses a version, and says which one an answer has.
const VERSION: HeaderName = HeaderName::from_static("aurous-version");
/// Another name of it.
const OWN_VERSION: HeaderName = HeaderName::from_static("lorakeep-version");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Who calls, and what they mean.
#[derive(Debug)]
pub(super) struct PublicCaller {
    caller: Caller,
    pub(super) version: ApiVersion,
}

impl PublicCaller {
    /// The team, when its key allows that.
    pub(super) fn require(&self, scope: TeamScope) -> Result<&TeamCaller, PublicRefusal> {
        Ok(self.caller.require_team(scope)?)
    }
}

/// What is known of a call before it is answered, for the headers of whatever answer it gets.
#[derive(Debug, Default)]
struct Known {
    is_team: bool,
    standing: Option<Standing>,
    version: Option<ApiVersion>,
}

/// Lets a key of a team in, and gives every answer its headers.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let id = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
    let mut known = Known::default();
    let response = match enter(&app, &parts, &mut known).await {
        Ok(caller) => {
            parts.extensions.insert(Arc::new(caller));
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let mut response = finish(response, &id);
    known.add_to(response.headers_mut());
    let credential = if known.is_team { Credential::TeamKey } else { Credential::Nothing };
    response.extensions_mut().insert(credential);
    response
}

/// Words the refusals of a route that everybody may call.
pub(super) async fn word_refusals(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    finish(next.run(request).await, &id)
}

async fn enter(app: &App, parts: &Parts, known: &mut Known) -> Result<PublicCaller, PublicRefusal> {
    let caller = find_caller(app, parts).await?;
    let CallerKind::Team(team) = &caller.kind else { return Err(not_authenticated()) };
    known.is_team = true;
    if let Some(limit) = team.calls_per_minute {
        let standing = app.public().rates.call(team.key_id, limit, Instant::now());
        known.standing = Some(standing);
        if !standing.is_allowed {
            return Err(too_often(standing));
        }
    }
    let version = version_of(&parts.headers, team.pinned_version)?;
    known.version = Some(version);
    Ok(PublicCaller { caller, version })
}

/// Exactly one key, and one in force; two headers could be read differently by a proxy.
async fn find_caller(app: &App, parts: &Parts) -> Result<Caller, PublicRefusal> {
    let mut keys = parts.headers.get_all(API_KEY).iter();
    let (Some(key), second) = (keys.next(), keys.next()) else { return Err(not_authenticated()) };
    let found = match key.to_str() {
        Ok(key) if second.is_none() => app.registry().find_team_caller(key).await?,
        _ => None,
    };
    if !judge_guess(app, parts, found.is_some())? {
        return Err(not_authenticated());
    }
    found.ok_or_else(not_authenticated)
}

fn not_authenticated() -> PublicRefusal {
    let detail = "send a key of your team in `X-Api-Key`; this one is missing, unknown, or has ended";
    Problem::new(StatusCode::UNAUTHORIZED, "not_authenticated", detail).into()
}

fn too_often(standing: Standing) -> PublicRefusal {
    let Standing { limit, reset_seconds, .. } = standing;
    let detail = format!("this key may call {limit} times a minute; come back in {reset_seconds} s");
    Problem { code: "rate_limited", ..Problem::busy(detail, reset_seconds) }.into()
}

/// The version that a request names, else its team's, else the system's.
fn version_of(headers: &HeaderMap, pinned: Option<ApiVersion>) -> Result<ApiVersion, PublicRefusal> {
    let mut named = headers.get_all(VERSION).iter().chain(headers.get_all(OWN_VERSION));
    let Some(first) = named.next() else { return Ok(pinned.unwrap_or(ApiVersion::DEFAULT)) };
    if named.any(|other| other != first) {
        let detail = "`Aurous-Version` and `Lorakeep-Version` name two versions; send one";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "two_versions", detail).into());
    }
    Ok(ApiVersion::parse(&String::from_utf8_lossy(first.as_bytes()))?)
}

impl Known {
    fn add_to(&self, headers: &mut HeaderMap) {
        let version = self.version.unwrap_or(ApiVersion::DEFAULT);
        headers.insert(VERSION, HeaderValue::from_static(version.as_str()));
        if let Some(standing) = self.standing {
            headers.insert(RATE_LIMIT, standing.limit.into());
            headers.insert(RATE_REMAINING, standing.remaining.into());
            headers.insert(RATE_RESET, standing.reset_seconds.into());
        }
    }
}
