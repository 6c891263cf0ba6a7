//! What users say of entries: one, many, who said what, the history, undo.

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::EditedEntries;
use lorakeep_registry::domain::{EditId, EntryEdit, EntryFilter, EntryId};
use serde_json::{Map, Value};

use super::query;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::studio::extract::{Json, PageQuery, Path, Query};
use crate::studio::views::{EntriesEditedView, EntryDetailView, EntryEditedView, PageView, PastEditView};

pub(in crate::studio) async fn show(
    State(app): AppState,
    Path(id): Path<EntryId>,
) -> Result<JsonBody<EntryDetailView>, Refusal> {
    let detail = app.registry().entry_detail(id).await?;
    Ok(JsonBody(EntryDetailView::new(detail, app.registry().config())))
}

pub(in crate::studio) async fn edit(
    State(app): AppState,
    Path(id): Path<EntryId>,
    Json(body): Json<Map<String, Value>>,
) -> Result<JsonBody<EntryEditedView>, Refusal> {
    let edit = EntryEdit::parse(body).map_err(lorakeep_registry::Error::from)?;
    let edited = app.registry().edit_entry(id, &edit).await?;
    let detail = app.registry().entry_detail(id).await?;
    Ok(JsonBody(EntryEditedView::new(detail, edited, app.registry().config())))
}

/// `ids` or `filter`, beside the fields of an edit.
pub(in crate::studio) async fn edit_many(
    State(app): AppState,
    Json(mut body): Json<Map<String, Value>>,
) -> Result<JsonBody<EntriesEditedView>, Refusal> {
    let which = match (body.remove("ids"), body.remove("filter")) {
        (Some(ids), None) => EditedEntries::Ids(read_ids(ids)?),
        (None, Some(filter)) => EditedEntries::Filter(read_filter(filter)?),
        _ => return Err(refused("ids", "Either 'ids' or 'filter' is required", "missing")),
    };
    let edit = EntryEdit::parse(body).map_err(lorakeep_registry::Error::from)?;
    Ok(JsonBody(app.registry().edit_entries(&which, &edit).await?.into()))
}

pub(in crate::studio) async fn history(
    State(app): AppState,
    Path(id): Path<EntryId>,
    Query(page): Query<PageQuery>,
) -> Result<JsonBody<PageView<PastEditView>>, Refusal> {
    let page = app.registry().entry_history(id, &page.into()).await?;
    Ok(JsonBody(PageView::new(page, PastEditView::from)))
}

pub(in crate::studio) async fn revert(
    State(app): AppState,
    Path(id): Path<EditId>,
) -> Result<JsonBody<EntriesEditedView>, Refusal> {
    Ok(JsonBody(app.registry().revert_edit(id).await?.into()))
}

fn read_ids(ids: Value) -> Result<Vec<EntryId>, Refusal> {
    let Value::Array(ids) = ids else {
        return Err(refused("ids", "Input should be a valid list", "list_type"));
    };
    let read = |id: Value| id.as_str().and_then(|id| id.parse().ok());
    let ids: Option<Vec<EntryId>> = ids.into_iter().map(read).collect();
    ids.ok_or_else(|| refused("ids", "Input should be a list of entry ids", "uuid_parsing"))
}

/// The names of the list's query, each with a value or a list of values.
fn read_filter(filter: Value) -> Result<EntryFilter, Refusal> {
    let Value::Object(fields) = filter else {
        return Err(refused("filter", "Input should be a valid object", "model_type"));
    };
    let mut filter = EntryFilter::default();
    for (name, value) in fields {
        let values = if let Value::Array(values) = value { values } else { vec![value] };
        for value in values {
            let text = match value {
                Value::String(text) => text,
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(refused("filter", "Input should be a valid string", "string_type")),
            };
            query::add(&mut filter, &name, text)?;
        }
    }
    Ok(filter)
}

fn refused(field: &str, msg: &str, kind: &'static str) -> Refusal {
    Refusal::unreadable(vec!["body".into(), field.into()], msg, kind)
}
