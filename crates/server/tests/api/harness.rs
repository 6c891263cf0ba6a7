//! One server of its own for each test: a data folder, a registry on SQLite, a listener on a free port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use lorakeep_registry::Registry;
use lorakeep_registry::clock::FixedClock;
use lorakeep_registry::config::{Config, ConfigFlags};
use lorakeep_server::wire::{Limits, Listeners, LocalSocket};
use lorakeep_standin::Standin;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Call, PATIENCE};

/// The admin key of all test servers.
pub(crate) const KEY: &str = "a-key-for-tests-only-0123456789";

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) shutdown: CancellationToken,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    folder: TempDir,
}

/// How a server differs from the usual.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    pub(crate) limits: Limits,
    /// Downloads come from here.
    pub(crate) standin: Option<&'a Standin>,
    /// Whether background work runs: downloads above all.
    pub(crate) is_working: bool,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// With a working queue that downloads from the stand-in.
    pub(crate) async fn start_downloading(standin: &Standin) -> Self {
        Self::start_with(Setup { standin: Some(standin), is_working: true, ..Setup::default() }).await
    }

    pub(crate) async fn start_with(setup: Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder, setup.standin);
        let socket = LocalSocket::bind(config.socket_path()).expect_err("the data folder is not there yet");
        assert_eq!(socket.kind(), std::io::ErrorKind::NotFound);
        let registry = Registry::open(config, Arc::new(FixedClock::at(noon()))).await.expect("opened");
        if setup.is_working {
            registry.start();
        }
        let socket = LocalSocket::bind(registry.config().socket_path()).expect("bound");
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::new().with_tcp(any_port).await.expect("bound").with_socket(socket);
        let address = listeners.addresses()[0];
        let shutdown = CancellationToken::new();
        let serving =
            lorakeep_server::serve_with(listeners, registry.clone(), setup.limits, shutdown.clone());
        Self { address, registry, shutdown, serving: Some(tokio::spawn(serving)), folder }
    }

    /// A request without any credential.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> Call {
        Call::new(self.address, method, path)
    }

    /// A request with the admin key.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Call {
        self.anonymous(method, path).header("x-api-key", KEY)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.admin(Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.admin(Method::POST, path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.admin(Method::DELETE, path).send().await
    }

    /// Imports a catalog file into `models`.
    pub(crate) async fn import(&self, document: &serde_json::Value) -> Answer {
        let call = self.admin(Method::POST, "/api/admin/models/import");
        call.form("file", document.to_string().as_bytes()).send().await
    }

    /// Where model files are.
    pub(crate) fn models_dir(&self) -> PathBuf {
        self.registry.config().models_dir.clone()
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Puts a file into the models folder and lets the server look.
    pub(crate) async fn put_file(&self, path: &str, content: &[u8]) {
        let target = self.models_dir().join(path);
        std::fs::create_dir_all(target.parent().expect("it has one")).expect("made");
        std::fs::write(target, content).expect("written");
        assert_eq!(self.post("/api/admin/scan").await.status, 200);
    }

    /// Stops the server and answers how long that took.
    pub(crate) async fn stop(&mut self) -> Duration {
        let started = std::time::Instant::now();
        self.shutdown.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.expect("no panic").expect("served");
        }
        started.elapsed()
    }

    /// Asks for `path` until `is_done` says so.
    pub(crate) async fn wait_for(
        &self,
        path: &str,
        is_done: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let poll = async {
            loop {
                let answer = self.get(path).await.json();
                if is_done(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll)
            .await
            .unwrap_or_else(|_| panic!("`{path}` never came to what was awaited"))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The time of all test servers.
fn noon() -> DateTime<Utc> {
    "2026-03-23T12:00:00Z".parse().expect("a time")
}

fn config(folder: &TempDir, standin: Option<&Standin>) -> Config {
    let flags = ConfigFlags {
        data_dir: Some(folder.path().join("data")),
        models_dir: Some(folder.path().join("models")),
        ..ConfigFlags::default()
    };
    let (civitai, huggingface) = match standin {
        Some(standin) => (standin.civitai_url(), standin.huggingface_url()),
        // Nobody answers there: tests talk to loopback only.
        None => ("http://127.0.0.1:9".to_owned(), "http://127.0.0.1:9".to_owned()),
    };
    let env = |name: &str| match name {
        "API_KEY" => Some(KEY.to_owned()),
        "LORAKEEP_CIVITAI_URL" => Some(civitai.clone()),
        "HF_ENDPOINT" => Some(huggingface.clone()),
        "LORAKEEP_ALLOW_HOSTS" => Some("127.0.0.1,localhost".to_owned()),
        _ => None,
    };
    Config::load(&flags, &env).expect("a good configuration")
}
