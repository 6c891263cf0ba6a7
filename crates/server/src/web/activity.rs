//! What happened lately, and what runs over all files.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::{ActivityLine, FetchWord, VerificationReport};

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    lines: Vec<ActivityLine>,
    verification: Option<VerificationReport>,
    fetching: usize,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let mut lines = registry.activity();
    lines.reverse();
    // There is none until somebody asked for one.
    let verification = registry.verification().ok();
    let fetching = registry
        .metadata_status()
        .iter()
        .filter(|fetch| matches!(fetch.word, FetchWord::Queued | FetchWord::Fetching))
        .count();
    page::render(&headers, &ActivityPage { frame: Frame::new("/activity"), lines, verification, fetching })
}
