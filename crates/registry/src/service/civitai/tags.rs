//! CivitAI's tags, brought here page by page: a call takes a bounded number of pages, and the next goes on where it was.

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::service::Registry;
use crate::store::StoredTag;
use crate::upstream::civitai::TAGS_A_PAGE;

/// Pages that one call takes.
const PAGES_A_CALL: u64 = 10;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CivitaiTag {
    /// Its id, when the site told it.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its type, when the site told it.
    pub kind: Option<String>,
    /// When it was last seen there.
    pub synced_at: DateTime<Utc>,
}

/// What a call brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagSync {
    /// Tags that were read.
    pub synced: u64,
    /// Tags that are known here now.
    pub total_known: u64,
    /// Tags that the site has beyond them, as far as it says.
    pub unknown_remaining: u64,
}

impl Registry {
    /// The tags that are known here, in the site's order.
    pub async fn civitai_tags(&self) -> Result<Vec<CivitaiTag>> {
        let stored = self.inner.store.list_tags().await?;
        let tags = stored.into_iter().map(|tag| CivitaiTag {
            id: tag.tag_id.map(|id| id as u64),
            name: tag.name,
            kind: tag.kind,
            synced_at: tag.synced_at,
        });
        Ok(tags.collect())
    }

    /// Brings the next tags; from the beginning again when all were known.
    pub async fn sync_civitai_tags(&self) -> Result<TagSync> {
        let mut known = self.inner.store.count_tags().await? as u64;
        // The last page may have grown since.
        let mut page = known / TAGS_A_PAGE + 1;
        let (mut synced, mut total) = (0, known);
        for _ in 0..PAGES_A_CALL {
            let found = self.inner.jobs.upstreams.civitai.tags(page).await?;
            total = found.total.unwrap_or(total);
            if found.tags.is_empty() && page > 1 && synced == 0 {
                page = 1;
                continue;
            }
            let count = found.tags.len() as u64;
            self.save_tag_page(page, found.tags).await?;
            synced += count;
            if count < TAGS_A_PAGE {
                break;
            }
            page += 1;
        }
        known = self.inner.store.count_tags().await? as u64;
        Ok(TagSync { synced, total_known: known, unknown_remaining: total.saturating_sub(known) })
    }

    async fn save_tag_page(&self, page: u64, tags: Vec<crate::upstream::civitai::Tag>) -> Result<()> {
        let (first, synced_at) = ((page - 1) * TAGS_A_PAGE, self.now());
        let stored: Vec<StoredTag> = (first..)
            .zip(tags)
            .map(|(position, tag)| StoredTag {
                name: tag.name,
                tag_id: tag.id.map(|id| id as i64),
                kind: tag.kind,
                position: position as i64,
                synced_at,
            })
            .collect();
        self.inner.store.save_tags(&stored).await
    }
}
