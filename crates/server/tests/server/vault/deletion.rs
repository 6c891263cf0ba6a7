//! Deleting to the bin, restoring, purging.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Vault, safetensors};

const PATH: &str = "identities/Sh0ot1f1_01.safetensors";

async fn with_upload() -> Vault {
    let vault = Vault::start().await;
    let fields = [("entity_type", "identities")];
    assert_eq!(vault.upload("Sh0ot1f1_01.safetensors", &safetensors(500, 1), &fields).await.status, 200);
    vault
}

async fn ask(vault: &Vault, method: Method, path: &str) -> (u16, Value) {
    let answer = vault.admin(method, path).json(&json!({"partial_path": PATH})).send().await;
    (answer.status.as_u16(), vault.shown(&answer))
}

async fn listed(vault: &Vault) -> Value {
    vault.admin(Method::GET, "/api/v1/admin/lora").send().await.json()["total"].clone()
}

#[tokio::test]
async fn a_delete_answers_as_the_contract_shows_and_takes_the_entry_along() {
    let vault = with_upload().await;
    let expected = json!({
        "deleted": true,
        "full_path": "/data/models/loras/identities/Sh0ot1f1_01.safetensors",
        "bin_path": "/data/bin/models/loras/identities/Sh0ot1f1_01.safetensors",
        "timestamp": "2024-01-01T12:00:00Z"
    });
    assert_eq!(ask(&vault, Method::DELETE, "/api/v1/admin/lora").await, (200, expected));
    assert_eq!(vault.files(), ["/data/bin/models/loras/identities/Sh0ot1f1_01.safetensors"]);
    assert_eq!(listed(&vault).await, 0);
    assert_eq!(ask(&vault, Method::DELETE, "/api/v1/admin/lora").await.0, 404);
}

#[tokio::test]
async fn a_restore_brings_file_and_entry_back() {
    let vault = with_upload().await;
    let path = "/api/admin/entries/by-file/Sh0ot1f1_01.safetensors";
    let before = vault.studio(Method::GET, path).send().await.json();
    ask(&vault, Method::DELETE, "/api/v1/admin/lora").await;
    let expected = json!({
        "restored": true,
        "partial_path": PATH,
        "full_path": "/data/models/loras/identities/Sh0ot1f1_01.safetensors",
        "timestamp": "2024-01-01T12:00:00Z"
    });
    assert_eq!(ask(&vault, Method::POST, "/api/v1/admin/lora/restore").await, (200, expected));
    assert_eq!(vault.studio(Method::GET, path).send().await.json(), before);
    assert_eq!(ask(&vault, Method::POST, "/api/v1/admin/lora/restore").await.0, 404);
}

#[tokio::test]
async fn the_studio_restores_the_entry_too() {
    let vault = with_upload().await;
    ask(&vault, Method::DELETE, "/api/v1/admin/lora").await;
    let bin = vault.studio(Method::GET, "/api/admin/bin").send().await.json();
    let id = bin["items"][0]["id"].as_str().unwrap();
    assert_eq!(vault.studio(Method::POST, &format!("/api/admin/bin/{id}/restore")).send().await.status, 200);
    assert_eq!(listed(&vault).await, 1);
}

#[tokio::test]
async fn a_purge_frees_the_file_for_good() {
    let vault = with_upload().await;
    ask(&vault, Method::DELETE, "/api/v1/admin/lora").await;
    let expected = json!({"purged": true, "bytes": 500});
    assert_eq!(ask(&vault, Method::POST, "/api/v1/admin/lora/purge").await, (200, expected));
    assert_eq!(vault.files(), Vec::<String>::new());
    assert_eq!(ask(&vault, Method::POST, "/api/v1/admin/lora/restore").await.0, 404);
}

#[tokio::test]
async fn nothing_outside_is_deleted() {
    let vault = with_upload().await;
    let outside = vault.root().join("canary.safetensors");
    std::fs::write(&outside, "alive").unwrap();
    std::os::unix::fs::symlink(vault.root(), vault.models_dir().join("loras/link")).unwrap();
    std::os::unix::fs::symlink(&outside, vault.models_dir().join("loras/leaf.safetensors")).unwrap();
    let absolute = outside.display().to_string();
    let paths = [
        "../../../canary.safetensors",
        "..\\canary",
        &absolute,
        "link/canary.safetensors",
        "",
        "identities",
        "a/../b.pt",
    ];
    for path in paths {
        let call = vault.admin(Method::DELETE, "/api/v1/admin/lora").json(&json!({"partial_path": path}));
        let status = call.send().await.status.as_u16();
        assert!(matches!(status, 400 | 404 | 409), "{path}: {status}");
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "alive");
    assert_eq!(listed(&vault).await, 1);
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_answered_as_fastapi_does() {
    let vault = Vault::start().await;
    let ask = async |body: &str| {
        vault
            .admin(Method::DELETE, "/api/v1/admin/lora")
            .body("application/json", body.to_owned())
            .send()
            .await
    };
    let missing =
        json!({"detail": [{"loc": ["body", "partial_path"], "msg": "Field required", "type": "missing"}]});
    let answer = ask("{}").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (422, missing));
    let nothing = json!({"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]});
    let answer = ask("").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (422, nothing));
    let deep = format!("{{\"partial_path\":{}", "[".repeat(100_000));
    for body in ["[]", "{\"partial_path\":7}", "{\"partial_path\":\"a\",\"partial_path\":\"b\"}", &deep] {
        assert_eq!(ask(body).await.status, 422, "{}", &body[..body.len().min(40)]);
    }
}
