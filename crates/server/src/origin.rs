//! Which site's page a browser sends a request for. A cookie goes along whoever wrote the page, so a request with one
//! counts only when the page is ours.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::app::App;
use crate::forwarded;
use crate::problem::Problem;

/// What browsers say of every request, and no page can change.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What changes something although it is a GET, kept for existing clients.
const CHANGING_READS: [&str; 1] = ["/api/admin/loras/gallery/backfill-thumbs"];

/// Where a request says it comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// A page of this server.
    Own,
    /// Another site's page, a sandboxed one, or something unreadable.
    Foreign,
    /// It does not say.
    Unsaid,
}

/// Lets pass what a page of ours sent, and what only reads and does not say who sent it.
pub(crate) fn require_own_page(app: &App, parts: &Parts) -> Result<(), Problem> {
    match source(app, parts) {
        Source::Own => Ok(()),
        Source::Unsaid if only_reads(parts) => Ok(()),
        Source::Foreign | Source::Unsaid => Err(foreign()),
    }
}

/// Refuses what a page of another site sent; a program that says nothing passes.
pub(crate) fn refuse_foreign_page(app: &App, parts: &Parts) -> Result<(), Problem> {
    if source(app, parts) == Source::Foreign { Err(foreign()) } else { Ok(()) }
}

/// The one origin of a request as its browser sent it.
pub(crate) fn sent(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, None) = (origins.next()?, origins.next()) else { return None };
    origin.to_str().ok()
}

fn foreign() -> Problem {
    let detail = "a request with a session must come from a page of this server; the header `Origin` names another or is \
                  missing (behind a proxy set `LORAKEEP_PUBLIC_URL`; programs send `X-API-Key` instead of a cookie)";
    Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
}

/// Whether a page of another site may lead here.
fn only_reads(parts: &Parts) -> bool {
    parts.method.is_safe() && !CHANGING_READS.contains(&parts.uri.path())
}

fn source(app: &App, parts: &Parts) -> Source {
    if parts.headers.contains_key(ORIGIN) {
        let is_own = sent(&parts.headers).is_some_and(|origin| is_own(app, parts, origin));
        return if is_own { Source::Own } else { Source::Foreign };
    }
    match parts.headers.get(SEC_FETCH_SITE) {
        Some(site) if site == "same-origin" => Source::Own,
        Some(site) if site == "none" => Source::Unsaid,
        Some(_) if !only_reads(parts) => Source::Foreign,
        // A link on another site may lead here.
        _ => Source::Unsaid,
    }
}

fn is_own(app: &App, parts: &Parts, origin: &str) -> bool {
    let public = app.registry().config().server.public_url.as_ref();
    if public.is_some_and(|url| url.origin().ascii_serialization() == origin) {
        return true;
    }
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    is_of_host(origin, host, forwarded::is_https(parts, &app.registry().config().server))
}

/// Whether `origin` is that host's. A proxy that we do not know may have taken the TLS off, so `https` always fits;
/// `http` does not when the browser speaks `https` with us.
fn is_of_host(origin: &str, host: &str, is_https: bool) -> bool {
    let (authority, default_port) = match origin.split_once("://") {
        Some(("https", authority)) => (authority, ":443"),
        Some(("http", authority)) if !is_https => (authority, ":80"),
        _ => return false,
    };
    let host = host.strip_suffix(default_port).unwrap_or(host);
    !host.is_empty() && authority.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_when_it_names_the_host_that_was_asked() {
        for (origin, host) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://studio.example", "studio.example"),
            ("http://studio.example", "Studio.Example:80"),
            ("https://studio.example", "studio.example:443"),
            ("https://studio.example", "studio.example"),
            ("http://[::1]:8000", "[::1]:8000"),
        ] {
            assert!(is_of_host(origin, host, false), "{origin} for {host}");
        }
        for (origin, host) in [
            ("null", "studio.example"),
            ("", "studio.example"),
            ("http://", ""),
            ("http://studio.example:8001", "studio.example:8000"),
            ("http://studio.example.evil", "studio.example"),
            ("http://evil.studio.example", "studio.example"),
            ("http://studio.example@evil", "studio.example"),
            ("http://studio.example/", "studio.example"),
            ("ftp://studio.example", "studio.example"),
        ] {
            assert!(!is_of_host(origin, host, false), "{origin} for {host}");
        }
        assert!(
            !is_of_host("http://studio.example", "studio.example", true),
            "another's page over plain HTTP"
        );
    }
}
