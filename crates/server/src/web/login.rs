//! The door: the admin key for a session. A plain form, so that it works without a script.

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use lorakeep_registry::domain::CallerKind;
use serde::Deserialize;

use super::page::{Frame, Page, render_as};
use crate::app::AppState;
use crate::auth;
use crate::extract::Query;
use crate::problem::Problem;
use crate::session::{self, local_path};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    next: &'a str,
    /// Why the last try did not work.
    refusal: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct LoginQuery {
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LoginForm {
    api_key: String,
    next: Option<String>,
}

/// What existing clients call the start page.
pub(super) async fn lead_home() -> Redirect {
    Redirect::to("/")
}

/// The form; who is logged in already is let through.
pub(super) async fn show(State(app): AppState, parts: Parts, Query(query): Query<LoginQuery>) -> Page {
    let next = local_path(query.next.as_deref());
    if auth::identify(&app, &parts).await?.caller.kind == CallerKind::Admin {
        return Ok(led_to(next));
    }
    page(&parts.headers, StatusCode::OK, next, None)
}

pub(super) async fn log_in(
    State(app): AppState,
    parts: Parts,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Page {
    let Ok(Form(form)) = form else {
        return page(
            &parts.headers,
            StatusCode::BAD_REQUEST,
            local_path(None),
            Some("send the form of this page"),
        );
    };
    let next = local_path(form.next.as_deref());
    // A key is often pasted with a line end.
    match session::log_in(&app, &parts, form.api_key.trim(), Some(next)).await {
        Ok(Some(login)) => {
            let mut response = led_to(&login.redirect);
            login.session.begin(response.headers_mut());
            Ok(response)
        }
        Ok(None) => page(&parts.headers, StatusCode::UNAUTHORIZED, next, Some("This is not the admin key.")),
        Err(problem) if problem.status.is_client_error() => refused(&parts.headers, next, &problem),
        Err(problem) => Err(problem.into()),
    }
}

fn refused(headers: &HeaderMap, next: &str, problem: &Problem) -> Page {
    let mut response = page(headers, problem.status, next, Some(&problem.detail))?;
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

fn page(headers: &HeaderMap, status: StatusCode, next: &str, refusal: Option<&str>) -> Page {
    let template = LoginPage { frame: Frame::new("/login"), next, refusal };
    render_as(status, headers, &template)
}

fn led_to(path: &str) -> Response {
    ([(CACHE_CONTROL, "no-store")], Redirect::to(path)).into_response()
}
