//! The library: every model and LoRA, searched, filtered and sorted by the server, a page at a time.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use lorakeep_registry::domain::{Dimension, Entry, EntryFilter, EntryId, EntryQuery};
use lorakeep_registry::{EntryState, FacetCount, Facets as FacetCounts, Registry, searchable_part};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::library_query::{LibraryQuery, View};
use super::page::{self, Frame, Page};
use super::{filters, library_query};
use crate::app::AppState;
use crate::extract::Path;

/// Cards on a page; more come when the last is seen.
const CARDS: u32 = 60;
/// Rows on a page of the compact list.
const ROWS: u32 = 100;
/// Values of one facet that are shown; chosen ones always are.
const VALUES: usize = 12;
/// What htmx puts into the address bar.
const HX_PUSH_URL: HeaderName = HeaderName::from_static("hx-push-url");
/// The facets of the page.
const FACETS: [Dimension; 8] = [
    Dimension::Catalog,
    Dimension::Status,
    Dimension::Category,
    Dimension::BaseModel,
    Dimension::Kind,
    Dimension::Tag,
    Dimension::Source,
    Dimension::Favorite,
];

#[derive(Template)]
#[template(path = "library.html")]
struct LibraryPage {
    frame: Frame,
    query: LibraryQuery,
    sorts: Vec<SortChoice>,
    facets: Facets,
    results: Results,
    is_empty: bool,
}

/// What changes when a filter does.
#[derive(Template)]
#[template(path = "library_part.html")]
struct LibraryPart {
    facets: Facets,
    results: Results,
}

#[derive(Template)]
#[template(path = "library_facets.html")]
struct Facets {
    groups: Vec<FacetGroup>,
}

struct FacetGroup {
    title: &'static str,
    name: &'static str,
    values: Vec<FacetValue>,
}

struct FacetValue {
    id: String,
    value: String,
    shown: String,
    count: u64,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "library_results.html")]
struct Results {
    total: u64,
    is_list: bool,
    is_filtered: bool,
    /// Whether more was typed than is looked for.
    is_cut: bool,
    chips: Vec<Chip>,
    items: Items,
}

/// A filter that can be taken away.
struct Chip {
    title: &'static str,
    shown: String,
    without: String,
}

/// One page of cards or rows, and the way to the next.
#[derive(Template)]
#[template(path = "library_items.html")]
struct Items {
    is_list: bool,
    entries: Vec<Card>,
    more: Option<String>,
}

/// One entry on the page.
#[derive(Template)]
#[template(path = "library_card.html")]
struct Card {
    is_list: bool,
    id: String,
    name: String,
    file: String,
    dest: String,
    path: String,
    base_model: String,
    words: String,
    size: u64,
    status: &'static str,
    shown_status: &'static str,
    percent: Option<u64>,
    can_download: bool,
    is_damaged: bool,
    picture: Option<String>,
}

struct SortChoice {
    value: &'static str,
    name: &'static str,
    is_chosen: bool,
}

