//! What is on disk more than once, and copies to the bin.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::domain::ModelPath;
use lorakeep_registry::{DuplicateGroup, DuplicateReport, Sameness};

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

/// Groups on the page; when the first ones are gone others come up.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "duplicates.html")]
struct DuplicatesPage {
    frame: Frame,
    report: DuplicateReport,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Page {
    let mut report = app.registry().duplicates().await?;
    report.groups.truncate(SHOWN);
    page::render(&headers, &DuplicatesPage { frame: Frame::new("/disk"), report })
}

impl DuplicatesPage {
    /// Whether a copy of that group can go without a thought.
    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn is_content(&self, group: &DuplicateGroup) -> bool {
        group.sameness == Sameness::Content
    }

    /// The body that sends one copy to the bin.
    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn body(&self, path: &ModelPath) -> String {
        serde_json::json!({ "path": path.to_string() }).to_string()
    }
}
