//! Errors of the public API: `{"error": {"code", "message", "request_id"}}`, and input in this surface's words.
//!
//! A handler's error travels as an extension of its response, since only the way out knows the request's id.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONNECTION, RETRY_AFTER};
use http::request::Parts;
use lorakeep_registry::Error;
use serde::Serialize;

use crate::envelope::{ERROR_CODE, Refusal, Unreadable};
use crate::problem::Problem;
use crate::requests::{Fault, RequestId};

/// Why a call was refused or failed.
#[derive(Debug, Clone)]
pub(super) struct PublicRefusal(Box<Problem>);

/// An error as callers read it.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorView<'a> {
    error: ErrorDetailView<'a>,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorDetailView<'a> {
    /// A stable word for programs.
    code: &'a str,
    /// What is wrong and what to do, for people.
    message: &'a str,
    /// The id of the request, by which its line in the server's log is found.
    request_id: &'a str,
}

impl From<Problem> for PublicRefusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Error> for PublicRefusal {
    fn from(error: Error) -> Self {
        Problem::from(&error).into()
    }
}

impl From<Refusal> for PublicRefusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Problem(problem) => Self(problem),
            Refusal::Unreadable(faults) => {
                let text = faults.iter().map(said).collect::<Vec<_>>().join("; ");
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable", text).into()
            }
        }
    }
}

/// `limit: Input should be a valid integer, 0 or more`, without the first word, which says body or query.
fn said(fault: &Unreadable) -> String {
    let place =
        fault.loc.iter().skip(1).map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
    let place = place.collect::<Vec<_>>().join(".");
    if place.is_empty() { fault.msg.clone() } else { format!("`{place}`: {}", fault.msg) }
}

impl IntoResponse for PublicRefusal {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an answer that is an error.
pub(super) fn finish(mut response: Response, id: &RequestId) -> Response {
    let Some(PublicRefusal(problem)) = response.extensions_mut().remove() else { return response };
    let message = match &problem.suggestion {
        Some(suggestion) => &format!("{}; try `{suggestion}`", problem.detail),
        None => &problem.detail,
    };
    let error = ErrorDetailView { code: problem.code, message, request_id: id.as_str() };
    let mut written = (problem.status, axum::Json(ErrorView { error })).into_response();
    let headers = written.headers_mut();
    headers.insert(ERROR_CODE, http::HeaderValue::from_static(problem.code));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    headers.extend(problem.headers.iter().cloned());
    if matches!(problem.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // What is left of the body is not worth reading.
        headers.insert(CONNECTION, http::HeaderValue::from_static("close"));
    }
    let text = problem.cause.as_ref().unwrap_or(&problem.detail).clone();
    written.extensions_mut().insert(Fault { code: problem.code, text });
    written
}

/// An extractor of a whole request whose refusals wear this envelope.
pub(super) struct Whole<T>(pub(super) T);

/// An extractor of a request's head whose refusals wear this envelope.
pub(super) struct Head<T>(pub(super) T);

impl<S: Send + Sync, T: FromRequest<S, Rejection = Refusal>> FromRequest<S> for Whole<T> {
    type Rejection = PublicRefusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, PublicRefusal> {
        Ok(Self(T::from_request(request, state).await?))
    }
}

impl<S: Send + Sync, T: FromRequestParts<S, Rejection = Refusal>> FromRequestParts<S> for Head<T> {
    type Rejection = PublicRefusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PublicRefusal> {
        Ok(Self(T::from_request_parts(parts, state).await?))
    }
}
