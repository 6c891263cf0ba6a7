//! The styles that customers choose from, as cards.

use askama::Template;
use axum::extract::{OriginalUri, State};
use http::HeaderMap;
use lorakeep_registry::{PageRequest, StyleFilter, StyleState};
use url::form_urlencoded;

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

/// Styles on a page.
const SHOWN: u32 = 60;
/// Whose styles can be looked at: word of the address, name.
const KINDS: [(&str, &str); 4] =
    [("", "All"), ("public", "Public"), ("team", "Of teams"), ("deleted", "Deleted")];

#[derive(Template)]
#[template(path = "styles.html")]
struct StylesPage {
    frame: Frame,
    words: String,
    kinds: Vec<Kind>,
    styles: Vec<StyleCard>,
    total: u64,
    next: Option<String>,
    is_filtered: bool,
}

/// One tab.
struct Kind {
    name: &'static str,
    address: String,
    is_here: bool,
}

/// One style on the page.
struct StyleCard {
    id: String,
    name: String,
    slug: String,
    base_model: String,
    audience: String,
    picture: Option<String>,
    is_ready: bool,
}

/// What the address asks for.
#[derive(Debug, Default)]
struct Asked {
    words: String,
    kind: String,
    cursor: Option<String>,
}

pub(super) async fn list(State(app): AppState, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Page {
    let asked = Asked::parse(uri.query().unwrap_or_default());
    let request = PageRequest { limit: Some(SHOWN), cursor: asked.cursor.clone() };
    let styles = app.registry().list_styles(&asked.filter(), &request).await?;
    let template = StylesPage {
        frame: Frame::new("/styles"),
        kinds: KINDS.map(|kind| asked.tab(kind)).into(),
        next: styles.next_cursor.map(|cursor| asked.address(&asked.kind, Some(&cursor))),
        styles: styles.items.iter().map(StyleCard::new).collect(),
        total: styles.total,
        is_filtered: !asked.words.is_empty() || !asked.kind.is_empty(),
        words: asked.words,
    };
    page::render(&headers, &template)
}

impl Asked {
    fn parse(query: &str) -> Self {
        let mut own = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "q" => value.trim().clone_into(&mut own.words),
                "of" if KINDS.iter().any(|(word, _)| *word == value) => own.kind = value.into_owned(),
                "cursor" => own.cursor = Some(value.into_owned()),
                _ => {}
            }
        }
        own
    }

    fn filter(&self) -> StyleFilter {
        let is_public = match self.kind.as_str() {
            "public" => Some(true),
            "team" => Some(false),
            _ => None,
        };
        let words = StyleFilter::words_of(&self.words);
        StyleFilter { words, is_public, is_deleted: self.kind == "deleted", ..StyleFilter::default() }
    }

    fn tab(&self, (word, name): (&'static str, &'static str)) -> Kind {
        Kind { name, address: self.address(word, None), is_here: self.kind == word }
    }

    fn address(&self, kind: &str, cursor: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            [("q", self.words.as_str()), ("of", kind), ("cursor", cursor.unwrap_or_default())]
        {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/styles".to_owned() } else { format!("/styles?{query}") }
    }
}

impl StyleCard {
    fn new(state: &StyleState) -> Self {
        let style = &state.style;
        Self {
            id: style.id.to_string(),
            name: style.name.clone(),
            slug: style.slug.clone(),
            base_model: state.base_model.clone(),
            audience: state.team.clone().unwrap_or_else(|| "everyone".to_owned()),
            picture: style.preview.as_deref().map(address_of_preview),
            is_ready: state.is_ready(),
        }
    }
}

/// Where a style's picture is.
pub(super) fn address_of_preview(name: &str) -> String {
    format!("/v1/previews/{name}")
}
