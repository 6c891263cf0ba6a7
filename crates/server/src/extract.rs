//! Input of requests. Each rejection wears the studio's envelope.

use std::error::Error as StdError;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lorakeep_registry::PageRequest;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::envelope::Refusal;

/// Longest JSON body, bytes; a batch of 10,000 names fits.
const MAX_JSON_BYTES: usize = 2 << 20;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may be left out; an empty one counts as `{}`.
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// The query, read into a struct.
pub(crate) struct Query<T>(pub(crate) T);

/// The one parameter of the path.
pub(crate) struct Path<T>(pub(crate) T);

/// A file name in a path: decoded, and never with a `/` in it (such a path is nobody's).
pub(crate) struct FileName(pub(crate) String);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        must_be_json(request.headers())?;
        parse_json(&read_body(request, MAX_JSON_BYTES).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let is_json = must_be_json(request.headers());
        let body = read_body(request, MAX_JSON_BYTES).await?;
        if body.is_empty() {
            return parse_json(b"{}").map(Self);
        }
        is_json?;
        parse_json(&body).map(Self)
    }
}

/// A browser sends forms and text across sites without asking; JSON it does not.
fn must_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Refusal::new(status, "unsupported_media_type", "the body must be sent as `application/json`"))
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_body(request: Request, limit: usize) -> Result<Bytes, Refusal> {
    refuse_encoded(request.headers())?;
    refuse_long(request.headers(), limit)?;
    let body: Limited<Body> = Limited::new(request.into_body(), limit);
    body.collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| body_error(error.as_ref(), limit))
}

/// Compressed bodies are refused: what they grow to is not known before.
pub(crate) fn refuse_encoded(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Refusal::new(
                status,
                "unsupported_media_type",
                "the body must be sent without `Content-Encoding`",
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses what says itself that it is too long, before a byte is read.
pub(crate) fn refuse_long(headers: &HeaderMap, limit: usize) -> Result<(), Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) { Err(too_long(limit)) } else { Ok(()) }
}

pub(crate) fn too_long(limit: usize) -> Refusal {
    let detail = format!("the body is longer than {} MiB", limit >> 20);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Why a body could not be read: too long, too slow, or broken.
pub(crate) fn body_error(error: &(dyn StdError + 'static), limit: usize) -> Refusal {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return too_long(limit);
        }
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
        {
            let detail = "the request body came in too slowly";
            return Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail);
        }
        cause = error.source();
    }
    Refusal::new(StatusCode::BAD_REQUEST, "bad_body", "the request body ended early or was malformed")
}

/// Reads an object; serde alone would also take an array of its fields.
fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() {
        return Err(Refusal::unreadable(vec!["body".into()], "Field required", "missing"));
    }
    let is_object = body.trim_ascii_start().first().is_none_or(|first| *first == b'{');
    if !is_object && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return Err(Refusal::unreadable(vec!["body".into()], "Input should be a valid object", "model_type"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| json_fault(error.path(), error.inner()))?;
    deserializer.end().map_err(|error| json_fault(&serde_path_to_error::Track::new().path(), &error))?;
    Ok(value)
}

/// A serde error in FastAPI's words.
fn json_fault(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Refusal {
    if !error.is_data() {
        let loc = vec!["body".into(), error.column().into()];
        return Refusal::unreadable(loc, format!("JSON decode error: {error}"), "json_invalid");
    }
    let loc = std::iter::once("body".into()).chain(path.iter().filter_map(step)).collect();
    let text = error.to_string();
    worded(loc, text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text))
}

/// The fault at `loc` that serde describes by `text`.
fn worded(mut loc: Vec<Value>, text: &str) -> Refusal {
    let (msg, kind) = fault_words(text);
    if let Some(field) =
        ["missing field ", "duplicate field "].iter().find_map(|part| text.strip_prefix(part))
    {
        loc.push(field.trim_matches('`').into());
    }
    Refusal::unreadable(loc, msg, kind)
}

fn step(segment: &Segment) -> Option<Value> {
    match segment {
        Segment::Seq { index } => Some((*index).into()),
        Segment::Map { key } => Some(key.as_str().into()),
        Segment::Enum { variant } => Some(variant.as_str().into()),
        Segment::Unknown => None,
    }
}

