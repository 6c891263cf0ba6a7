//! Following a catalog in a repository: what a sync would do, said before it does.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::{Error, SyncReport};
use serde_json::Value;

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

/// Names of one kind that the page shows.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "sync.html")]
struct SyncPage {
    frame: Frame,
    url: Option<String>,
    branch: String,
    /// What would happen; `None` before the first check.
    report: Option<SyncReport>,
    fault: Option<String>,
}

/// Files that would meet the same.
struct Group<'a> {
    title: &'static str,
    explanation: &'static str,
    files: &'a [String],
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let (report, fault) = match registry.sync_catalog(true).await {
        Ok(report) => (Some(report), None),
        Err(Error::Unavailable { code: "repo_missing", .. }) => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let repository = &registry.config().repository;
    let template = SyncPage {
        frame: Frame::new("/settings"),
        url: repository.url.clone(),
        branch: repository.branch.clone(),
        report,
        fault,
    };
    page::render(&headers, &template)
}

impl SyncPage {
    /// A value of a field for people; texts without their quotes.
    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn shown(&self, value: &Value) -> String {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn groups<'a>(&self, report: &'a SyncReport) -> Vec<Group<'a>> {
        let groups = [
            Group { title: "Added", explanation: "new in the repository", files: &report.added },
            Group { title: "Updated", explanation: "changed there and not here", files: &report.updated },
            Group {
                title: "Kept",
                explanation: "yours, edited here, or taken out here",
                files: &report.kept,
            },
        ];
        groups.into_iter().filter(|group| !group.files.is_empty()).collect()
    }
}

impl Group<'_> {
    fn shown(&self) -> &[String] {
        &self.files[..self.files.len().min(SHOWN)]
    }

    fn others(&self) -> usize {
        self.files.len() - self.shown().len()
    }
}
