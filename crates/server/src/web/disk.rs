//! What fills the disk, by category and by base model.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{Listing, Stats};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::filters;
use super::page::{self, Frame, Page};
use super::treemap::{Rect, squarify};
use crate::app::AppState;
use crate::extract::Query;

/// The picture's own units; the browser scales it.
const WHOLE: Rect = Rect { x: 0.0, y: 0.0, width: 1000.0, height: 360.0 };
/// Parts of the picture; what is smaller is one part together.
const MOST: usize = 40;
/// Colours in the stylesheet.
const COLOURS: usize = 8;
/// A part narrower or lower than this has no room for its name.
const ROOM_FOR_NAME: (f64, f64) = (90.0, 34.0);

#[derive(Template)]
#[template(path = "disk.html")]
struct DiskPage {
    frame: Frame,
    by: &'static str,
    parts: Vec<Part>,
    stats: Stats,
    bytes: u64,
    files: u64,
}

/// One part of the picture and of the table below it.
struct Part {
    name: String,
    link: Option<String>,
    bytes: u64,
    files: u64,
    rect: Rect,
    colour: usize,
    label: Option<String>,
}

/// What the parts are.
#[derive(Debug, Deserialize)]
pub(super) struct By {
    by: Option<String>,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap, Query(by): Query<By>) -> Page {
    let by = if by.by.as_deref() == Some("base") { "base" } else { "category" };
    let registry = app.registry();
    let listings = [registry.listing(CatalogName::Models), registry.listing(CatalogName::Loras)];
    let sums = sum(&listings, by);
    let (bytes, files) = sums.iter().fold((0, 0), |(bytes, files), (_, sum)| (bytes + sum.0, files + sum.1));
    let stats = listings[0].stats;
    page::render(
        &headers,
        &DiskPage { frame: Frame::new("/disk"), by, parts: parts(sums, by), stats, bytes, files },
    )
}

/// Bytes and files by name, largest first.
fn sum(listings: &[Listing], by: &str) -> Vec<(String, (u64, u64))> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for category in listings.iter().flat_map(|listing| &listing.categories) {
        for state in &category.entries {
            let Some(file) = &state.file else { continue };
            let name =
                if by == "base" { state.entry.document.base_model() } else { category.category.id.as_str() };
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + file.stamp.size_bytes, sum.1 + 1);
        }
    }
    let mut sums: Vec<_> = sums.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect();
    sums.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    sums.retain(|(_, (bytes, _))| *bytes > 0);
    sums
}

fn parts(mut sums: Vec<(String, (u64, u64))>, by: &str) -> Vec<Part> {
    let rest = sums.split_off(sums.len().min(MOST));
    let rest_bytes = rest.iter().map(|(_, sum)| sum.0).sum::<u64>();
    let mut weights: Vec<f64> = sums.iter().map(|(_, sum)| sum.0 as f64).collect();
    if rest_bytes > 0 {
        sums.push((format!("{} others", rest.len()), (rest_bytes, rest.iter().map(|(_, sum)| sum.1).sum())));
        weights.push(rest_bytes as f64);
    }
    let rects = squarify(&weights, WHOLE);
    let has_rest = rest_bytes > 0;
    let last = sums.len().saturating_sub(1);
    let named = sums.into_iter().zip(rects).enumerate();
    named
        .map(|(index, ((name, (bytes, files)), rect))| {
            let is_rest = has_rest && index == last;
            let link = (!is_rest && !name.is_empty()).then(|| link(by, &name));
            let shown = if name.is_empty() { "(no base model)".to_owned() } else { name };
            let has_room = rect.width >= ROOM_FOR_NAME.0 && rect.height >= ROOM_FOR_NAME.1;
            let label = has_room.then(|| shorten(&shown, rect.width));
            Part { name: shown, link, bytes, files, rect, colour: index % COLOURS, label }
        })
        .collect()
}

fn link(by: &str, name: &str) -> String {
    let field = if by == "base" { "base_model" } else { "category" };
    format!("/?{field}={}&status=present&sort=-size", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// As much of a name as fits at about 8 units a letter.
fn shorten(name: &str, width: f64) -> String {
    let room = (width / 8.0) as usize;
    if name.chars().count() <= room {
        return name.to_owned();
    }
    name.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}
