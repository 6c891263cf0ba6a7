//! What can be changed while it runs.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::{Check, CheckOutcome, Settings};

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    settings: Settings,
    bandwidth_mebibytes: String,
    checks: Vec<(&'static str, Check)>,
    data_dir: String,
    models_dir: String,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let settings = registry.settings();
    let checks = registry.doctor().await.into_iter().map(|check| (word(&check), check)).collect();
    let config = registry.config();
    let template = SettingsPage {
        frame: Frame::new("/settings"),
        bandwidth_mebibytes: filters::mebibytes(settings.bandwidth_bytes_per_second),
        settings,
        checks,
        data_dir: config.data_dir.display().to_string(),
        models_dir: config.models_dir.display().to_string(),
    };
    page::render(&headers, &template)
}

fn word(check: &Check) -> &'static str {
    match check.outcome {
        CheckOutcome::Ok => "ok",
        CheckOutcome::Warning => "warning",
        CheckOutcome::Failed => "failed",
    }
}
