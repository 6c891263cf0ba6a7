//! Entries: find them, show and edit them, add one from a reference, take one out of its catalog.

mod edit;
mod list;
mod query;

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{AddRequest, Added};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) use edit::{edit, edit_many, history, revert, show as show_by_id};
pub(super) use list::list;

use super::extract::{FileName, Json, PageQuery, Query};
use super::views::{
    AddedView, DetailedEntryView, EntriesEditedView, EntryDetailView, EntryEditedView, EntryPageView,
    PageView, PastEditView, PlacedEntryView, StatusView,
};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Entries",
        [
            Operation::get("/api/admin/entries", "Searches the entries of both catalogs")
                .about(
                    "Words match within words and with typos, filters can be given several times: `tag=` means any of \
                     them, `tag_all=` each, `tag_not=` none. What is not known is refused.",
                )
                .takes_all(query::parameters())
                .example_query("q=ink&family=sdxl&facets=true&limit=20")
                .json::<EntryPageView<'_>>(),
            Operation::post("/api/admin/entries", "Adds an entry from a reference")
                .about("A reference is an address or short form of CivitAI, Hugging Face, or any address of a file.")
                .body::<AddBody>(json!({"reference": "$REFERENCE"}))
                .json::<AddedView>()
                .refuses([409, 502, 503]),
            Operation::patch("/api/admin/entries", "Edits many entries, all or none")
                .body::<EditManyBody>(json!({"ids": ["$ENTRY"], "add_tags": ["ink"]}))
                .json::<EntriesEditedView>()
                .refuses([404, 409]),
            Operation::get("/api/admin/entries/{id}", "One entry with who says what stands in each field")
                .json::<EntryDetailView>(),
            Operation::patch("/api/admin/entries/{id}", "Edits an entry")
                .about("`null` gives a field back to what CivitAI, Hugging Face or the file said last.")
                .body::<EditBody>(json!({"notes": "works best at 0.8", "favorite": true}))
                .json::<EntryEditedView>()
                .refuses([409]),
            Operation::get("/api/admin/entries/{id}/history", "Its edits, the newest first")
                .query::<PageQuery>()
                .json::<PageView<PastEditView>>(),
            Operation::post("/api/admin/edits/{id}/revert", "Undoes an edit where what it set still stands")
                .json::<EntriesEditedView>()
                .refuses([409]),
            Operation::get("/api/admin/entries/by-file/{filename}", "One entry by its file name, with what the file says")
                .query::<Chooser>()
                .json::<DetailedEntryView>(),
            Operation::delete("/api/admin/models/{filename}/catalog", "Takes the entry out of its catalog")
                .query::<Chooser>()
                .json::<StatusView>()
                .refuses([409]),
        ],
    )
}

/// What an edit sets, as clients send it; `EntryEdit` reads it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct EditBody {
    name: Option<String>,
    base_model: Option<String>,
    notes: Option<String>,
    /// A text or an object.
    usage_tips: Option<UsageTips>,
    tags: Option<Vec<String>>,
    trigger_words: Option<Vec<String>>,
    favorite: Option<bool>,
    add_tags: Option<Vec<String>>,
    remove_tags: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum UsageTips {
    Text(String),
    Fields(Map<String, Value>),
}

/// An edit of the entries that are named, or of those that a filter wants.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct EditManyBody {
    /// Which entries, by their ids; either this or `filter`.
    ids: Option<Vec<String>>,
    /// Which entries, by the names of the search's query, each with a value or a list of values.
    filter: Option<Map<String, Value>>,
    #[serde(flatten)]
    edit: EditBody,
}

/// Chooses between entries of one file name.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Chooser {
    pub(super) dest: Option<String>,
}

pub(super) async fn show(
    State(app): AppState,
    FileName(file): FileName,
    Query(chooser): Query<Chooser>,
) -> Result<JsonBody<DetailedEntryView>, Refusal> {
    let state = app.registry().find_entry(&file, chooser.dest.as_deref())?;
    let facts = app.registry().file_facts(&state.entry.path).await?;
    let placed = PlacedEntryView::new(state, app.registry().config());
    Ok(JsonBody(DetailedEntryView { placed, facts }))
}

pub(super) async fn remove(
    State(app): AppState,
    FileName(file): FileName,
    Query(chooser): Query<Chooser>,
) -> Result<JsonBody<StatusView>, Refusal> {
    let entry = app.registry().remove_entry(&file, chooser.dest.as_deref()).await?;
    Ok(JsonBody(StatusView { status: "removed", file: entry.file().to_owned() }))
}

/// The body of an add; every field but the reference has a default that follows from the upstream's type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddBody {
    reference: String,
    catalog: Option<String>,
    category: Option<String>,
    dest: Option<String>,
    file: Option<String>,
    name: Option<String>,
    base_model: Option<String>,
    sha256: Option<String>,
}

impl AddBody {
    fn into_request(self) -> Result<AddRequest, Refusal> {
        let catalog = match self.catalog.as_deref() {
            None => None,
            Some(name) => Some(CatalogName::parse(name).ok_or_else(unknown_catalog)?),
        };
        Ok(AddRequest {
            reference: self.reference,
            catalog,
            category: self.category,
            dest: self.dest,
            file: self.file,
            name: self.name,
            base_model: self.base_model,
            sha256: self.sha256,
        })
    }
}

fn unknown_catalog() -> Refusal {
    Refusal::unreadable(vec!["body".into(), "catalog".into()], "Input should be 'models' or 'loras'", "enum")
}

pub(super) async fn add(
    State(app): AppState,
    Json(body): Json<AddBody>,
) -> Result<JsonBody<AddedView>, Refusal> {
    let added: Added = app.registry().add(body.into_request()?).await?;
    Ok(JsonBody(AddedView::new(added, app.registry().config())))
}
