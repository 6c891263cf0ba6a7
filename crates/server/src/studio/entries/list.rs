//! The list of entries at size.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use lorakeep_registry::Error;

use super::query;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::studio::views::EntryPageView;

/// Bytes that an entry of the answer usually takes.
const ENTRY_BYTES: usize = 1536;

pub(in crate::studio) async fn list(
    State(app): AppState,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query::parse(query.as_deref().unwrap_or_default())?;
    let page = app.registry().entries(query).await?;
    let mut body = Vec::with_capacity(ENTRY_BYTES * (page.items.len() + 1));
    serde_json::to_writer(&mut body, &EntryPageView(&page, app.registry().config()))
        .map_err(|error| Error::internal("serialising a page", error))?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
