//! Entries at size: search them, show one with who says what, edit one, undo.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Api, Entry, PAGE_ROWS, Page, Reply, json_body, segment};
use crate::failure::{Failure, Result};

/// A page of found entries.
#[derive(Debug, Default)]
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

/// What came of an edit of many.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EntriesEdited {
    /// By which it can be undone; `None` when nothing is another now.
    pub(crate) edit: Option<String>,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    /// What an undo left alone, since it was edited again.
    #[serde(default)]
    pub(crate) conflicts: Vec<Value>,
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

impl FoundEntries {
    /// Where the next page begins, when there is one.
    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.json["next_cursor"].as_str()
    }
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

    /// The entries that a search finds from `cursor` on, `most` at most, page by page.
    pub(crate) async fn search_up_to(
        &self,
        query: &str,
        most: Option<u64>,
        cursor: Option<&str>,
    ) -> Result<FoundEntries> {
        let mut found = FoundEntries::default();
        let mut cursor = cursor.map(str::to_owned);
        loop {
            let room = most.map_or(u64::MAX, |most| most.saturating_sub(found.entries.len() as u64));
            let mut page_query = format!("{query}&limit={}", room.min(PAGE_ROWS.into()));
            if let Some(cursor) = &cursor {
                page_query.push_str("&cursor=");
                page_query.push_str(&segment(cursor));
            }
            let page = self.search(&page_query).await?;
            found.entries.extend(page.entries);
            (found.total, found.json) = (page.total, page.json);
            let is_full = most.is_some_and(|most| found.entries.len() as u64 >= most);
            let next = found.next_cursor().filter(|next| !is_full && cursor.as_deref() != Some(next));
            match next.map(str::to_owned) {
                Some(next) => cursor = Some(next),
                None => return Ok(found),
            }
        }
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

    /// Edits all entries that a filter finds; `edit` holds the filter beside the fields.
    pub(crate) async fn edit_entries(&self, edit: &Map<String, Value>) -> Result<Reply<EntriesEdited>> {
        self.patch_json("/api/admin/entries", edit).await
    }

    /// Undoes an edit of many.
    pub(crate) async fn revert_edit_of_many(&self, id: &str) -> Result<Reply<EntriesEdited>> {
        self.post(&format!("/api/admin/edits/{}/revert", segment(id))).await
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
