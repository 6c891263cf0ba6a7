//! What happened: the last thousand events, for lists and live watchers, the same after a restart.
//!
//! Whoever tells an event never waits: it is in memory at once and written a moment later, many together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::Registry;
use crate::domain::{Download, DownloadState};
use crate::error::Result;
use crate::store::StoredEvent;

/// Events that are kept.
const CAPACITY: usize = 1000;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Counts up; tells a watcher where to go on.
    pub position: u64,
    /// `evt_` and eight hexadecimal digits.
    pub id: String,
    /// `model.download.completed`, …
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How it is meant.
    pub severity: Severity,
    /// For people.
    pub message: String,
    /// For programs; an object.
    pub data: Value,
}

/// How an event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It was begun or changed.
    Info,
    /// It ended well.
    Success,
    /// Somebody should look.
    Warning,
    /// It failed.
    Error,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these kinds; all when empty.
    pub kinds: Vec<String>,
    /// Of this severity; any when absent.
    pub severity: Option<Severity>,
}

/// The events that are kept.
#[derive(Debug, Default)]
pub(crate) struct Events {
    log: Mutex<Log>,
    /// The last position; who watches waits for it to change.
    last: watch::Sender<u64>,
    /// Wakes the writer.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Log {
    kept: VecDeque<Arc<Event>>,
    /// The last position that is in the table.
    saved: u64,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Info, Self::Success, Self::Warning, Self::Error];

    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

impl EventFilter {
    fn takes(&self, event: &Event) -> bool {
        let is_kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        is_kind && self.severity.is_none_or(|severity| severity == event.severity)
    }
}

impl Events {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Takes the events over from the table; part of `open`.
    pub(crate) async fn open_events(&self) -> Result<()> {
        let stored = self.inner.store.list_events().await?;
        let kept: VecDeque<Arc<Event>> = stored.into_iter().map(|stored| Arc::new(read(stored))).collect();
        let last = kept.back().map_or(0, |event| event.position);
        let events = &self.inner.studio.events;
        *events.log() = Log { kept, saved: last };
        events.last.send_replace(last);
        Ok(())
    }

    /// Starts the writer; part of `start`.
    pub(crate) fn start_events(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            while !registry.inner.stopping.is_cancelled() {
                tokio::select! {
                    () = registry.inner.studio.events.wake.notified() => registry.save_events().await,
                    () = registry.inner.stopping.cancelled() => {}
                }
            }
        });
    }

    /// Writes what is not written yet; a database that fails costs events their life after a restart, not more.
    pub(crate) async fn save_events(&self) {
        let events = &self.inner.studio.events;
        let (unsaved, last) = {
            let log = events.log();
            let unsaved = log.kept.iter().filter(|event| event.position > log.saved);
            (unsaved.map(|event| stored(event)).collect::<Vec<_>>(), *events.last.borrow())
        };
        if unsaved.is_empty() {
            return;
        }
        match self.inner.store.add_events(&unsaved, last as i64 - CAPACITY as i64).await {
            Ok(()) => events.log().saved = last,
            Err(error) => {
                tracing::warn!(error = %crate::error::chain(&error), "events were not stored");
            }
        }
    }

    /// The last `limit` events that pass the filter, oldest first.
    pub fn events(&self, filter: &EventFilter, limit: usize) -> Vec<Arc<Event>> {
        let log = self.inner.studio.events.log();
        let newest = log.kept.iter().rev().filter(|event| filter.takes(event)).take(limit);
        let mut found: Vec<Arc<Event>> = newest.cloned().collect();
        found.reverse();
        found
    }

    /// The events after that position that pass the filter, oldest first, and the position to go on from.
    pub fn events_after(&self, position: u64, filter: &EventFilter) -> (Vec<Arc<Event>>, u64) {
        let log = self.inner.studio.events.log();
        let after = log.kept.iter().filter(|event| event.position > position && filter.takes(event));
        (after.cloned().collect(), log.kept.back().map_or(position, |event| event.position.max(position)))
    }

    /// The last position, and when it changes.
    pub fn watch_events(&self) -> watch::Receiver<u64> {
        self.inner.studio.events.last.subscribe()
    }

    /// Tells that something happened.
    pub(crate) fn tell(&self, kind: &str, severity: Severity, message: impl Into<String>, data: Value) {
        let events = &self.inner.studio.events;
        let mut log = events.log();
        let position = *events.last.borrow() + 1;
        let id = format!("evt_{:08x}", fastrand::u32(..));
        let (kind, message, at) = (kind.to_owned(), message.into(), self.now());
        log.kept.push_back(Arc::new(Event { position, id, kind, at, severity, message, data }));
        if log.kept.len() > CAPACITY {
            log.kept.pop_front();
        }
        // Under the lock, so that positions come in order.
        events.last.send_replace(position);
        drop(log);
        events.wake.notify_one();
    }

    /// Tells what became of a download.
    pub(crate) fn tell_download(&self, download: &Download) {
        use DownloadState::{
            Cancelled, Done, Downloading, Error, Paused, Quarantined, Queued, Retrying, Verifying,
        };
        let (word, severity, begin) = match download.state {
            Queued => ("queued", Severity::Info, "Queued"),
            Downloading | Retrying | Verifying => ("started", Severity::Info, "Downloading"),
            Paused => ("paused", Severity::Info, "Paused"),
            Cancelled => ("cancelled", Severity::Info, "Cancelled"),
            Done => ("completed", Severity::Success, "Downloaded"),
            Error => ("failed", Severity::Error, "Could not download"),
            Quarantined => ("quarantined", Severity::Warning, "Quarantined"),
        };
        let file = download.path.file.as_str();
        let reason = download.error.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let data = json!({
            "file": file, "dest": download.path.folder.as_str(), "download_id": download.id.to_string(),
            "total_bytes": download.bytes_total, "error": download.error,
        });
        self.tell(&format!("model.download.{word}"), severity, format!("{begin} {file}{reason}"), data);
    }
}

fn stored(event: &Event) -> StoredEvent {
    StoredEvent {
        position: event.position as i64,
        id: event.id.clone(),
        kind: event.kind.clone(),
        at: event.at,
        severity: event.severity.as_str().to_owned(),
        message: event.message.clone(),
        data: event.data.to_string(),
    }
}

fn read(stored: StoredEvent) -> Event {
    Event {
        position: stored.position as u64,
        id: stored.id,
        kind: stored.kind,
        at: stored.at,
        severity: Severity::parse(&stored.severity).unwrap_or(Severity::Info),
        message: stored.message,
        data: serde_json::from_str(&stored.data).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::Studio;

    fn positions(registry: &Registry) -> Vec<u64> {
        registry.events(&EventFilter::default(), 2000).iter().map(|event| event.position).collect()
    }

    #[tokio::test]
    async fn the_last_thousand_events_are_kept_also_over_a_restart() {
        let studio = Studio::new().await;
        for number in 0..1005 {
            studio.registry.tell("test", Severity::Info, format!("{number}"), json!({"n": number}));
        }
        let kept: Vec<u64> = (6..=1005).collect();
        assert_eq!(positions(&studio.registry), kept);
        studio.registry.save_events().await;
        let studio = studio.reopen().await;
        assert_eq!(positions(&studio.registry), kept);
        studio.registry.tell("test", Severity::Error, "last", json!({}));
        let filter = EventFilter { severity: Some(Severity::Error), ..EventFilter::default() };
        let (after, next) = studio.registry.events_after(1000, &filter);
        assert_eq!((after[0].message.as_str(), after.len(), next), ("last", 1, 1006));
    }
}
