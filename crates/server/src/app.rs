//! What all handlers share, and the router over every surface.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use lorakeep_registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::bearer::Verifier;
use crate::guesses::GuessLimiter;
use crate::hosts::HostNames;
use crate::public::Public;
use crate::studio::Studio;
use crate::{cors, docs, envelope, hosts, measure, operations, public, requests, studio, vault, web};

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The server's state, cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    registry: Registry,
    guesses: GuessLimiter,
    hosts: HostNames,
    studio: Studio,
    public: Public,
    bearer: Option<Verifier>,
}

/// The state as handlers take it.
pub(crate) type AppState = State<App>;

impl App {
    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn guesses(&self) -> &GuessLimiter {
        &self.0.guesses
    }

    /// The names that this server answers to.
    pub(crate) fn hosts(&self) -> &HostNames {
        &self.0.hosts
    }

    pub(crate) fn studio(&self) -> &Studio {
        &self.0.studio
    }

    pub(crate) fn public(&self) -> &Public {
        &self.0.public
    }

    /// What checks tokens; `None` while none can be right.
    pub(crate) fn bearer(&self) -> Option<&Verifier> {
        self.0.bearer.as_ref()
    }
}

/// The whole HTTP application, without a network: for tests, and for a command line that works on its own data folder.
///
/// A request with the extension [`crate::wire::Peer::Trusted`] comes from the admin; one without it needs a key.
pub fn app(registry: Registry) -> Router {
    build(registry, CancellationToken::new())
}

/// As [`app`]; event streams end when `shutdown` is cancelled.
pub(crate) fn build(registry: Registry, shutdown: CancellationToken) -> Router {
    measure::install();
    let studio = Studio::new(registry.clone(), shutdown);
    let bearer = Verifier::load(&registry.config().access).unwrap_or_else(|error| {
        tracing::error!(%error, "the vault stays closed");
        None
    });
    let hosts = HostNames::new(&registry.config().server);
    let (guesses, public) = (GuessLimiter::default(), Public::default());
    let app = App(Arc::new(Inner { registry, guesses, hosts, studio, public, bearer }));
    Router::new()
        .merge(studio::routes(&app))
        .merge(operations::routes(&app))
        .merge(public::routes(&app))
        .merge(vault::routes(&app))
        .merge(web::routes(&app))
        .merge(docs::routes())
        .fallback(envelope::not_found)
        .method_not_allowed_fallback(envelope::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), cors::share))
        .layer(from_fn_with_state(app.clone(), hosts::guard))
        .layer(from_fn_with_state(app.clone(), requests::observe))
        .layer(from_fn(requests::identify))
        .with_state(app)
}
