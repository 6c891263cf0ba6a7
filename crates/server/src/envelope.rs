//! Errors of the studio and the vault: `{"detail": "text"}` and nothing beside it, as their contracts have it, and for
//! unreadable input a list of `{loc, msg, type}` as FastAPI gives it. The stable code stands in a header.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use lorakeep_registry::Error;
use lorakeep_registry::error::Thing;
use serde::Serialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::requests::Fault;

/// Why a request was refused or failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Everything with a text.
    Problem(Box<Problem>),
    /// Input of the wrong shape.
    Unreadable(Vec<Unreadable>),
}

/// One fault of an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Unreadable {
    /// Where: `body`, `query` or `path`, then names and indexes.
    pub(crate) loc: Vec<Value>,
    /// What is wrong, for people.
    pub(crate) msg: String,
    /// What is wrong, as a stable word.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

/// Texts that the contract fixes.
mod words {
    pub(super) const FILE_PRESENT: &str =
        "Cannot remove from catalog while file exists on disk. Delete the file first.";
    pub(super) const VERSION_NOT_FOUND: &str = "Version not found in models catalog";
    pub(super) const IMAGE_NOT_FOUND: &str = "Image not found";
    pub(super) const NOT_FOUND: &str = "Not Found";
    pub(super) const METHOD_NOT_ALLOWED: &str = "Method Not Allowed";
}

/// The header with the stable code of an error, `snake_case`.
pub(crate) const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

#[derive(Serialize)]
struct Envelope<'a> {
    detail: Cow<'a, str>,
}

#[derive(Serialize)]
struct UnreadableEnvelope<'a> {
    detail: &'a [Unreadable],
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(status, code, detail).into()
    }

    /// A path that nobody serves.
    pub(crate) fn path_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", words::NOT_FOUND)
    }

    /// One fault of the input.
    pub(crate) fn unreadable(loc: Vec<Value>, msg: impl Into<String>, kind: &'static str) -> Self {
        Self::Unreadable(vec![Unreadable { loc, msg: msg.into(), kind }])
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let mut problem = Problem::from(&error);
        if let Some(words) = contract_words(&error) {
            problem.detail = words;
        }
        problem.into()
    }
}

/// The words that existing clients know.
fn contract_words(error: &Error) -> Option<String> {
    match error {
        Error::NotFound { thing: Thing::Entry, name } => Some(format!("Model '{name}' not found in catalog")),
        Error::NotFound { thing: Thing::Version, .. } => Some(words::VERSION_NOT_FOUND.to_owned()),
        Error::NotFound { thing: Thing::Image, .. } => Some(words::IMAGE_NOT_FOUND.to_owned()),
        Error::Conflict { code: "file_present", .. } => Some(words::FILE_PRESENT.to_owned()),
        Error::Invalid(invalid) if invalid.code == "malformed_catalog" => {
            Some(format!("Invalid JSON: {}", invalid.message))
        }
        _ => None,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => render(&problem),
            Self::Unreadable(faults) => {
                let text = faults.iter().map(|fault| fault.msg.as_str()).collect::<Vec<_>>().join("; ");
                let body = axum::Json(UnreadableEnvelope { detail: &faults });
                let mut response = (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
                response.headers_mut().insert(ERROR_CODE, HeaderValue::from_static("unreadable"));
                response.extensions_mut().insert(Fault { code: "unreadable", text });
                response
            }
        }
    }
}

fn render(problem: &Problem) -> Response {
    let detail = match &problem.suggestion {
        Some(suggestion) => Cow::Owned(format!("{}; try `{suggestion}`", problem.detail)),
        None => Cow::Borrowed(problem.detail.as_str()),
    };
    let mut response = (problem.status, axum::Json(Envelope { detail })).into_response();
    response.headers_mut().insert(ERROR_CODE, HeaderValue::from_static(problem.code));
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response.headers_mut().extend(problem.headers.iter().cloned());
    if matches!(problem.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // What is left of the body is not worth reading.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let text = problem.cause.as_ref().unwrap_or(&problem.detail).clone();
    response.extensions_mut().insert(Fault { code: problem.code, text });
    response
}

/// A path that nobody serves.
pub(crate) async fn not_found() -> Refusal {
    Refusal::path_not_found()
}

/// A path that is served, by another method.
pub(crate) async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words::METHOD_NOT_ALLOWED)
}
