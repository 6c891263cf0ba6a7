//! Adding: a link and what it stands for, uploads, lists, and what lies in the models folder already.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::Candidates;
use lorakeep_registry::domain::UploadRoute;
use serde::Deserialize;

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;
use crate::extract::Query;

#[derive(Template)]
#[template(path = "add.html")]
struct AddPage {
    frame: Frame,
    reference: String,
    entity_types: &'static [&'static str],
    unlisted: u64,
}

#[derive(Template)]
#[template(path = "add_preview.html")]
struct Preview {
    found: Option<Candidates>,
    fault: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    reference: String,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap, Query(asked): Query<Asked>) -> Page {
    let request = lorakeep_registry::PageRequest { limit: Some(1), cursor: None };
    let unlisted = app.registry().unlisted_files(&request)?.total;
    let entity_types = UploadRoute::Admin.entity_types();
    page::render(
        &headers,
        &AddPage { frame: Frame::new("/add"), reference: asked.reference, entity_types, unlisted },
    )
}

/// What a reference stands for; the refusal of an upstream is part of the page.
pub(super) async fn preview(State(app): AppState, headers: HeaderMap, Query(asked): Query<Asked>) -> Page {
    let preview = match app.registry().candidates(&asked.reference).await {
        Ok(found) => Preview { found: Some(found), fault: None },
        Err(error) => Preview { found: None, fault: Some(error.to_string()) },
    };
    page::render(&headers, &preview)
}
