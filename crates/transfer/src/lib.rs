//! From a URL to a verified file: ranged connections, journal, retry, hash, content gate, publish.
//!
//! Knows no catalog and no database. [`Engine::fetch`] takes a [`Request`], tells an [`Observer`]
//! what happens and answers a [`Fetched`] or a [`TransferError`].
//!
//! The map: `engine` (one a process) · `address` (who may be asked) · `limits` (connections,
//! bandwidth, waiting hosts) · `retry` (waits) · `publish` (the one way to a destination) ·
//! `disk` (file operations as a parameter).

mod address;
mod digest;
pub mod disk;
mod engine;
mod error;
mod limits;
mod masked_url;
mod observer;
mod options;
mod request;
mod retry;

pub use address::{HostPolicy, InvalidHost, guarded_client, is_public};
pub use digest::{InvalidDigest, Sha256Digest, hash_file};
pub use engine::Engine;
pub use error::{AddressRule, Refusal, TransferError};
pub use masked_url::MaskedUrl;
pub use observer::{Event, Observer, Silent};
pub use options::{EngineOptions, MinSpeed, Timeouts};
pub use request::{Admission, Credential, Expected, Facts, Fetched, Gate, Open, Outcome, Request};
pub use retry::{RetryPolicy, retry_after};
