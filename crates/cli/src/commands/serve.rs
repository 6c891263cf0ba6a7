//! `lorakeep serve`: the server, until somebody asks it to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lorakeep_registry::Registry;
use lorakeep_registry::clock::SystemClock;
use lorakeep_registry::config::Config;
use lorakeep_server::telemetry::{self, LogFormat};
use lorakeep_server::wire::{Listeners, LocalSocket};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::args::GlobalArgs;
use crate::commands::{Ended, config};
use crate::connection::cannot_open;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::signals::Signals;

/// A supervisor kills after 10 s; whoever is not done by then would not have been done later either.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(9_500);

/// Start the server (this is also what `lorakeep` alone does)
///
/// Serves the API, the pages and the download queue on --listen, and the command line of this machine on the socket in
/// the data folder. The first start makes an admin key and prints it once, unless API_KEY is set. SIGTERM or Ctrl-C ends
/// it cleanly: downloads are parked and go on at the next start; a second signal ends it at once.
///
/// Logs go to standard error: text on a terminal, JSON elsewhere (LORAKEEP_LOG_FORMAT, LORAKEEP_LOG). With --json one
/// object with the addresses goes to standard output as soon as it listens.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep
  lorakeep serve --data-dir /srv/lorakeep --listen 0.0.0.0:8000
  lorakeep serve --comfyui-dir ~/ComfyUI          keep the models where ComfyUI looks for them")]
pub(crate) struct ServeArgs {}

pub(crate) async fn run(global: &GlobalArgs, output: &Output) -> Result<Ended> {
    let config = config::load(&global.configuration)?;
    let format = LogFormat::from_environment();
    telemetry::init(format);
    // From here on a signal is an orderly end, also while the data folder is being opened.
    let mut signals = Signals::listen()?;
    let registry = Registry::open(config.clone(), Arc::new(SystemClock))
        .await
        .map_err(|error| cannot_open(&error, &config.data_dir))?;
    let ended = open_doors(&registry, &config, format, &mut signals, output).await;
    if matches!(ended, Ok(Stopped::AtOnce)) {
        return Ok(Ended::Failed);
    }
    let closed = close(&registry, &mut signals).await;
    ended.map(|_| closed)
}

/// Listens, shows the key of a first start, and serves until somebody asks it to end.
async fn open_doors(
    registry: &Registry,
    config: &Config,
    format: LogFormat,
    signals: &mut Signals,
    output: &Output,
) -> Result<Stopped> {
    let listeners = listen(config, output).await?;
    let key = registry.take_first_start_key().await.map_err(|error| cannot_open(&error, &config.data_dir))?;
    if let Some(key) = key {
        output.first_start_key(&key);
    }
    announce(&listeners.addresses(), config, format, output)?;
    registry.start();
    serve(listeners, registry, signals).await
}

/// How the serving ended.
enum Stopped {
    Cleanly,
    AtOnce,
}

async fn listen(config: &Config, output: &Output) -> Result<Listeners> {
    let listeners = Listeners::new().with_tcp(config.server.listen).await.map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.hint("another program listens there; choose another address with --listen")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 need a right; choose another with --listen")
            }
            _ => failure.hint("choose an address of this machine with --listen"),
        }
    })?;
    match LocalSocket::bind(config.socket_path()) {
        Ok(socket) => Ok(listeners.with_socket(socket)),
        Err(error) => {
            output.warn(&format!("{error}; the command line on this machine needs --server and --key"));
            Ok(listeners)
        }
    }
}

/// Says where it listens: to people in words, to programs in JSON, and to a log that nobody watches as a record.
fn announce(addresses: &[SocketAddr], config: &Config, format: LogFormat, output: &Output) -> Result<()> {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    if format == LogFormat::Json {
        for address in &addresses {
            tracing::info!(address, data_dir = %config.data_dir.display(), "listening on {address}");
        }
    } else {
        for address in &addresses {
            output.say(&format!("lorakeep {} listens on {address}", env!("CARGO_PKG_VERSION")));
        }
        output.say(&format!("  data    {}", config.data_dir.display()));
        output.say(&format!("  models  {}", config.models_dir.display()));
        output
            .say("Ctrl-C ends it. In another terminal: `lorakeep list`, `lorakeep add REFERENCE --download`");
    }
    if output.is_json() {
        let socket = config.socket_path();
        output.json(&json!({ "addresses": addresses, "data_dir": config.data_dir, "models_dir": config.models_dir, "socket": socket }))?;
    }
    Ok(())
}

async fn serve(listeners: Listeners, registry: &Registry, signals: &mut Signals) -> Result<Stopped> {
    let shutdown = CancellationToken::new();
    let serving = lorakeep_server::serve(listeners, registry.clone(), shutdown.clone());
    tokio::pin!(serving);
    let failed =
        |error: std::io::Error| Failure::new(format!("the server cannot run: {error}")).caused_by(&error);
    tokio::select! {
        ended = &mut serving => return ended.map(|()| Stopped::Cleanly).map_err(failed),
        asked = signals.next() => tracing::info!(signal = ?asked, "ending; a second signal ends it at once"),
    }
    shutdown.cancel();
    tokio::select! {
        ended = &mut serving => ended.map(|()| Stopped::Cleanly).map_err(failed),
        _ = signals.next() => Ok(Stopped::AtOnce),
    }
}

async fn close(registry: &Registry, signals: &mut Signals) -> Ended {
    tokio::select! {
        closed = tokio::time::timeout(SHUTDOWN_LIMIT, registry.close()) => {
            if closed.is_err() {
                tracing::warn!("the downloads were not parked in time; they go on from their journals");
            }
            Ended::failed_if(closed.is_err())
        }
        _ = signals.next() => Ended::Failed,
    }
}
