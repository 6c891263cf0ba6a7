//! Entries at size: search them, show one with who says what, edit one, undo.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Api, Entry, Page, Reply, json_body, segment};
use crate::failure::{Failure, Result};

/// A page of found entries.
#[derive(Debug)]
pub(crate) struct FoundEntries {
    pub(crate) entries: Vec<Reply<Entry>>,
    /// Entries on all pages.
    pub(crate) total: u64,
    /// The answer as it came.
    pub(crate) json: Value,
}

/// What came of an edit, of one entry or of many.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Edited {
    /// By which it can be undone; `None` when nothing is another now.
    pub(crate) edit: Option<String>,
    /// Values before, of one entry.
    #[serde(default)]
    pub(crate) previous: Map<String, Value>,
}

/// One edit of an entry.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PastEdit {
    pub(crate) id: String,
}

/// The number of rows on all pages.
#[derive(Debug, Deserialize)]
struct Total {
    total: u64,
}

impl Api {
    /// One page of a search; `query` as in the address.
    pub(crate) async fn search(&self, query: &str) -> Result<FoundEntries> {
        let unreadable =
            |error: serde_json::Error| Failure::new("cannot read an entry of the list").caused_by(&error);
        let page: Reply<Page> = self.get(&format!("/api/admin/entries?{query}")).await?;
        let total = Total::deserialize(&page.json).map_err(unreadable)?.total;
        let read = |json: Value| Ok(Reply { data: Entry::deserialize(&json).map_err(unreadable)?, json });
        let entries = page.data.items.into_iter().map(read).collect::<Result<_>>()?;
        Ok(FoundEntries { entries, total, json: page.json })
    }

    /// Every entry that a search finds.
    pub(crate) async fn search_all(&self, query: &str) -> Result<Vec<Reply<Entry>>> {
        self.rows(&format!("/api/admin/entries?{query}")).await
    }

    /// One entry with who says what stands in each field.
    pub(crate) async fn entry_by_id(&self, id: &str) -> Result<Reply<Entry>> {
        self.get(&format!("/api/admin/entries/{}", segment(id))).await
    }

    /// Edits an entry.
    pub(crate) async fn edit_entry(&self, id: &str, edit: &Map<String, Value>) -> Result<Reply<Edited>> {
        let path = format!("/api/admin/entries/{}", segment(id));
        self.call(Method::PATCH, &path, Some(json_body(edit)?)).await
    }

    /// The last edit of an entry, if it has one.
    pub(crate) async fn last_edit(&self, id: &str) -> Result<Option<PastEdit>> {
        let page: Reply<Page> =
            self.get(&format!("/api/admin/entries/{}/history?limit=1", segment(id))).await?;
        let last = page.data.items.into_iter().next().map(|json| PastEdit::deserialize(&json)).transpose();
        last.map_err(|error| Failure::new("cannot read an edit").caused_by(&error))
    }

    /// Undoes an edit.
    pub(crate) async fn revert_edit(&self, id: &str) -> Result<Reply<Edited>> {
        self.post(&format!("/api/admin/edits/{}/revert", segment(id))).await
    }
}