pub(super) async fn show(State(app): AppState, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Page {
    let query = LibraryQuery::parse(uri.query().unwrap_or_default());
    let registry = app.registry();
    let is_next = query.cursor.is_some();
    let found = registry.entries(entry_query(&query, !is_next)).await?;
    let more = found.next_cursor.map(|cursor| query.next(&cursor));
    let items =
        Items { is_list: query.is_list(), entries: cards(registry, &found.items, query.is_list()), more };
    if is_next {
        return page::render(&headers, &items);
    }
    let facets = facets(&query, found.facets.unwrap_or_default());
    let results = Results::new(&query, found.total, items);
    if page::wants_part(&headers) {
        let address = HeaderValue::try_from(query.address()).expect("an address is percent-encoded");
        let part: Response = page::render(&headers, &LibraryPart { facets, results })?;
        return Ok(([(HX_PUSH_URL, address)], part).into_response());
    }
    let is_empty = results.total == 0 && !results.is_filtered;
    let template =
        LibraryPage { frame: Frame::new("/"), sorts: sorts(&query), query, facets, results, is_empty };
    page::render(&headers, &template)
}

/// One card as it is now; the script asks for it when its download ends.
pub(super) async fn show_card(
    State(app): AppState,
    Path(id): Path<EntryId>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Page {
    let query = LibraryQuery::parse(uri.query().unwrap_or_default());
    let state = app.registry().entry_state(id)?;
    page::render(&headers, &Card::new(app.registry(), &state, query.is_list()))
}

fn entry_query(query: &LibraryQuery, wants_facets: bool) -> EntryQuery {
    let text = searchable_part(&query.filter.text).to_owned();
    EntryQuery {
        filter: EntryFilter { text, selections: query.filter.selections.clone() },
        sort: query.sort,
        limit: Some(if query.is_list() { ROWS } else { CARDS }),
        cursor: query.cursor.clone(),
        wants_facets,
    }
}

fn sorts(query: &LibraryQuery) -> Vec<SortChoice> {
    const SORTS: [(&str, &str); 6] = [
        ("", "Best match, else name"),
        ("name", "Name"),
        ("-added", "Newest first"),
        ("-size", "Largest first"),
        ("size", "Smallest first"),
        ("place", "As in the catalog"),
    ];
    let choice = |(value, name)| SortChoice { value, name, is_chosen: query.sort_name() == value };
    SORTS.into_iter().map(choice).collect()
}

fn facets(query: &LibraryQuery, mut counts: FacetCounts) -> Facets {
    let group = |dimension: Dimension| {
        let values = facet_values(query, dimension, counts.remove(&dimension).unwrap_or_default());
        FacetGroup { title: library_query::title(dimension), name: dimension.as_str(), values }
    };
    let mut groups: Vec<FacetGroup> = FACETS.into_iter().map(group).collect();
    groups.retain(|group| !group.values.is_empty());
    Facets { groups }
}

/// The most frequent values, and every chosen one.
fn facet_values(query: &LibraryQuery, dimension: Dimension, counts: Vec<FacetCount>) -> Vec<FacetValue> {
    let chosen = query.chosen(dimension);
    let is_chosen = |value: &str| chosen.iter().any(|one| one.eq_ignore_ascii_case(value));
    let missing: Vec<FacetCount> = chosen
        .iter()
        .filter(|value| !counts.iter().any(|count| count.value.eq_ignore_ascii_case(value)))
        .map(|value| FacetCount { value: value.clone(), count: 0 })
        .collect();
    let shown = counts.into_iter().chain(missing).enumerate();
    shown
        .filter(|(index, count)| *index < VALUES || is_chosen(&count.value))
        .map(|(index, FacetCount { value, count })| FacetValue {
            id: format!("{}-{index}", dimension.as_str()),
            shown: library_query::shown(dimension, &value).to_owned(),
            is_chosen: is_chosen(&value),
            value,
            count,
        })
        .collect()
}

impl Results {
    fn new(query: &LibraryQuery, total: u64, items: Items) -> Self {
        let chip = |(dimension, value): (Dimension, &str)| Chip {
            title: library_query::title(dimension),
            shown: library_query::shown(dimension, value).to_owned(),
            without: query.without(dimension, value),
        };
        Self {
            total,
            is_list: query.is_list(),
            is_filtered: query.is_filtered(),
            is_cut: searchable_part(&query.filter.text).len() < query.filter.text.len(),
            chips: query.all_chosen().map(chip).collect(),
            items,
        }
    }
}

fn cards(registry: &Registry, states: &[EntryState], is_list: bool) -> Vec<Card> {
    states.iter().map(|state| Card::new(registry, state, is_list)).collect()
}

impl Card {
    fn new(registry: &Registry, state: &EntryState, is_list: bool) -> Self {
        let EntryState { entry, file, job, .. } = state;
        let document = &entry.document;
        let progress = job.as_ref().map(|job| job.progress).filter(|progress| progress.bytes_total > 0);
        let status = state.status.as_str();
        Self {
            is_list,
            id: entry.id.to_string(),
            name: document.name().to_owned(),
            file: entry.path.file.as_str().to_owned(),
            dest: entry.path.folder.as_str().to_owned(),
            path: entry.path.to_string(),
            base_model: document.base_model().to_owned(),
            words: trigger_words(state).join(", "),
            size: file.as_ref().map_or_else(|| document.expected_bytes(), |file| file.stamp.size_bytes),
            status,
            shown_status: library_query::shown_status(status),
            percent: progress
                .filter(|_| status == "downloading")
                .map(|progress| progress.bytes_done * 100 / progress.bytes_total),
            can_download: matches!(status, "not_downloaded" | "error") && document.origin().is_some(),
            is_damaged: file.as_ref().is_some_and(|file| file.verification().as_str() == "mismatch"),
            picture: picture(registry, entry),
        }
    }
}

/// What stands for an entry: a picture of its gallery, else one that came with its card from CivitAI.
fn picture(registry: &Registry, entry: &Entry) -> Option<String> {
    if let Some(id) = registry.gallery_cover(entry) {
        return Some(format!("/api/admin/loras/gallery/thumb/{id}"));
    }
    let (model, name) = (entry.document.id("civitai_model_id")?, entry.document.texts("images").next()?);
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    Some(format!("/api/admin/loras/images/{model}/previews/{name}"))
}

/// What a prompt has to say, from whoever knows it.
pub(super) fn trigger_words(state: &EntryState) -> Vec<String> {
    let document = &state.entry.document;
    let fields = ["trigger_words", "trainedWords"];
    let own = fields.into_iter().find(|field| document.texts(field).next().is_some());
    own.map(|field| document.texts(field).map(str::to_owned).collect()).unwrap_or_default()
}

impl LibraryQuery {
    fn is_list(&self) -> bool {
        self.view == View::List
    }
}
