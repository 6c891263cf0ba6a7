//! The tags of CivitAI.

use super::{Civitai, explained, unreadable};
use crate::upstream::error::UpstreamError;
use crate::upstream::lenient::{list, text, whole};

/// Tags of a page; the site allows no more.
pub(crate) const TAGS_A_PAGE: u64 = 200;

/// One tag. Newer answers have its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) id: Option<u64>,
    pub(crate) kind: Option<String>,
}

/// One page of tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TagPage {
    pub(crate) tags: Vec<Tag>,
    /// Tags of all pages, as far as the site says.
    pub(crate) total: Option<u64>,
}

impl Civitai {
    /// A page of tags, from 1.
    pub(crate) async fn tags(&self, page: u64) -> Result<TagPage, UpstreamError> {
        let mut url = self.api_url("tags");
        url.query_pairs_mut()
            .append_pair("limit", &TAGS_A_PAGE.to_string())
            .append_pair("page", &page.to_string());
        let answer = self.api.get(url, self.credential().as_ref()).await;
        let answer = answer.map_err(|error| explained(error, "the tags on CivitAI"))?.json;
        if !answer.get("items").is_some_and(serde_json::Value::is_array) {
            return Err(unreadable("its tags"));
        }
        let tag = |value| {
            Some(Tag { name: text(value, "name")?, id: whole(value, "id"), kind: text(value, "type") })
        };
        let total = answer.get("metadata").and_then(|metadata| whole(metadata, "totalItems"));
        Ok(TagPage { tags: list(&answer, "items").filter_map(tag).collect(), total })
    }
}
