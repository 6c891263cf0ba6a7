//! CivitAI's tags.

use serde::Deserialize;
use serde_json::Value;

use super::{Api, Reply};
use crate::failure::{Failure, Result};

/// One tag.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tag {
    pub(crate) name: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) synced_at: String,
}

#[derive(Debug, Deserialize)]
struct Tags {
    tags: Vec<Value>,
}

/// What one call brought.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TagSync {
    pub(crate) synced: u64,
    pub(crate) total_known: u64,
    /// Tags that the site has beyond them; absent when it has none.
    #[serde(default)]
    pub(crate) unknown_remaining: u64,
}

impl Api {
    /// The tags that are known here, in the site's order.
    pub(crate) async fn civitai_tags(&self) -> Result<Vec<Reply<Tag>>> {
        let answer: Reply<Tags> = self.get("/api/admin/civitai/tags").await?;
        let unreadable = |error: serde_json::Error| Failure::new("cannot read a tag").caused_by(&error);
        let read = |json: Value| Ok(Reply { data: Tag::deserialize(&json).map_err(unreadable)?, json });
        answer.data.tags.into_iter().map(read).collect()
    }

    /// Brings the next tags.
    pub(crate) async fn sync_civitai_tags(&self) -> Result<Reply<TagSync>> {
        self.post("/api/admin/civitai/tags/sync").await
    }
}
