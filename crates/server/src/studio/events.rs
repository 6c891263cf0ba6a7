//! What happened lately, as a list and as a live stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json as JsonBody, Router};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use lorakeep_registry::{Event, EventFilter, Registry, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::event_stream::{answer, numbered_frame};
use super::extract::Query;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Extra, Operation, tagged};

/// Events of an answer when nobody says how many.
const USUAL: usize = 100;
/// Events of an answer at most; as many as are kept.
const MOST: usize = 1000;
/// A line that says nothing goes out after so long a silence, so that proxies keep the connection.
const SILENCE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/admin/events", get(list)).route("/api/admin/events/stream", get(watch_events))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Events",
        [
            Operation::get("/api/admin/events", "What happened lately, oldest first")
                .query::<EventsQuery>()
                .example_query("types=model.download.completed&limit=20")
                .json::<Vec<EventView>>(),
            Operation::get("/api/admin/events/stream", "Watches what happens")
                .about("Server-sent events with the same objects; `id` is the position to come back with.")
                .query::<EventsQuery>()
                .takes(Extra::header("Last-Event-ID", "The position of the last event that was seen"))
                .event_stream("Events as they happen")
                .refuses([503]),
        ],
    )
}

/// One event in the contract's form.
#[derive(Debug, Serialize, JsonSchema)]
struct EventView {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    severity: &'static str,
    message: String,
    data: Value,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            kind: event.kind.clone(),
            timestamp: super::views::time(event.at),
            severity: event.severity.as_str(),
            message: event.message.clone(),
            data: event.data.clone(),
        }
    }
}

/// `types` are separated by commas; empty ones count as absent.
#[derive(Debug, Deserialize, JsonSchema)]
struct EventsQuery {
    limit: Option<usize>,
    types: Option<String>,
    severity: Option<String>,
    after: Option<u64>,
}

impl EventsQuery {
    fn filter(&self) -> Result<EventFilter, Refusal> {
        let types = self.types.iter().flat_map(|types| types.split(','));
        let kinds = types.map(str::trim).filter(|kind| !kind.is_empty()).map(str::to_owned).collect();
        let severity = match self.severity.as_deref() {
            None | Some("") => None,
            Some(word) => Some(Severity::parse(word).ok_or_else(unknown_severity)?),
        };
        Ok(EventFilter { kinds, severity })
    }

    fn limit(&self) -> Result<usize, Refusal> {
        let limit = self.limit.unwrap_or(USUAL);
        let fault = || {
            let msg = format!("Input should be from 1 to {MOST}");
            Refusal::unreadable(vec!["query".into(), "limit".into()], msg, "out_of_range")
        };
        if (1..=MOST).contains(&limit) { Ok(limit) } else { Err(fault()) }
    }
}

fn unknown_severity() -> Refusal {
    let loc = vec!["query".into(), "severity".into()];
    Refusal::unreadable(loc, "Input should be 'info', 'success', 'warning' or 'error'", "enum")
}

async fn list(
    State(app): AppState,
    Query(query): Query<EventsQuery>,
) -> Result<JsonBody<Vec<EventView>>, Refusal> {
    let events = app.registry().events(&query.filter()?, query.limit()?);
    Ok(JsonBody(events.iter().map(|event| EventView::from(event.as_ref())).collect()))
}

/// Events from now on, or after the one that a client saw last (`Last-Event-ID`, `?after=`).
async fn watch_events(
    State(app): AppState,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let place = app.studio().watcher_place()?;
    let changes = app.registry().watch_events();
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let seen = last_id.or(query.after).unwrap_or_else(|| *changes.borrow());
    let watcher = Watcher {
        registry: app.registry().clone(),
        filter: query.filter()?,
        changes,
        seen,
        ready: VecDeque::new(),
        _place: place,
    };
    Ok(answer(watcher.frames().take_until(app.studio().shutdown())))
}

/// One client that watches. What it was not quick enough to see is dropped, oldest first, as from the list.
struct Watcher {
    registry: Registry,
    filter: EventFilter,
    changes: watch::Receiver<u64>,
    /// The position up to which it was told.
    seen: u64,
    ready: VecDeque<Arc<Event>>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// A comment at once, so that the client knows that it is heard; then each event.
    fn frames(self) -> impl Stream<Item = Bytes> + Send + 'static {
        let hello = stream::once(async { Bytes::from_static(b": watching\n\n") });
        hello.chain(stream::unfold(self, |mut watcher| async move {
            let frame = watcher.next_frame().await?;
            Some((frame, watcher))
        }))
    }

    async fn next_frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(numbered_frame(event.position, &EventView::from(event.as_ref())));
            }
            // Noted before the look, so that nothing that comes in between is missed.
            self.changes.borrow_and_update();
            let (events, seen) = self.registry.events_after(self.seen, &self.filter);
            self.seen = seen;
            self.ready = events.into();
            if self.ready.is_empty() {
                match tokio::time::timeout(SILENCE, self.changes.changed()).await {
                    Ok(changed) => changed.ok()?,
                    Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
                }
            }
        }
    }
}
