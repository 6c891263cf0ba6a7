//! Quarantined uploads: listed, released by hash, removed.

use http::Method;
use serde_json::{Value, json};

use super::pickles::{Pickle, payload};
use super::zips::Zip;
use crate::harness::Vault;

/// A server with one quarantined upload, and its hash.
async fn with_denied() -> (Vault, String) {
    let vault = Vault::start().await;
    let program = Zip::torch(payload(Pickle::new()).stop(), &[]).build();
    let answer = vault.upload("a.pt", &program, &[("entity_type", "styles")]).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.header("x-error-code"), "quarantined");
    let detail = answer.json()["detail"].as_str().expect("a refusal has a text").to_owned();
    let sha256 = detail.rsplit('`').nth(1).expect("the hash stands at the end").to_owned();
    (vault, sha256)
}

async fn list(vault: &Vault) -> Value {
    vault.studio(Method::GET, "/api/admin/quarantine").send().await.json()
}

#[tokio::test]
async fn a_denied_upload_is_listed_with_rule_and_reason() {
    let (vault, sha256) = with_denied().await;
    let mut page = list(&vault).await;
    let item = page["items"][0].as_object_mut().unwrap();
    assert!(item.remove("reason").unwrap().as_str().unwrap().contains("os.system"));
    assert!(item.remove("rule").unwrap().is_string());
    assert!(item.remove("id").unwrap().is_string());
    assert!(item.remove("size_bytes").unwrap().is_u64());
    let expected = json!({
        "items": [{
            "source": "upload",
            "file": "a.pt",
            "dest": "loras/styles",
            "sha256": sha256,
            "quarantined_at": "2024-01-01T12:00:00.000Z"
        }],
        "next_cursor": null,
        "total": 1
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn only_the_admin_releases_and_only_by_the_hash() {
    let (vault, sha256) = with_denied().await;
    let release = |sha256: &str| format!("/api/admin/quarantine/{sha256}/release");
    let token = vault.call(Method::POST, &release(&sha256), &vault.token(&json!({"role": "admin"})));
    assert_eq!(token.send().await.status, 401);
    for wrong in ["a.pt", &sha256[..63], &"0".repeat(64)] {
        assert_eq!(vault.studio(Method::POST, &release(wrong)).send().await.status, 404, "{wrong}");
    }
    let released = vault.studio(Method::POST, &release(&sha256)).send().await;
    let expected = json!({"status": "released", "file": "a.pt", "dest": "loras/styles"});
    assert_eq!((released.status.as_u16(), released.json()), (200, expected));
    assert!(vault.models_dir().join("loras/styles/a.pt").is_file());
    assert_eq!(list(&vault).await["total"], 0);
    assert_eq!(vault.admin(Method::GET, "/api/v1/admin/lora").send().await.json()["total"], 1);
}

#[tokio::test]
async fn what_was_changed_in_quarantine_is_not_released() {
    let (vault, sha256) = with_denied().await;
    let file = vault.files().remove(0);
    std::fs::write(vault.root().join(file.trim_start_matches('/')), "another program").unwrap();
    let answer = vault.studio(Method::POST, &format!("/api/admin/quarantine/{sha256}/release")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("x-error-code")), (409, "changed"));
    assert!(!vault.models_dir().join("loras/styles/a.pt").exists());
}

#[tokio::test]
async fn a_quarantined_file_is_removed_for_good() {
    let (vault, sha256) = with_denied().await;
    let path = format!("/api/admin/quarantine/{sha256}");
    let removed = vault.studio(Method::DELETE, &path).send().await;
    assert_eq!((removed.status.as_u16(), &removed.json()["items"]), (200, &json!(1)));
    assert_eq!(vault.studio(Method::DELETE, &path).send().await.status, 404);
    assert_eq!(vault.files(), Vec::<String>::new());
}
