//! What a person sees when a page cannot be shown.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use lorakeep_registry::Error;

use super::{filters, page};
use crate::problem::Problem;
use crate::requests::Fault;

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) struct PageFault(Problem);

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    frame: page::Frame,
    status: u16,
    detail: String,
}

impl From<Problem> for PageFault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Error> for PageFault {
    fn from(error: Error) -> Self {
        Self(Problem::from(&error))
    }
}

impl IntoResponse for PageFault {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let template = FaultPage {
            frame: page::Frame::new(""),
            status: problem.status.as_u16(),
            detail: problem.detail.clone(),
        };
        let html = template.render().unwrap_or_else(|_| problem.detail.clone());
        let mut response = page::respond(&HeaderMap::new(), problem.status, html);
        let text = problem.cause.unwrap_or(problem.detail);
        response.extensions_mut().insert(Fault { code: problem.code, text });
        response
    }
}
