//! What every request passes: its id, its log line, its metrics, the net under panics, and the headers of every answer.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body::Body;
use tracing::Instrument;

use crate::app::App;
use crate::auth::Credential;
use crate::envelope::Refusal;
use crate::measure;
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from outside.
const MAX_ID: usize = 64;
/// The route of a path that nobody serves, so that metrics stay small whatever is asked for.
const UNMATCHED: &str = "unmatched";

/// The error behind an answer, for the log line; travels as an extension of the response.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// The id of a request, for handlers that show it in a body.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self(HeaderValue::from_static(""))
    }
}

/// Gives the request an id (its own when it is sane), and every log record and answer with it.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let id = sane_id(request.headers()).unwrap_or_else(new_id);
    let span = tracing::info_span!("request", request_id = id.to_str().unwrap_or_default());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    secure(response.headers_mut());
    response
}

fn sane_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut ids = headers.get_all(REQUEST_ID).iter();
    let (id, None) = (ids.next()?, ids.next()) else { return None };
    let is_sane = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=MAX_ID).contains(&id.len()) && id.as_bytes().iter().all(is_sane)).then(|| id.clone())
}

/// Sorted by time. Nothing is guarded by it, so it need not cost a call into the system for randomness.
fn new_id() -> HeaderValue {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut chance = [0; 10];
    fastrand::fill(&mut chance);
    let id = uuid::Builder::from_unix_timestamp_millis(since_epoch.as_millis() as u64, &chance);
    let id = id.into_uuid().simple().to_string();
    HeaderValue::try_from(id).expect("hexadecimal digits are a header value")
}

/// Headers that make a browser careful with whatever it got; pages set their own policy.
fn secure(headers: &mut HeaderMap) {
    // With `no-referrer` a browser would send `Origin: null` with our own forms.
    const ALWAYS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pictures that are for customers' pages say so themselves.
    headers
        .entry(HeaderName::from_static("cross-origin-resource-policy"))
        .or_insert(HeaderValue::from_static("same-origin"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
}

/// Answers, also when the handler panics, then logs and measures.
pub(crate) async fn observe(State(_app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let mut watch = AnswerWatch { method: &method, route, started, is_answered: false };
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => panicked(panic.as_ref()),
    };
    watch.is_answered = true;
    let elapsed = started.elapsed();
    measure::count_request(&method, route, response.status(), elapsed);
    log(&method, route, &response, elapsed);
    response
}

/// Notices a client that went away before its answer: the handler is dropped then, and this with it.
struct AnswerWatch<'a> {
    method: &'a Method,
    route: &'a str,
    started: Instant,
    is_answered: bool,
}

impl Drop for AnswerWatch<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let milliseconds = self.started.elapsed().as_secs_f64() * 1e3;
        tracing::info!(method = %self.method, route = self.route, duration_ms = milliseconds, "the client went away");
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    measure::count_panic();
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Refusal::from(Problem::defect(format!("a handler panicked: {text}"))).into_response()
}

/// One line a request. The path is the route's, and the query is left out: both may hold what does not belong into logs.
fn log(method: &Method, route: &str, response: &Response, elapsed: Duration) {
    let status = response.status().as_u16();
    let bytes = response.body().size_hint().exact();
    let caller =
        response.extensions().get::<Credential>().map_or("anonymous", |credential| credential.as_str());
    let milliseconds = elapsed.as_secs_f64() * 1e3;
    let fault = response.extensions().get::<Fault>();
    let (code, error) = (fault.map(|fault| fault.code), fault.map(|fault| fault.text.as_str()));
    if status >= 500 {
        tracing::error!(%method, route, status, bytes, caller, duration_ms = milliseconds, code, error, "request failed");
    } else {
        tracing::info!(%method, route, status, bytes, caller, duration_ms = milliseconds, code, error, "request");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_ID, HeaderValue::from_static(value));
        }
        sane_id(&headers).map(|id| id.to_str().expect("text").to_owned())
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_is_not() {
        assert_eq!(id_of(&["trace-1_a.B"]).as_deref(), Some("trace-1_a.B"));
        for values in [&["a b"][..], &[""], &["a\"b"], &["a", "b"], &[]] {
            assert_eq!(id_of(values), None, "{values:?}");
        }
        let long: &'static str = "a".repeat(65).leak();
        assert_eq!(id_of(&[long]), None);
    }
}
