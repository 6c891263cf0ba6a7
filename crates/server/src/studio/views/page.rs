//! Lists that no contract defines (decision 24).

use lorakeep_registry::Page;
use schemars::JsonSchema;
use serde::Serialize;

/// One page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(in crate::studio) struct PageView<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    total: u64,
}

impl<T> PageView<T> {
    /// A list that is never long enough for pages.
    pub(in crate::studio) fn all(items: Vec<T>) -> Self {
        Self { total: items.len() as u64, items, next_cursor: None }
    }

    pub(in crate::studio) fn new<D>(page: Page<D>, view: impl FnMut(D) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(view).collect(),
            next_cursor: page.next_cursor,
            total: page.total,
        }
    }
}
