//! A studio with two teams, some LoRAs and what a test puts on offer.

use http::Method;
use lorakeep_registry::domain::CatalogName;
use serde_json::{Value, json};

use crate::client::{Answer, Call};
use crate::harness::{Setup, TestServer};

/// A running studio whose customers call.
pub(super) struct Shop {
    pub(super) server: TestServer,
    /// A key of the team `Northlight`.
    pub(super) key: String,
    /// A key of the team `Aster`.
    pub(super) other_key: String,
}

impl Shop {
    pub(super) async fn open() -> Self {
        Self::open_with(Setup::default()).await
    }

    pub(super) async fn open_with(setup: Setup<'_>) -> Self {
        let server = TestServer::start_with(setup).await;
        let half = |role: &str| {
            json!({
                "file": format!("ghibli_{role}.safetensors"), "dest": "loras/wan", "base_model": "wan-i2v-14b",
                "pair_id": "ghibli", "pair_role": role, "trigger_words": ["ghibli style"],
            })
        };
        let ink = json!({"file": "ink.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0"});
        let entries = json!([half("high"), half("low"), ink]).to_string();
        server.registry.import(CatalogName::Loras, entries.as_bytes()).await.expect("imported");
        for path in ["loras/wan/ghibli_high.safetensors", "loras/wan/ghibli_low.safetensors"] {
            server.put_file(path, path.as_bytes()).await;
        }
        let mut keys = Vec::new();
        for team in ["Northlight", "Aster"] {
            send(&server, "/api/admin/teams", &json!({ "name": team })).await;
            keys.push(key_for(&server, &json!({ "team": team })).await);
        }
        let other_key = keys.pop().expect("two keys");
        Self { server, key: keys.remove(0), other_key }
    }

    /// Puts a style on offer; what is not said is of `ink.safetensors` and public.
    pub(super) async fn offer(&self, style: Value) -> Value {
        let mut body = json!({ "entry": "ink.safetensors", "is_public": true });
        for (name, value) in style.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let object = body.as_object_mut().expect("an object");
        if object.contains_key("pair") {
            object.remove("entry");
        }
        if object.contains_key("team") {
            object.remove("is_public");
        }
        let made = send(&self.server, "/api/admin/styles", &body).await;
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()
    }

    /// A call of a customer.
    pub(super) fn call(&self, method: Method, path: &str, key: &str) -> Call {
        self.server.anonymous(method, path).header("x-api-key", key)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &self.key).send().await
    }

    /// The slugs of a list.
    pub(super) async fn slugs(&self, path: &str, key: &str) -> Vec<String> {
        let answer = self.call(Method::GET, path, key).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let slug = |style: &Value| style["slug"].as_str().expect("a slug").to_owned();
        answer.json().as_array().expect("a bare array").iter().map(slug).collect()
    }
}

/// A new key.
pub(super) async fn key_for(server: &TestServer, body: &Value) -> String {
    send(server, "/api/admin/keys", body).await.json()["key"].as_str().expect("a key").to_owned()
}

pub(super) async fn send(server: &TestServer, path: &str, body: &Value) -> Answer {
    server.admin(Method::POST, path).json(body).send().await
}
