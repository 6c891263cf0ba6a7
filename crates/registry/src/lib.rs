//! The product: what a studio's model files are, where they come from, and every rule about them.
//!
//! - [`domain`]: nouns and rules that need no database, disk or network
//! - `store`: SQLite and PostgreSQL behind one text
//! - `library`: what the store holds, in memory
//! - `files`: the models folder, the bin, the catalog files on disk
//! - `upstream`: CivitAI and Hugging Face, one client each
//! - `service`: [`Registry`], what can be done; surfaces call nothing else
//! - `worker`: runs the download queue
//!
//! `domain ← {store, files, upstream} ← service ← worker`; nothing here knows an HTTP server.

pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
mod files;
mod library;
mod service;
mod store;
mod upstream;
mod worker;

pub use error::{Error, Result};
pub use service::*;
