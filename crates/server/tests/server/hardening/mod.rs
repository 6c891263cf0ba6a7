//! What a server that strangers can reach must withstand; each test names its row of `docs/hardening.md`.

mod access;
mod availability;
mod browser;
mod files;
pub(crate) mod routes;
mod sessions;
