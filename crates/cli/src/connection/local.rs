//! No server runs: the data folder is opened here, and the same application answers in this process. While it works for
//! long, it answers other commands on this machine as a server would, so that `lorakeep list` works during a download.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use lorakeep_registry::clock::SystemClock;
use lorakeep_registry::config::Config;
use lorakeep_registry::{Error, Registry};
use lorakeep_server::telemetry::{self, LogFormat};
use lorakeep_server::wire::{Listeners, LocalSocket, Peer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::Streamed;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// The data folder, opened by this process.
pub(super) struct Local {
    registry: Registry,
    app: Router,
    /// What answers other commands, once it does.
    sharing: Mutex<Option<Sharing>>,
}

/// A server on the socket of the data folder, as long as this command runs.
struct Sharing {
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

/// What came of opening it.
pub(super) enum Opened {
    Open(Box<Local>),
    /// Another process holds it.
    Locked(Failure),
}

impl Local {
    /// Takes the lock of the data folder.
    pub(super) async fn open(config: Config, output: &Output) -> Result<Opened> {
        if output.wants_log() {
            telemetry::init(LogFormat::from_environment());
        }
        let data_dir = config.data_dir.clone();
        let registry = match Registry::open(config, Arc::new(SystemClock)).await {
            Ok(registry) => registry,
            Err(error) if error.code() == "data_dir_locked" => {
                return Ok(Opened::Locked(
                    Failure::new(error.to_string())
                        .hint("wait for the other lorakeep process to end, or stop it"),
                ));
            }
            Err(error) => return Err(cannot_open(&error, &data_dir)),
        };
        let app = lorakeep_server::app(registry.clone());
        Ok(Opened::Open(Box::new(Self { registry, app, sharing: Mutex::default() })))
    }

    /// Starts the background work: what is in the queue runs from here on.
    pub(super) fn start(&self) {
        self.registry.start();
    }

    /// Answers other commands on this machine from here on. Where there can be no socket they have to wait instead.
    pub(super) fn share(&self) {
        let mut sharing = self.sharing.lock().unwrap_or_else(PoisonError::into_inner);
        if sharing.is_some() {
            return;
        }
        match LocalSocket::bind(self.registry.config().socket_path()) {
            Ok(socket) => {
                let shutdown = CancellationToken::new();
                let listeners = Listeners::new().with_socket(socket);
                let serving = lorakeep_server::serve(listeners, self.registry.clone(), shutdown.clone());
                *sharing = Some(Sharing { shutdown, serving: tokio::spawn(serving) });
            }
            Err(error) => tracing::info!(%error, "other commands have to wait for this one"),
        }
    }

    pub(super) async fn send(&self, request: http::Request<Bytes>) -> Result<Streamed> {
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(Peer::Trusted);
        let Ok(response) = self.app.clone().oneshot(request).await;
        Ok(Streamed::new(response, "the application"))
    }

    pub(super) async fn close(self) {
        let sharing = self.sharing.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(Sharing { shutdown, serving }) = sharing {
            shutdown.cancel();
            if let Ok(Err(error)) = serving.await {
                tracing::warn!(%error, "other commands were not answered");
            }
        }
        self.registry.close().await;
    }
}

/// Says which folder it was when the data folder cannot be opened.
pub(crate) fn cannot_open(error: &Error, data_dir: &std::path::Path) -> Failure {
    let failure = match error {
        Error::Internal { .. } => {
            Failure::new(format!("cannot open the data folder `{}`: {error}", data_dir.display()))
        }
        _ => Failure::new(error.to_string()),
    };
    match std::error::Error::source(error) {
        Some(source) => failure.caused_by(source),
        None => failure,
    }
}
