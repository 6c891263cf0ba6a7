//! Images of CivitAI by id, through its public API.

use serde_json::Value;
use url::Url;

use super::{Civitai, explained, unreadable};
use crate::upstream::error::UpstreamError;
use crate::upstream::lenient::{list, text, whole};

/// All levels of content: without it the site shows the tame ones alone.
const ALL_LEVELS: &str = "31";

/// An image or video with its record. Everything but the id may be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Image {
    pub(crate) id: u64,
    /// Where its bytes are.
    pub(crate) url: Option<String>,
    /// `image`, `video` or `audio`.
    pub(crate) kind: Option<String>,
    pub(crate) width: Option<u64>,
    pub(crate) height: Option<u64>,
    pub(crate) username: Option<String>,
    pub(crate) post_id: Option<u64>,
    pub(crate) base_model: Option<String>,
    /// As written.
    pub(crate) created_at: Option<String>,
    /// The versions that it was made with.
    pub(crate) version_ids: Vec<u64>,
    /// Hearts and likes.
    pub(crate) reactions: u64,
    pub(crate) comments: u64,
    /// What it was made with; null when that is hidden.
    pub(crate) meta: Value,
    /// The post's title; only the site itself tells it, as the next three.
    pub(crate) post_title: Option<String>,
    /// Seconds of a video.
    pub(crate) duration: Option<f64>,
    pub(crate) has_audio: bool,
    /// Collections that hold it.
    pub(crate) collected: u64,
}

/// Which images of a feed are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImageFeed {
    pub(crate) model_id: Option<u64>,
    pub(crate) version_id: Option<u64>,
    pub(crate) username: Option<String>,
    /// `Most Reactions`, `Newest`, …
    pub(crate) sort: Option<String>,
    /// `AllTime`, `Month`, …
    pub(crate) period: Option<String>,
    /// The bits of levels; all of them when absent.
    pub(crate) browsing_level: Option<u32>,
    /// `image` or `video`; both when absent.
    pub(crate) kind: Option<String>,
    /// Only those that say how they were made.
    pub(crate) needs_meta: bool,
}

/// One page of a feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ImagePage {
    pub(crate) images: Vec<Image>,
    /// Opaque; none on the last page.
    pub(crate) next_cursor: Option<String>,
}

impl Civitai {
    /// One image. Hidden, deleted and reviewed ones are `not_found`.
    pub(crate) async fn image(&self, image_id: u64) -> Result<Image, UpstreamError> {
        let name = format!("image {image_id} on CivitAI");
        let id = image_id.to_string();
        let url = self.images_url(&[("imageId", &id), ("browsingLevel", ALL_LEVELS), ("limit", "1")]);
        let answer =
            self.api.get(url, self.credential().as_ref()).await.map_err(|error| explained(error, &name))?;
        if !answer.json.get("items").is_some_and(Value::is_array) {
            return Err(unreadable(&name));
        }
        // A lost id is answered with other images now and then.
        list(&answer.json, "items").filter_map(Image::read).find(|image| image.id == image_id).ok_or_else(|| {
            let message = format!("{name} was not found: it was deleted, hidden or is under review there, or the id is wrong");
            UpstreamError::refused("not_found", 404, message)
        })
    }

    /// One page of a feed, 100 images at most.
    pub(crate) async fn images(
        &self,
        feed: &ImageFeed,
        cursor: Option<&str>,
    ) -> Result<ImagePage, UpstreamError> {
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let level = feed.browsing_level.map_or_else(|| ALL_LEVELS.to_owned(), |level| level.to_string());
        let given = [
            ("modelId", text(feed.model_id)),
            ("modelVersionId", text(feed.version_id)),
            ("username", feed.username.clone()),
            ("sort", feed.sort.clone()),
            ("period", feed.period.clone()),
            ("browsingLevel", Some(level)),
            ("type", feed.kind.clone()),
            ("requiringMeta", feed.needs_meta.then(|| "true".to_owned())),
            ("limit", Some("100".to_owned())),
            ("cursor", cursor.map(str::to_owned)),
        ];
        let query: Vec<(&str, &str)> =
            given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        let url = self.images_url(&query);
        let answer = self.api.get(url, self.credential().as_ref()).await;
        let answer = answer.map_err(|error| explained(error, "the images on CivitAI"))?;
        let next_cursor =
            answer.json.get("metadata").and_then(|metadata| text_or_number(metadata, "nextCursor"));
        Ok(ImagePage { images: list(&answer.json, "items").filter_map(Image::read).collect(), next_cursor })
    }

    fn images_url(&self, query: &[(&str, &str)]) -> Url {
        let mut url = self.api_url("images");
        url.query_pairs_mut().extend_pairs(query).extend_pairs([("withMeta", "true"), ("flatMeta", "true")]);
        url
    }
}

impl Image {
    pub(super) fn read(value: &Value) -> Option<Self> {
        let stats = value.get("stats").unwrap_or(&Value::Null);
        let count = |field: &str| {
            whole(stats, field).or_else(|| whole(stats, &format!("{field}AllTime"))).unwrap_or_default()
        };
        Some(Self {
            id: whole(value, "id")?,
            url: text(value, "url"),
            kind: text(value, "type"),
            width: whole(value, "width"),
            height: whole(value, "height"),
            username: text(value, "username"),
            post_id: whole(value, "postId"),
            base_model: text(value, "baseModel"),
            created_at: text(value, "createdAt"),
            version_ids: list(value, "modelVersionIds").filter_map(Value::as_u64).collect(),
            reactions: count("heartCount") + count("likeCount"),
            comments: count("commentCount"),
            meta: flat_meta(value.get("meta").unwrap_or(&Value::Null)),
            post_title: text(value, "postTitle"),
            duration: None,
            has_audio: false,
            collected: count("collectedCount"),
        })
    }

    /// The versions that the image or its metadata name, with type and weight as far as they are given.
    pub(crate) fn resources(&self) -> Vec<(u64, Option<String>, Option<f64>)> {
        let mut found: Vec<(u64, Option<String>, Option<f64>)> = Vec::new();
        for resource in list(&self.meta, "civitaiResources") {
            let Some(version_id) = whole(resource, "modelVersionId") else { continue };
            if !found.iter().any(|(known, ..)| *known == version_id) {
                let weight = resource.get("weight").and_then(Value::as_f64);
                found.push((version_id, text(resource, "type"), weight));
            }
        }
        for version_id in &self.version_ids {
            if !found.iter().any(|(known, ..)| known == version_id) {
                found.push((*version_id, None, None));
            }
        }
        found
    }
}

/// The metadata, which some answers wrap once more.
fn flat_meta(meta: &Value) -> Value {
    match meta.get("meta") {
        Some(inner) if meta.get("id").is_some() && (inner.is_object() || inner.is_null()) => inner.clone(),
        _ => meta.clone(),
    }
}

fn text_or_number(value: &Value, field: &str) -> Option<String> {
    text(value, field).or_else(|| whole(value, field).map(|number| number.to_string()))
}