/// Message and type of a fault, from serde's sentence.
fn fault_words(text: &str) -> (String, &'static str) {
    const KNOWN: [(&str, &str, &str); 10] = [
        ("interpret input", "Input should be a valid boolean, unable to interpret input", "bool_parsing"),
        ("missing field", "Field required", "missing"),
        ("unknown field", "Extra inputs are not permitted", "extra_forbidden"),
        ("expected a sequence", "Input should be a valid list", "list_type"),
        ("expected a string", "Input should be a valid string", "string_type"),
        ("expected a boolean", "Input should be a valid boolean", "bool_type"),
        ("invalid digit", "Input should be a valid integer, 0 or more", "int_parsing"),
        ("too large to fit", "Input should be a smaller integer", "int_parsing"),
        ("expected i64", "Input should be a valid integer", "int_type"),
        ("expected u", "Input should be a valid integer, 0 or more", "int_type"),
    ];
    KNOWN
        .into_iter()
        .find(|(part, ..)| text.contains(part))
        .map_or_else(|| (text.to_owned(), "value_error"), |(_, msg, kind)| (msg.to_owned(), kind))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(query_fault(&rejection.body_text())),
        }
    }
}

/// axum says `Failed to deserialize query string: field: what is wrong`.
fn query_fault(text: &str) -> Refusal {
    let text = text.rsplit_once("query string: ").map_or(text, |(_, text)| text);
    let (loc, text) = match text.split_once(": ") {
        Some((field, text)) => (vec!["query".into(), field.into()], text),
        None => (vec!["query".into()], text),
    };
    worded(loc, text)
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    /// What cannot be read is the path of nothing.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let FileName(text) = FileName::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| Refusal::path_not_found())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FileName {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Path::<String>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(name)) if !name.contains('/') => Ok(Self(name)),
            _ => Err(Refusal::path_not_found()),
        }
    }
}

/// A number as the one parameter of the path; anything else is input of the wrong shape, as the contract has it.
pub(crate) struct PathId(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let FileName(text) = FileName::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| not_an_id())
    }
}

/// A number and a file name as the two parameters of the path.
pub(crate) struct TwoParts(pub(crate) u64, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for TwoParts {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path((id, name))) if !name.contains('/') => {
                Ok(Self(id.parse().map_err(|_| not_an_id())?, name))
            }
            _ => Err(Refusal::path_not_found()),
        }
    }
}

fn not_an_id() -> Refusal {
    Refusal::unreadable(vec!["path".into(), "id".into()], "Input should be a valid integer", "int_parsing")
}

/// `limit` and `cursor` of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }
}

impl From<PageQuery> for PageRequest {
    fn from(query: PageQuery) -> Self {
        Self { limit: query.limit, cursor: query.cursor.filter(|cursor| !cursor.is_empty()) }
    }
}

/// A flag of a query in any of the forms that FastAPI takes.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fault = || serde::de::Error::custom("Input should be a valid boolean, unable to interpret input");
    bool_of(&text).ok_or_else(fault)
}

/// A flag in any of the forms that FastAPI takes.
pub(crate) fn bool_of(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// A whole number that may be written as `30` or as `30.0`, as JSON makes no difference; what is too large for the
/// field becomes its largest value, which its range refuses then.
pub(crate) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if number.fract() != 0.0 || number < 0.0 {
        return Err(serde::de::Error::custom("Input should be a whole number, 0 or more"));
    }
    Ok(Some(number.min(f64::from(u32::MAX)) as u32))
}

/// A field that tells `null` from absent.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch {
        #[expect(dead_code, reason = "only its shape matters here")]
        filenames: Vec<String>,
    }

    fn fault(body: &[u8]) -> (Vec<Value>, String, &'static str) {
        match parse_json::<Batch>(body) {
            Err(Refusal::Unreadable(mut faults)) => {
                let fault = faults.remove(0);
                (fault.loc, fault.msg, fault.kind)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fault_of_a_body_says_where_and_what() {
        let cases: [(&str, &[Value], &str); 7] = [
            (r#"[["a"]]"#, &["body".into()], "model_type"),
            ("{}", &["body".into(), "filenames".into()], "missing"),
            (r#"{"filenames":"a"}"#, &["body".into(), "filenames".into()], "list_type"),
            (r#"{"filenames":["a",1]}"#, &["body".into(), "filenames".into(), 1.into()], "string_type"),
            (r#"{"filenames":[],"x":1}"#, &["body".into(), "x".into()], "extra_forbidden"),
            (r#"{"filenames":[]"#, &["body".into(), 15.into()], "json_invalid"),
            (r#"{"filenames":[],"filenames":[]}"#, &["body".into(), "filenames".into()], "value_error"),
        ];
        for (body, loc, kind) in cases {
            let (found_loc, msg, found_kind) = fault(body.as_bytes());
            assert_eq!((found_loc.as_slice(), found_kind), (loc, kind), "{body}: {msg}");
        }
    }

    #[test]
    fn bottomless_nesting_is_refused() {
        let open = "[".repeat(100_000);
        for body in [open.clone(), format!(r#"{{"filenames":{open}"#), format!(r#"{{"x":{open}"#)] {
            parse_json::<Batch>(body.as_bytes()).expect_err("refused");
        }
    }
}
