//! What `GET /v1/loras` can be asked.

use std::fmt::Write;

use lorakeep_registry::StyleFilter;
use lorakeep_registry::domain::StyleId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::envelope::PublicRefusal;
use super::views::out_of_bounds;
use crate::extract::bool_of;
use crate::problem::Problem;

/// Styles of a page at most.
const MAX_ROWS: usize = 1000;
/// Styles of an answer when nobody says how many.
const MAX_ALL: usize = 10_000;
/// Longest text that is looked for, bytes.
const MAX_TEXT_BYTES: usize = 512;
/// Everything but what RFC 3986 calls unreserved.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The query as it stands; what is empty counts as absent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// For that base model, or one that shares LoRAs with it.
    base_model: Option<String>,
    /// That base model alone.
    exact: Option<String>,
    /// Words in name, slug or description.
    q: Option<String>,
    /// Public ones, or those of the team alone.
    public: Option<String>,
    /// Styles of a page.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// The query as it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) filter: StyleFilter,
    limit: Option<usize>,
    pub(super) after: Option<StyleId>,
}

impl ListQuery {
    pub(super) fn wanted(self) -> Result<Wanted, PublicRefusal> {
        let some =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let (q, base_model) = (some(self.q), some(self.base_model));
        for (name, text) in [("q", &q), ("base_model", &base_model)] {
            if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
                return Err(out_of_bounds(format!("`{name}` is longer than {MAX_TEXT_BYTES} bytes")).into());
            }
        }
        let filter = StyleFilter {
            words: q.as_deref().map(StyleFilter::words_of).unwrap_or_default(),
            base_model,
            is_exact: flag("exact", some(self.exact))?.unwrap_or_default(),
            is_public: flag("public", some(self.public))?,
            ..StyleFilter::default()
        };
        let limit = some(self.limit).map(|text| rows(&text)).transpose()?;
        let after = some(self.cursor).map(|text| text.parse()).transpose().map_err(|_| bad_cursor())?;
        Ok(Wanted { filter, limit, after })
    }
}

fn flag(name: &str, text: Option<String>) -> Result<Option<bool>, PublicRefusal> {
    let Some(text) = text else { return Ok(None) };
    match bool_of(&text) {
        Some(flag) => Ok(Some(flag)),
        None => Err(out_of_bounds(format!("`{name}` must be `true` or `false`")).into()),
    }
}

fn rows(text: &str) -> Result<usize, PublicRefusal> {
    let rows = text.parse().ok().filter(|rows| (1..=MAX_ROWS).contains(rows));
    rows.ok_or_else(|| out_of_bounds(format!("`limit` must be a number from 1 to {MAX_ROWS}")).into())
}

fn bad_cursor() -> PublicRefusal {
    let detail = "the cursor is not one that a list gave out; start without it";
    Problem { code: "bad_cursor", ..out_of_bounds(detail) }.into()
}

impl Wanted {
    /// Styles of the page.
    pub(super) fn rows(&self) -> usize {
        self.limit.unwrap_or(MAX_ALL)
    }

    /// The query of the page that follows one that ends with `last`.
    pub(super) fn next(&self, last: StyleId) -> String {
        let mut query = format!("cursor={last}");
        let filter = &self.filter;
        let texts = [
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("base_model", filter.base_model.clone()),
            ("exact", filter.is_exact.then(|| "true".to_owned())),
            ("q", Some(filter.words.join(" ")).filter(|words| !words.is_empty())),
            ("public", filter.is_public.map(|flag| flag.to_string())),
        ];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            // Writing to a string does not fail.
            let _ = write!(query, "&{name}={}", utf8_percent_encode(&text, VALUE));
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_asks_for_the_same() {
        let text = |text: &str| Some(text.to_owned());
        let query = ListQuery {
            base_model: text("WAN 2.1"),
            exact: text("1"),
            q: text(" Golden  & HOUR "),
            public: text("false"),
            limit: text("50"),
            cursor: text(""),
        };
        let wanted = query.wanted().expect("understood");
        let last: StyleId = "lora_01ARYZ6S41ZZZZZZZZZZZZZZZZ".parse().expect("an id");
        let next = wanted.next(last);
        assert_eq!(
            next,
            "cursor=lora_01ARYZ6S41ZZZZZZZZZZZZZZZZ&limit=50&base_model=WAN%202.1&exact=true&q=golden%20%26%20hour&public=false"
        );
        let uri = format!("/v1/loras?{next}").parse().expect("an address");
        let axum::extract::Query(again): axum::extract::Query<ListQuery> =
            axum::extract::Query::try_from_uri(&uri).expect("a query");
        assert_eq!(again.wanted().expect("understood"), Wanted { after: Some(last), ..wanted });
    }
}
