//! The cookie of a browser's session, and the key that begins one; for every surface.

use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use lorakeep_registry::SESSION_SECONDS;

use crate::app::App;
use crate::auth;
use crate::forwarded;
use crate::origin;
use crate::problem::Problem;

/// The name that existing clients know.
const COOKIE_NAME: &str = "session";
/// Cookies of that name that are looked at: a neighbouring host can add some, but not without end.
const MAX_COOKIES: usize = 4;
/// Where a login leads when nothing else was asked for.
const HOME: &str = "/home";

/// A running session: the cookie that makes the browser keep it for another day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session(HeaderValue);

/// A login that worked.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) session: Session,
    /// A path of this server.
    pub(crate) redirect: String,
}

/// The session that a request belongs to; 403 for what another site's page made the browser send.
pub(crate) async fn find(app: &App, parts: &Parts) -> Result<Option<Session>, Problem> {
    for token in tokens(&parts.headers) {
        if app.registry().is_session(token).await.map_err(|error| Problem::from(&error))? {
            origin::require_own_page(app, parts)?;
            return Ok(Some(Session::new(app, parts, token)));
        }
    }
    Ok(None)
}

/// Begins a session for whoever has the key, in place of the one that the browser had; `None` for a wrong key.
pub(crate) async fn log_in(
    app: &App,
    parts: &Parts,
    key: &str,
    next: Option<&str>,
) -> Result<Option<Login>, Problem> {
    origin::refuse_foreign_page(app, parts)?;
    let admin_key = app.registry().admin_key().await.map_err(|error| Problem::from(&error))?;
    if !auth::judge_guess(app, parts, admin_key.is(key.as_bytes()))? {
        return Ok(None);
    }
    end(app, &parts.headers).await?;
    let token = app.registry().begin_session(admin_key).await.map_err(|error| Problem::from(&error))?;
    Ok(Some(Login { session: Session::new(app, parts, &token), redirect: local_path(next).to_owned() }))
}

/// Ends the sessions of these headers.
pub(crate) async fn end(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    for token in tokens(headers) {
        app.registry().end_session(token).await.map_err(|error| Problem::from(&error))?;
    }
    Ok(())
}

impl Session {
    fn new(app: &App, parts: &Parts, token: &str) -> Self {
        Self(cookie(token, SESSION_SECONDS, forwarded::is_https(parts, &app.registry().config().server)))
    }

    /// Sends the cookie.
    pub(crate) fn begin(self, headers: &mut HeaderMap) {
        headers.insert(SET_COOKIE, self.0);
    }

    /// Sends the cookie again, unless the answer says something else about it or is for everybody.
    pub(crate) fn keep(self, headers: &mut HeaderMap) {
        if !headers.contains_key(SET_COOKIE) && !is_for_everybody(headers) {
            self.begin(headers);
        }
    }

    /// Takes the cookie away from the browser.
    pub(crate) fn forget(app: &App, parts: &Parts, headers: &mut HeaderMap) {
        headers
            .insert(SET_COOKIE, cookie("", 0, forwarded::is_https(parts, &app.registry().config().server)));
    }
}

/// Where to go after a login: a path of this server, also for browsers that read `\` as `/` and leave out line ends.
pub(crate) fn local_path(next: Option<&str>) -> &str {
    let is_local = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_local).unwrap_or(HOME)
}

/// No `Domain`, so that it goes to this host alone.
fn cookie(token: &str, max_age_seconds: i64, is_https: bool) -> HeaderValue {
    let secure = if is_https { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_seconds}{secure}"
    );
    HeaderValue::try_from(text).expect("a token that was accepted holds letters and digits")
}

/// What was sent under the cookie's name and can be a token.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let tokens = pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| token);
    tokens
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .take(MAX_COOKIES)
}

fn is_for_everybody(headers: &HeaderMap) -> bool {
    let directives =
        headers.get_all(CACHE_CONTROL).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    directives.into_iter().any(|directive| directive.trim_ascii() == b"public")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_path_of_this_server_whatever_was_asked_for() {
        for local in ["/", "/loras", "/a/b?c=d&e=%2F#f"] {
            assert_eq!(local_path(Some(local)), local);
        }
        let foreign = [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
            "evil",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "javascript:alert(1)",
            "/a b",
            "/é",
        ];
        for next in foreign {
            assert_eq!(local_path(Some(next)), HOME, "{next:?}");
        }
        assert_eq!(local_path(None), HOME);
    }

    #[test]
    fn only_what_can_be_a_token_is_looked_up() {
        let mut headers = HeaderMap::new();
        headers
            .append(COOKIE, HeaderValue::from_static("a=b; session=one;session=; sessions=no; session=t'--"));
        headers.append(COOKIE, HeaderValue::from_static("session=two"));
        assert_eq!(tokens(&headers).collect::<Vec<_>>(), ["one", "two"]);
        headers.insert(COOKIE, HeaderValue::from_str(&"session=x;".repeat(1000)).expect("a value"));
        assert_eq!(tokens(&headers).count(), MAX_COOKIES);
    }

    #[test]
    fn a_cookie_is_for_this_host_and_for_no_script() {
        let plain = "session=x; HttpOnly; SameSite=Strict; Path=/; Max-Age=86400";
        assert_eq!(cookie("x", SESSION_SECONDS, false), plain);
        assert_eq!(cookie("x", SESSION_SECONDS, true), format!("{plain}; Secure"));
    }

    #[test]
    fn an_answer_for_everybody_carries_no_cookie() {
        let session = || Session(HeaderValue::from_static("session=x"));
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1, public"));
        session().keep(&mut headers);
        assert!(!headers.contains_key(SET_COOKIE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        session().keep(&mut headers);
        assert!(headers.contains_key(SET_COOKIE));
    }
}
