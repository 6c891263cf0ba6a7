//! A server that works, with a stand-in for CivitAI and Hugging Face of its own.

use http::Method;
use lorakeep_registry::Registry;
use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::{Options, Standin};
use serde_json::Value;

use super::{Setup, TestServer};
use crate::client::Call;

/// A running studio.
pub(crate) struct Studio {
    pub(crate) server: TestServer,
    pub(crate) registry: Registry,
    pub(crate) standin: Standin,
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
        let setup = Setup { standin: Some(&standin), is_working: true, environment, ..Setup::default() };
        let server = TestServer::start_with(setup).await;
        Self { registry: server.registry.clone(), server, standin }
    }

    /// The same folder and stand-in with a server that starts anew.
    pub(crate) async fn restarted(self) -> Self {
        let Self { server, registry, standin } = self;
        drop(registry);
        let folder = server.into_folder().await;
        let setup = Setup { standin: Some(&standin), is_working: true, ..Setup::default() };
        let server = TestServer::start_in(folder, setup).await;
        Self { registry: server.registry.clone(), server, standin }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    /// A request with the admin key.
    pub(crate) fn request(&self, method: Method, path: &str) -> Call {
        self.server.admin(method, path)
    }

    /// Sends it and reads the body as JSON.
    pub(crate) async fn send(&self, call: Call) -> Answer {
        let answer = call.send().await;
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// Imports entries into a catalog.
    pub(crate) async fn import(&self, catalog: CatalogName, entries: Value) {
        let report = self.registry.import(catalog, entries.to_string().as_bytes()).await.expect("imported");
        assert_eq!(report.errors, [], "{report:?}");
    }
}
