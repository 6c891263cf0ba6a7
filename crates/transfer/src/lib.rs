//! From a URL to a verified file: ranged connections, journal, retry, hash, content gate, publish.
//!
//! Knows no catalog and no database. [`Engine::fetch`] takes a [`Request`], tells an [`Observer`]
//! what happens and answers a [`Fetched`] or a [`TransferError`].
//!
//! The map, in the order of a transfer:
//! - `engine` (one a process) starts a `transfer`, which claims its part file (`active`) and opens
//!   the `part` with its `journal`;
//! - `probe` asks for bytes along the redirects, to addresses that `address` and `client` allow, and gets an
//!   `answer` or a `failure`; `content` knows pages from models;
//! - `crew` keeps the connections: each one (`segment`) takes pieces from the `plan` and hands bytes
//!   to the `writer`, which writes, notes, syncs and lets `prefix` hash them;
//! - `budget` and `retry` say what follows a failure, `limits` what all transfers share;
//! - `publish` is the one way to a destination, and `disk` every file operation, as a parameter.

mod active;
mod address;
mod answer;
mod budget;
mod client;
mod content;
mod crew;
mod digest;
pub mod disk;
mod engine;
mod error;
mod failure;
mod journal;
mod limits;
mod masked_url;
mod observer;
mod options;
mod part;
mod plan;
mod prefix;
mod probe;
mod publish;
mod ranges;
mod request;
mod retry;
mod segment;
mod transfer;
mod writer;

pub use address::{HostPolicy, InvalidHost, is_public};
pub use client::guarded_client;
pub use digest::{InvalidDigest, Sha256Digest, hash_file};
pub use engine::Engine;
pub use error::{AddressRule, Refusal, TransferError};
pub use masked_url::MaskedUrl;
pub use observer::{Event, Observer, Silent};
pub use options::{EngineOptions, MinSpeed, Timeouts};
pub use part::discard;
pub use publish::{Replace, is_unfinished_copy, publish, publish_open};
pub use request::{Admission, Credential, Expected, Facts, Fetched, Gate, Open, Outcome, Request};
pub use retry::{RetryPolicy, retry_after};
