//! Teams and their keys by the admin's routes.

use http::Method;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::harness::TestServer;

async fn send(server: &TestServer, method: Method, path: &str, body: &Value) -> Answer {
    server.admin(method, path).json(body).send().await
}

/// What differs from run to run, masked.
fn masked(mut key: Value) -> Value {
    for field in ["id", "team_id", "prefix", "key"] {
        if !key[field].is_null() {
            key[field] = format!("[{field}]").into();
        }
    }
    key
}

#[tokio::test]
async fn a_team_is_made_pinned_listed_and_removed() {
    let server = TestServer::start().await;
    let made = send(&server, Method::POST, "/api/admin/teams", &json!({"name": "Northlight"})).await;
    let team = json!({"id": "[id]", "name": "Northlight", "pinned_version": null, "created_at": "2026-03-23T12:00:00.000Z"});
    assert_eq!((made.status.as_u16(), masked(made.json())), (200, team));
    let again = send(&server, Method::POST, "/api/admin/teams", &json!({"name": "Northlight"})).await;
    assert_eq!((again.status.as_u16(), again.header("x-error-code")), (409, "team_exists"));
    let pin = |version: Value| json!({ "pinned_version": version });
    let pinned = send(&server, Method::PATCH, "/api/admin/teams/Northlight", &pin("2026-05-15".into())).await;
    assert_eq!(pinned.json()["pinned_version"], "2026-05-15");
    let unknown =
        send(&server, Method::PATCH, "/api/admin/teams/Northlight", &pin("2030-01-01".into())).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(
        unknown.text(),
        r#"{"detail":"`2030-01-01` is not a version of the API; there are `2026-05-15`, `2026-11-01`"}"#
    );
    let list = server.get("/api/admin/teams").await.json();
    assert_eq!(
        (list["total"].as_u64(), &list["items"][0]["pinned_version"]),
        (Some(1), &json!("2026-05-15"))
    );
    let let_go = send(&server, Method::PATCH, "/api/admin/teams/Northlight", &pin(Value::Null)).await;
    assert_eq!(let_go.json()["pinned_version"], Value::Null);
    assert_eq!(server.delete("/api/admin/teams/Northlight").await.status, 200);
    let gone = server.get("/api/admin/teams/Northlight").await;
    assert_eq!((gone.status.as_u16(), gone.text()), (404, r#"{"detail":"team `Northlight` was not found"}"#));
}

#[tokio::test]
async fn a_key_is_shown_once_and_known_by_its_beginning_from_then_on() {
    let server = TestServer::start().await;
    send(&server, Method::POST, "/api/admin/teams", &json!({"name": "Northlight"})).await;
    let wanted = json!({"team": "Northlight", "name": "render farm", "scopes": ["styles:read"], "calls_per_minute": 600});
    let made = send(&server, Method::POST, "/api/admin/keys", &wanted).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (200, "no-store"));
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("al_live_"), "{key}");
    let shown = json!({
        "id": "[id]", "team_id": "[team_id]", "team": "Northlight", "name": "render farm", "prefix": "[prefix]",
        "status": "active", "scopes": ["styles:read"], "calls_per_minute": 600,
        "created_at": "2026-03-23T12:00:00.000Z", "expires_at": null, "revoked_at": null, "last_used_at": null,
    });
    let mut with_key = shown.clone();
    with_key["key"] = "[key]".into();
    assert_eq!(masked(made.json()), with_key);
    let list = server.get("/api/admin/keys?team=Northlight").await;
    assert_eq!(masked(list.json()["items"][0].clone()), shown);
    assert!(!list.text().contains(&key));
    let prefix = made.json()["prefix"].as_str().expect("a prefix").to_owned();
    assert_eq!(prefix, key[..16]);
    let rotated = server.post(&format!("/api/admin/keys/{prefix}/rotate")).await;
    assert_ne!(rotated.json()["key"], key.as_str());
    let revoked = server.post(&format!("/api/admin/keys/{prefix}/revoke")).await.json();
    assert_eq!(
        (&revoked["status"], &revoked["revoked_at"]),
        (&json!("revoked"), &json!("2026-03-23T12:00:00.000Z"))
    );
    for entry in std::fs::read_dir(server.data_dir()).expect("readable").flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        assert!(
            !bytes.windows(key.len()).any(|window| window == key.as_bytes()),
            "{:?} holds the key",
            entry.path()
        );
    }
}

#[tokio::test]
async fn a_key_from_elsewhere_is_taken_over_and_not_repeated() {
    let server = TestServer::start().await;
    send(&server, Method::POST, "/api/admin/teams", &json!({"name": "Northlight"})).await;
    let import = json!({"team": "Northlight", "key": "og_0123456789abcdefghij"});
    let imported = send(&server, Method::POST, "/api/admin/keys", &import).await;
    assert_eq!((imported.status.as_u16(), &imported.json()["prefix"]), (200, &json!("og_01234567")));
    assert_eq!(imported.json().get("key"), None);
    let again = send(&server, Method::POST, "/api/admin/keys", &import).await;
    assert_eq!((again.status.as_u16(), again.header("x-error-code")), (409, "key_exists"));
    for (field, value, code) in [
        ("key", json!("og_short"), "bad_key"),
        ("scopes", json!(["admin"]), "unknown_scope"),
        ("calls_per_minute", json!(0), "out_of_bounds"),
        ("expires_at", json!("2026-01-01T00:00:00Z"), "out_of_bounds"),
        ("team", json!("Nobody"), "not_found"),
    ] {
        let mut body = json!({"team": "Northlight"});
        body[field] = value;
        let refused = send(&server, Method::POST, "/api/admin/keys", &body).await;
        assert_eq!(refused.header("x-error-code"), code, "{field}: {}", refused.text());
        assert!(!refused.text().contains("og_short"), "a refused key is not repeated");
    }
}
