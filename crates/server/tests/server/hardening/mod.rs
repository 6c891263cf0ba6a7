//! What a server that strangers can reach must withstand; each test names its row of `docs/hardening.md`.

mod browser;
mod sessions;
