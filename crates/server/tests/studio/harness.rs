//! A server on a free port, its registry on SQLite, and a stand-in for the upstreams.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lorakeep_registry::Registry;
use lorakeep_registry::clock::FixedClock;
use lorakeep_registry::config::{Config, ConfigFlags};
use lorakeep_registry::domain::CatalogName;
use lorakeep_server::wire::Listeners;
use lorakeep_standin::{Options, Standin};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

const KEY: &str = "a-key-for-tests-only-0123456789";

/// A running studio.
pub(crate) struct Studio {
    pub(crate) registry: Registry,
    pub(crate) standin: Standin,
    _folder: TempDir,
    address: SocketAddr,
    client: reqwest::Client,
    _shutdown: DropGuard,
}

/// Status and body.
pub(crate) type Answer = (u16, Value);

impl Studio {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more of the environment.
    pub(crate) async fn start_with(environment: &[(&str, &str)]) -> Self {
        let standin = Standin::start(Options::default()).await.expect("a stand-in");
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder, &standin, environment);
        let now: DateTime<Utc> = "2026-03-23T12:00:00Z".parse().expect("a time");
        let registry = Registry::open(config, Arc::new(FixedClock::at(now))).await.expect("opened");
        registry.start();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::new().with_tcp(any_port).await.expect("bound");
        let address = listeners.addresses()[0];
        let shutdown = CancellationToken::new();
        tokio::spawn(lorakeep_server::serve(listeners, registry.clone(), shutdown.clone()));
        // Another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { registry, standin, _folder: folder, address, client, _shutdown: shutdown.drop_guard() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(http::Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send(self.request(http::Method::POST, path)).await
    }

    /// A request with the admin key.
    pub(crate) fn request(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).header("x-api-key", KEY)
    }

    /// A request without a key.
    pub(crate) fn anonymous(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// Sends it and reads the body as JSON.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Imports entries into a catalog.
    pub(crate) async fn import(&self, catalog: CatalogName, entries: Value) {
        let report = self.registry.import(catalog, entries.to_string().as_bytes()).await.expect("imported");
        assert_eq!(report.errors, [], "{report:?}");
    }
}

fn config(folder: &TempDir, standin: &Standin, environment: &[(&str, &str)]) -> Config {
    let flags = ConfigFlags { data_dir: Some(folder.path().join("data")), ..ConfigFlags::default() };
    let own = [
        ("API_KEY", KEY.to_owned()),
        ("LORAKEEP_CIVITAI_URL", standin.civitai_url()),
        ("HF_ENDPOINT", standin.huggingface_url()),
        ("LORAKEEP_ALLOW_HOSTS", "127.0.0.1,localhost".to_owned()),
    ];
    let env = |name: &str| {
        let given = environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        given.or_else(|| own.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone()))
    };
    Config::load(&flags, &env).expect("a good configuration")
}
