//! The server over real sockets: every surface against a real registry on SQLite, and the stand-in for the upstreams.

mod api;
mod browser;
mod client;
mod docs;
mod hardening;
mod harness;
mod public;
mod studio;
mod vault;
