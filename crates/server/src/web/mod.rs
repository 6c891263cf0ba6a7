//! Pages for people, rendered by the server. They only read: whatever a person does on them goes through the same JSON
//! API that programs use, so that no rule lives here.
//!
//! `page`: what all pages share (frame, headers, compression, who may see them); `assets`: the embedded files;
//! `filters`: how values are written; then one file a page, with its template of the same name.

mod activity;
mod add;
mod adoption;
mod assets;
mod bin;
#[cfg(test)]
mod contrast;
mod disk;
mod downloads;
mod duplicates;
mod entry;
mod entry_gallery;
mod evaluation;
mod fault;
mod filters;
mod generation;
mod library;
mod library_query;
mod login;
mod page;
mod reference;
mod schema_words;
mod settings;
mod style;
mod styles;
mod sync;
mod teams;
mod treemap;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::app::App;

pub(crate) fn routes(app: &App) -> Router<App> {
    pages().route_layer(from_fn_with_state(app.clone(), page::require_person)).merge(open_routes())
}

fn pages() -> Router<App> {
    Router::new()
        .route("/", get(library::show))
        .route("/cards/{id}", get(library::show_card))
        .route("/entries/{id}", get(entry::show))
        .route("/entries/{id}/facts", get(entry::show_facts))
        .route("/entries/{id}/gallery", get(entry_gallery::show))
        .route("/entries/by-file/{file}", get(entry::find))
        .route("/evaluations/{id}", get(evaluation::show))
        .route("/add", get(add::show))
        .route("/add/preview", get(add::preview))
        .route("/downloads", get(downloads::show))
        .route("/generation", get(generation::show))
        .route("/bin", get(bin::show))
        .route("/quarantine", get(bin::show_quarantine))
        .route("/activity", get(activity::show))
        .route("/disk", get(disk::show))
        .route("/duplicates", get(duplicates::show))
        .route("/styles", get(styles::list))
        .route("/styles/new", get(style::show_new))
        .route("/styles/template", get(style::show_template))
        .route("/styles/{style}", get(style::show))
        .route("/teams", get(teams::list))
        .route("/teams/{id}", get(teams::show))
        .route("/settings", get(settings::show))
        .route("/settings/adoption", get(adoption::show))
        .route("/settings/repository", get(sync::show))
}

/// What a browser needs before anybody is logged in.
fn open_routes() -> Router<App> {
    Router::new()
        .route("/home", get(login::lead_home))
        .route("/docs", get(reference::show))
        .route("/docs/{page}", get(reference::show_one))
        .route("/login", get(login::show).post(login::log_in))
        .route("/assets/{bundle}/{name}", get(assets::serve))
        .route("/favicon.ico", get(assets::serve_icon))
}
