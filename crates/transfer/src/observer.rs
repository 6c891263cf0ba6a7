//! What a transfer tells while it runs.

use std::time::Duration;

use crate::request::Facts;

/// Hears the events of one transfer.
///
/// Contract: `on_event` is called from the transfer's own task, in order, never twice at the same
/// time, and never after [`Engine::fetch`](crate::Engine::fetch) has returned. It must return at
/// once (it runs on an async thread): send into a channel or store a number, nothing more.
/// How a transfer ends is told by the result of `fetch`, not by an event.
pub trait Observer: Send + Sync {
    /// Called for each event.
    fn on_event(&self, event: Event);
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The first answer has come and bytes flow. Sent again when the transfer starts over.
    Started {
        /// Bytes of the whole file; `None` until the end when the server does not say.
        size: Option<u64>,
        /// Bytes that were on disk from an earlier run and are not fetched again.
        resumed_bytes: u64,
        /// Connections that this file may use at most; 1 when the server ignores ranges.
        connections: usize,
    },
    /// What the headers told; sent once an answer has come, again when they change.
    Facts(Facts),
    /// At most every [`EngineOptions::progress_interval`](crate::EngineOptions::progress_interval),
    /// and once at the end of the bytes.
    Progress {
        /// Bytes of the file that are here, resumed ones included.
        bytes_done: u64,
        /// Bytes of the whole file when known.
        size: Option<u64>,
        /// Mean of the last seconds.
        bytes_per_second: u64,
        /// How much of each of 64 equal parts of the file is here, percent; empty while the size is unknown.
        segments: Vec<u8>,
    },
    /// Something failed that may pass; the transfer goes on after `wait`.
    Retrying {
        /// How many failures there were in a row without progress, from 1.
        attempt: u32,
        /// What failed, for people, without secrets.
        reason: String,
        /// How long until the next try.
        wait: Duration,
    },
    /// What was fetched is of no use and the transfer starts from byte 0.
    Restarting {
        /// Why, for people.
        reason: String,
    },
    /// All bytes are here; the rest of the hash, the content check and the publishing follow.
    Verifying,
}

/// An observer that drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on_event(&self, _event: Event) {}
}
