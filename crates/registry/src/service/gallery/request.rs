//! What a run over a model's gallery is asked for, judged.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::upstream::civitai::ImageFeed;

/// Images of a run when nobody says how many.
const USUAL: u32 = 200;
/// Images of a run.
const LIMITS: RangeInclusive<u32> = 1..=1000;
/// Images that are fetched at once.
const WORKERS: RangeInclusive<u32> = 1..=20;
/// The same when nobody says.
const USUAL_WORKERS: u32 = 4;
/// The site's orders of a feed.
const SORTS: [&str; 6] = ["Most Reactions", "Most Comments", "Most Collected", "Newest", "Oldest", "Random"];
/// The site's spans of time.
const PERIODS: [&str; 5] = ["Day", "Week", "Month", "Year", "AllTime"];

/// What a run is to fetch. What is absent is left to CivitAI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GalleryRequest {
    /// Images at most, 1 to 1,000; 200 when absent.
    pub limit: Option<u32>,
    /// Only those of the model's author, as its card shows them.
    pub only_author: bool,
    /// Only those made with this version.
    pub version_id: Option<u64>,
    /// `Most Reactions`, `Newest`, …
    pub sort: Option<String>,
    /// `AllTime`, `Month`, …
    pub period: Option<String>,
    /// Bits of CivitAI's levels; all of them when absent.
    pub browsing_level: Option<u32>,
    /// `image`, `video`, or both.
    pub kinds: Vec<String>,
    /// Only those that say how they were made.
    pub needs_meta: bool,
    /// Only those made on the site; wants a key.
    pub from_platform: bool,
    /// Only remixes; wants a key.
    pub is_remix: bool,
    /// Images that are fetched at once, 1 to 20; 4 when absent.
    pub workers: Option<u32>,
    /// How the original would have searched.
    pub mode: SearchMode,
}

/// The original's ways to search. All of them lead to the public API here; the word is kept with the images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SearchMode {
    /// One search with fixed wishes.
    #[default]
    Fixed,
    /// The site's own calls.
    Trpc,
    /// The public API.
    Rest,
}

impl SearchMode {
    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Fixed, Self::Trpc, Self::Rest].into_iter().find(|mode| mode.as_str() == text)
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Trpc => "trpc",
            Self::Rest => "rest",
        }
    }
}

/// A request that can be carried out.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) feed: ImageFeed,
    pub(super) limit: usize,
    pub(super) workers: usize,
    pub(super) only_author: bool,
    pub(super) needs_meta: bool,
    pub(super) mode: SearchMode,
    from_platform: bool,
    is_remix: bool,
}

impl Plan {
    pub(super) fn of(request: GalleryRequest, has_key: bool) -> Result<Self> {
        let limit = within("action", "images", request.limit.unwrap_or(USUAL), LIMITS)?;
        let workers = within("workers", "workers", request.workers.unwrap_or(USUAL_WORKERS), WORKERS)?;
        one_of("sort", request.sort.as_deref(), &SORTS)?;
        one_of("period", request.period.as_deref(), &PERIODS)?;
        for kind in &request.kinds {
            one_of("types", Some(kind), &["image", "video"])?;
        }
        if (request.from_platform || request.is_remix) && !has_key {
            let message = "CivitAI tells what was made on the site and what is a remix only to those with a key; set \
                           `CIVITAI_API_KEY`, or leave `from_platform` and `is_remix` out";
            return Err(Error::Unavailable { code: "not_configured", message: message.to_owned() });
        }
        let only_kind = if request.kinds.len() == 1 { request.kinds.into_iter().next() } else { None };
        let feed = ImageFeed {
            version_id: request.version_id,
            sort: request.sort,
            period: request.period,
            browsing_level: request.browsing_level,
            kind: only_kind,
            needs_meta: request.needs_meta,
            ..ImageFeed::default()
        };
        Ok(Self {
            feed,
            limit: limit as usize,
            workers: workers as usize,
            only_author: request.only_author,
            needs_meta: request.needs_meta,
            mode: request.mode,
            from_platform: request.from_platform,
            is_remix: request.is_remix,
        })
    }

    /// Whether only the site's own data tell what is wanted.
    pub(super) fn asks_the_site(&self) -> bool {
        self.from_platform || self.is_remix
    }

    /// By the generation data of an image.
    pub(super) fn is_wanted(&self, data: &Value) -> bool {
        let on_site = data.get("onSite").and_then(Value::as_bool).unwrap_or_default();
        let is_remix = data.get("remixOfId").is_some_and(|id| !id.is_null());
        (!self.from_platform || on_site) && (!self.is_remix || is_remix)
    }

    /// Whose images they are when only the author's were asked for.
    pub(super) fn source(&self) -> &'static str {
        if self.only_author { "original" } else { "community" }
    }
}

fn within(field: &str, what: &str, number: u32, bounds: RangeInclusive<u32>) -> Result<u32> {
    if bounds.contains(&number) {
        return Ok(number);
    }
    let message = format!("a gallery run takes {} to {} {what}, not {number}", bounds.start(), bounds.end());
    Err(Error::invalid("out_of_range", field, message))
}

fn one_of(field: &str, text: Option<&str>, known: &[&str]) -> Result<()> {
    match text {
        Some(text) if !known.contains(&text) => {
            let list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            Err(Error::invalid(
                "unknown_word",
                field,
                format!("`{field}` must be one of {list}, not `{text}`"),
            ))
        }
        _ => Ok(()),
    }
}
