//! The studio's API below `/api/admin`: its routes and its error envelope `{"detail": …}`.
//!
//! `docs/http-api.md` is its page. Handlers parse, call one method of the registry and translate.

mod adoption;
mod backfill;
mod cache;
mod civitai;
mod civitai_image;
mod civitai_map;
mod civitai_styles;
mod civitai_tags;
mod downloads;
mod duplicates;
mod entries;
mod environment;
mod evaluations;
mod event_stream;
mod events;
mod files;
mod gallery;
mod gallery_run;
mod identify;
mod loras;
mod metadata;
mod models;
mod quarantine;
mod sessions;
mod settings;
mod sidecars;
mod status;
mod styles;
mod sync;
mod teams;
mod verification;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use lorakeep_registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::app::App;
use crate::envelope::Refusal;
use crate::openapi::Operation;
use crate::{auth, extract, multipart, tus};

/// Catalog files that are read at once; each may hold [`multipart::MAX_DOCUMENT_BYTES`] of memory.
const IMPORTS_AT_ONCE: usize = 2;

/// What the studio's handlers keep between requests.
pub(crate) struct Studio {
    listings: cache::Listings,
    civitai_map: civitai_map::Cache,
    pairs: loras::Pairs,
    status: status::StatusStream,
    /// Places for those who watch events; each costs a connection.
    watchers: Arc<Semaphore>,
    shutdown: CancellationToken,
    imports: Semaphore,
}

impl Studio {
    pub(crate) fn new(registry: Registry, shutdown: CancellationToken) -> Self {
        Self {
            listings: cache::Listings::default(),
            civitai_map: civitai_map::Cache::default(),
            pairs: loras::Pairs::default(),
            status: status::StatusStream::new(registry, shutdown.clone()),
            watchers: Arc::new(Semaphore::new(status::MAX_WATCHERS)),
            shutdown,
            imports: Semaphore::new(IMPORTS_AT_ONCE),
        }
    }
}

impl Studio {
    /// A place for one who watches; an error when there are too many.
    fn watcher_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| Refusal::from(status::too_many()))
    }

    /// Ends with the server.
    fn shutdown(&self) -> WaitForCancellationFutureOwned {
        self.shutdown.clone().cancelled_owned()
    }
}

pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .merge(catalog_routes())
        .merge(download_routes())
        .merge(file_routes())
        .merge(civitai::routes())
        .merge(civitai_tags::routes())
        .merge(civitai_styles::routes())
        .merge(loras::routes())
        .merge(backfill::routes())
        .merge(events::routes())
        .merge(gallery::routes())
        .merge(metadata::routes())
        .merge(sync::routes())
        .merge(tus::routes("/api/admin/uploads"))
        .merge(adoption::routes())
        .merge(sidecars::routes())
        .merge(evaluations::routes())
        .route("/api/admin/settings", get(settings::show).put(settings::change))
        .route("/api/admin/settings/env", get(environment::show).put(environment::change))
        .route("/api/admin/doctor", get(settings::examine))
        .merge(sessions::routes())
        .merge(teams::routes())
        .merge(styles::routes())
        .route_layer(from_fn_with_state(app.clone(), auth::require_admin))
        .merge(sessions::open_routes())
}

/// What is served, for the documentation.
pub(crate) fn operations() -> Vec<Operation> {
    [
        sessions::operations(),
        models::operations(),
        entries::operations(),
        downloads::operations(),
        status::operations(),
        files::operations(),
        quarantine::operations(),
        duplicates::operations(),
        identify::operations(),
        verification::operations(),
        adoption::operations(),
        sidecars::operations(),
        civitai::operations(),
        civitai_tags::operations(),
        civitai_styles::operations(),
        styles::operations(),
        loras::operations(),
        gallery::operations(),
        backfill::operations(),
        metadata::operations(),
        sync::operations(),
        events::operations(),
        evaluations::operations(),
        tus::operations("/api/admin/uploads", "/api/admin/uploads/{id}"),
        teams::operations(),
        settings::operations(),
    ]
    .concat()
}

fn catalog_routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models", get(models::list_models))
        .route("/api/admin/loras", get(models::list_loras))
        .route("/api/admin/stats", get(models::stats))
        .route("/api/admin/models/import", post(models::import_models))
        .route("/api/admin/loras/import", post(models::import_loras))
        .route("/api/admin/models/import-builtin", post(models::import_builtin))
        .route("/api/admin/models/export", get(models::export_models))
        .route("/api/admin/loras/export", get(models::export_loras))
        .route("/api/admin/models/{filename}/catalog", axum::routing::delete(entries::remove))
        .route("/api/admin/entries", get(entries::list).post(entries::add).patch(entries::edit_many))
        .route("/api/admin/entries/{id}", get(entries::show_by_id).patch(entries::edit))
        .route("/api/admin/entries/{id}/history", get(entries::history))
        .route("/api/admin/edits/{id}/revert", post(entries::revert))
        // Also for files whose name is one of the words of `/api/admin/models/…`.
        .route("/api/admin/entries/by-file/{filename}", get(entries::show).delete(files::delete))
}

fn download_routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/download/{filename}", post(downloads::enqueue))
        .route("/api/admin/models/download-batch", post(downloads::enqueue_batch))
        .route("/api/admin/models/status", get(status::stream))
        .route("/api/admin/downloads", get(downloads::list))
        .route("/api/admin/downloads/pause-all", post(downloads::pause_all))
        .route("/api/admin/downloads/resume-all", post(downloads::resume_all))
        .route("/api/admin/downloads/{id}", get(downloads::show))
        .route("/api/admin/downloads/{id}/pause", post(downloads::pause))
        .route("/api/admin/downloads/{id}/resume", post(downloads::resume))
        .route("/api/admin/downloads/{id}/cancel", post(downloads::cancel))
        .route("/api/admin/downloads/{id}/retry", post(downloads::retry))
        .route("/api/admin/downloads/{id}/move", post(downloads::place))
}

fn file_routes() -> Router<App> {
    Router::new()
        .route("/api/admin/models/{filename}", axum::routing::delete(files::delete))
        .route("/api/admin/bin", get(files::list_bin).delete(files::purge_bin))
        .route("/api/admin/bin/{id}", axum::routing::delete(files::purge_item))
        .route("/api/admin/bin/{id}/restore", post(files::restore))
        .route("/api/admin/quarantine", get(quarantine::list))
        .route("/api/admin/quarantine/{sha256}", axum::routing::delete(quarantine::remove))
        .route("/api/admin/quarantine/{sha256}/release", post(quarantine::release))
        .route("/api/admin/duplicates", get(duplicates::list))
        .route("/api/admin/duplicates/bin", post(duplicates::bin))
        .route("/api/admin/identify", get(identify::show).post(identify::start).delete(identify::cancel))
        .route("/api/admin/scan", post(files::scan))
        .route("/api/admin/unlisted", get(files::list_unlisted))
        .route("/api/admin/unlisted/adopt", post(files::adopt))
        .route(
            "/api/admin/verify",
            get(verification::show).post(verification::start).delete(verification::cancel),
        )
}
