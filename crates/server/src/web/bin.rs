//! What was deleted and can come back, and what may not be loaded.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::{BinItem, PageRequest, QuarantinedFile};
use serde::Deserialize;

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;
use crate::extract::Query;

/// Rows on a page.
const SHOWN: u32 = 100;

#[derive(Template)]
#[template(path = "bin.html")]
struct BinPage {
    frame: Frame,
    items: Vec<BinItem>,
    total: u64,
    bytes: u64,
    next: Option<String>,
    days: u32,
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct QuarantinePage {
    frame: Frame,
    items: Vec<QuarantinedFile>,
    total: u64,
    next: Option<String>,
}

/// Where a page of rows begins.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    cursor: Option<String>,
}

impl From {
    fn page(self) -> PageRequest {
        PageRequest { limit: Some(SHOWN), cursor: self.cursor }
    }
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap, Query(from): Query<From>) -> Page {
    let registry = app.registry();
    let page = registry.list_bin(from.page()).await?;
    let bytes = registry.bin_bytes();
    let days = registry.settings().bin_days;
    let frame = Frame::new("/bin");
    let next = page.next_cursor;
    page::render(&headers, &BinPage { frame, items: page.items, total: page.total, bytes, next, days })
}

pub(super) async fn show_quarantine(
    State(app): AppState,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Page {
    let page = app.registry().list_quarantine(from.page()).await?;
    let frame = Frame::new("/quarantine");
    page::render(
        &headers,
        &QuarantinePage { frame, items: page.items, total: page.total, next: page.next_cursor },
    )
}
