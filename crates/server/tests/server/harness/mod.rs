//! One server of its own for each test: a data folder, a registry on SQLite, a listener on a free port.

mod studio;
mod uploads;
mod vault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

pub(crate) use studio::Studio;
pub(crate) use uploads::{form, lora, safetensors, sdxl_lora, with_form};
pub(crate) use vault::Vault;

/// The admin key of all test servers.
pub(crate) const KEY: &str = "a-key-for-tests-only-0123456789";

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) shutdown: CancellationToken,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    folder: Option<TempDir>,
}

/// How a server differs from the usual.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    pub(crate) limits: Limits,
    /// Upstreams are here; without one nobody answers for them.
    pub(crate) standin: Option<&'a Standin>,
    /// Whether background work runs: downloads above all.
    pub(crate) is_working: bool,
    /// More of the environment, before our own.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// A `lorakeep.toml` in the data folder.
    pub(crate) settings_file: Option<&'a str>,
    /// Whether no admin key is configured.
    pub(crate) has_no_key: bool,
    /// The server's time, noon of a day in March when not given.
    pub(crate) now: Option<&'a str>,
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
        Self::start_in(tempfile::tempdir().expect("a folder"), setup).await
    }

    /// In a folder that an earlier server may have left.
    pub(crate) async fn start_in(folder: TempDir, setup: Setup<'_>) -> Self {
        write_settings(folder.path(), setup.settings_file);
        let config = config(folder.path(), &setup);
        let now = setup.now.unwrap_or("2026-03-23T12:00:00Z").parse().expect("a time");
        let registry = Registry::open(config, Arc::new(FixedClock::at(now))).await.expect("opened");
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
        Self { address, registry, shutdown, serving: Some(tokio::spawn(serving)), folder: Some(folder) }
    }

    /// One that makes its own key at the first start.
    pub(crate) async fn start_without_key() -> Self {
        Self::start_with(Setup { has_no_key: true, ..Setup::default() }).await
    }

    /// A stopped server again, on the same folders.
    pub(crate) async fn restart(mut self, environment: &[(&str, &str)]) -> Self {
        self.stop().await;
        self.registry.close().await;
        let folder = self.folder.take().expect("a server has its folder");
        drop(self);
        Self::start_in(folder, Setup { environment, ..Setup::default() }).await
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
        self.root().join("data")
    }

    /// The folder that everything of this server is below.
    pub(crate) fn root(&self) -> &Path {
        self.folder.as_ref().expect("taken with the server alone").path()
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

    /// Stops and closes everything; another server may start in the folder then.
    pub(crate) async fn into_folder(mut self) -> TempDir {
        self.stop().await;
        self.registry.close().await;
        self.folder.take().expect("taken with the server alone")
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

fn write_settings(folder: &Path, settings: Option<&str>) {
    if let Some(settings) = settings {
        std::fs::create_dir_all(folder.join("data")).expect("made");
        std::fs::write(folder.join("data/lorakeep.toml"), settings).expect("written");
    }
}

fn config(folder: &Path, setup: &Setup<'_>) -> Config {
    let flags = ConfigFlags { data_dir: Some(folder.join("data")), ..ConfigFlags::default() };
    // Nobody answers there: tests talk to loopback only.
    let nobody = || "http://127.0.0.1:9".to_owned();
    let own = [
        ("API_KEY", KEY.to_owned()),
        ("LORAKEEP_CIVITAI_URL", setup.standin.map_or_else(nobody, Standin::civitai_url)),
        ("HF_ENDPOINT", setup.standin.map_or_else(nobody, Standin::huggingface_url)),
        ("LORAKEEP_ALLOW_HOSTS", "127.0.0.1,localhost".to_owned()),
        // What requests that are written by hand call their server.
        ("LORAKEEP_HOST_NAMES", "a".to_owned()),
    ];
    let env = |name: &str| {
        if name == "API_KEY" && setup.has_no_key {
            return None;
        }
        let given = setup.environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        given.or_else(|| own.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone()))
    };
    Config::load(&flags, &env).expect("a good configuration")
}
