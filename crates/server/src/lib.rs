//! The surfaces of the product: words, status codes, callers and pages. No rule of the domain lives here.
//!
//! - [`serve`] and [`app()`]: the way in
//! - [`wire`]: HTTP/1.1 with time-outs and caps
//! - `requests`: what every request passes: id, log line, metrics, panics, security headers
//! - `auth`: who asks; `session`: the cookie of a browser; `origin`, `cors`, `hosts`: which pages may ask; `problem`: what an error means in HTTP, for every surface
//! - `compression`, `conditional`, `media`: bodies by gzip, validators, files in ranges
//! - `extract`, `multipart`: input of requests, for every surface; [`bearer`]: tokens of the vault
//! - `studio`: `/api/admin/**`; `public`: `/v1/**`; `vault`: `/api/v1/**`; `operations`: `/api/health` and `/metrics`; `web`: pages
//! - `openapi`: how surfaces describe their operations; `docs`: what is made of it, and the pages of `docs/`
//! - `tus`: uploads in pieces, below the vault and the studio alike
//! - [`telemetry`]: logs of the process

mod app;
mod auth;
pub mod bearer;
mod compression;
mod conditional;
mod cors;
mod docs;
mod envelope;
mod evaluation;
mod extract;
mod forwarded;
mod guesses;
mod hosts;
mod measure;
mod media;
mod multipart;
mod openapi;
mod operations;
mod origin;
mod problem;
mod public;
mod requests;
mod session;
mod studio;
pub mod telemetry;
mod tus;
mod uploaded;
mod vault;
mod web;
pub mod wire;

use std::io;

use lorakeep_registry::Registry;
use tokio_util::sync::CancellationToken;

use wire::{Limits, Listeners};

pub use app::{VERSION, app};
pub use docs::Surface;

/// Serves the registry on all listeners until `shutdown` is cancelled; takes under 10 s from there.
///
/// Opening, starting and closing the registry is the caller's.
pub async fn serve(listeners: Listeners, registry: Registry, shutdown: CancellationToken) -> io::Result<()> {
    serve_with(listeners, registry, Limits::default(), shutdown).await
}

/// [`serve`] with other time-outs and caps.
pub async fn serve_with(
    listeners: Listeners,
    registry: Registry,
    mut limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    limits.fit_to_open_files();
    // A key that cannot be used is a mistake to see now, not with the first token.
    bearer::Verifier::load(&registry.config().access)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let router = app::build(registry, shutdown.clone());
    wire::serve(listeners, router, limits, shutdown).await;
    Ok(())
}
