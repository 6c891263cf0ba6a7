//! Entries: find them, show and edit them, add one from a reference, take one out of its catalog.

mod edit;
mod list;
mod query;

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{AddRequest, Added};
use serde::Deserialize;

pub(super) use edit::{edit, edit_many, history, revert, show as show_by_id};
pub(super) use list::list;

use super::extract::{FileName, Json, Query};
use super::views::{AddedView, DetailedEntryView, PlacedEntryView, StatusView};
use crate::app::AppState;
use crate::envelope::Refusal;

/// Chooses between entries of one file name.
#[derive(Debug, Deserialize)]
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
#[derive(Debug, Deserialize)]
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
