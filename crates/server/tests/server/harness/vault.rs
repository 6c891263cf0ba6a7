//! A server with a vault whose tokens are signed by a secret.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::Method;
use lorakeep_registry::Registry;
use lorakeep_server::bearer;
use serde_json::{Value, json};

use super::{Setup, TestServer, with_form};
use crate::client::{Answer, Call};

const SECRET: &str = "a-secret-for-tests-only-0123456789";

/// A running server.
pub(crate) struct Vault {
    pub(crate) server: TestServer,
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
}

impl Vault {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more of the environment.
    pub(crate) async fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_as(environment, None).await
    }

    /// With that `lorakeep.toml`.
    pub(crate) async fn start_with_file(settings: &str) -> Self {
        Self::start_as(&[], Some(settings)).await
    }

    async fn start_as(environment: &[(&str, &str)], settings_file: Option<&str>) -> Self {
        let environment = [environment, &[("LORAKEEP_JWT_SECRET", SECRET)]].concat();
        let now = Some("2024-01-01T12:00:00Z");
        let setup = Setup { environment: &environment, settings_file, now, ..Setup::default() };
        let server = TestServer::start_with(setup).await;
        Self { registry: server.registry.clone(), address: server.address, server }
    }

    /// A token with those claims besides who and until when.
    pub(crate) fn token(&self, more: &Value) -> String {
        let mut claims = json!({"sub": "ann", "exp": self.registry.now().timestamp() + 3600});
        for (name, value) in more.as_object().expect("claims are an object") {
            claims[name] = value.clone();
        }
        bearer::issue(&SECRET.to_owned().into(), &claims)
    }

    pub(crate) fn call(&self, method: Method, path: &str, token: &str) -> Call {
        self.server.anonymous(method, path).header("authorization", &format!("Bearer {token}"))
    }

    /// As an admin by token.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Call {
        self.call(method, path, &self.token(&json!({"role": "admin"})))
    }

    /// By the admin key.
    pub(crate) fn studio(&self, method: Method, path: &str) -> Call {
        self.server.admin(method, path)
    }

    /// Uploads by the admins' route.
    pub(crate) async fn upload(&self, name: &str, content: &[u8], fields: &[(&str, &str)]) -> Answer {
        let call = self.admin(Method::POST, "/api/v1/admin/lora/upload");
        with_form(call, name, content, fields).send().await
    }

    pub(crate) fn models_dir(&self) -> PathBuf {
        self.server.models_dir()
    }

    /// The folder that everything of this server is below.
    pub(crate) fn root(&self) -> &Path {
        self.server.root()
    }

    /// A body with the folder of this test cut off, so that paths read as below `/data`.
    pub(crate) fn shown(&self, answer: &Answer) -> Value {
        let root = self.root().display().to_string();
        serde_json::from_str(&answer.text().replace(&root, "")).expect("JSON")
    }

    /// Every file below the models folder and the data folder but the database, by its path.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.root(), &mut found);
        found.retain(|path| !path.contains("/lorakeep.") && !path.contains("/catalogs/"));
        found.sort();
        found.into_iter().map(|path| path.replace(&self.root().display().to_string(), "")).collect()
    }
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for item in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match item.file_type() {
            Ok(kind) if kind.is_dir() => collect(&item.path(), found),
            Ok(kind) if kind.is_file() => found.push(item.path().display().to_string()),
            _ => {}
        }
    }
}
