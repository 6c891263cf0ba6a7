//! The list, its filters and pages, and what one file says of itself.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Vault, safetensors, sdxl_lora};

async fn list(vault: &Vault, query: &str) -> Value {
    let answer = vault.admin(Method::GET, &format!("/api/v1/admin/lora{query}")).send().await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    vault.shown(&answer)
}

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a page has items");
    items.iter().map(|item| item["filename"].as_str().expect("a file has a name")).collect()
}

#[tokio::test]
async fn uploads_are_listed_with_filters_and_pages() {
    let vault = Vault::start().await;
    for (seed, (name, entity_type)) in
        [("red.safetensors", "faces"), ("blue.safetensors", "styles"), ("green.safetensors", "styles")]
            .into_iter()
            .enumerate()
    {
        vault.upload(name, &safetensors(300, seed as u8), &[("entity_type", entity_type)]).await;
    }
    vault.upload("moss.safetensors", &sdxl_lora(), &[("entity_type", "styles")]).await;
    assert_eq!(list(&vault, "").await["total"], 4);
    assert_eq!(
        names(&list(&vault, "?entity_type=styles").await),
        ["blue.safetensors", "green.safetensors", "moss.safetensors"]
    );
    assert_eq!(names(&list(&vault, "?name=GREE").await), ["green.safetensors"]);
    assert_eq!(names(&list(&vault, "?base_model=SDXL%201.0").await), ["moss.safetensors"]);
    assert_eq!(names(&list(&vault, "?entity_type=clothes").await), Vec::<&str>::new());
    let first = list(&vault, "?limit=3").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&vault, &format!("?limit=3&cursor={cursor}")).await;
    assert_eq!((names(&first).len(), names(&second)), (3, vec!["moss.safetensors"]));
    assert_eq!(second["next_cursor"], Value::Null);
    let refused = vault.admin(Method::GET, "/api/v1/admin/lora?cursor=x").send().await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn an_item_of_the_list_is_whole() {
    let vault = Vault::start().await;
    let content = safetensors(300, 1);
    vault.upload("red.safetensors", &content, &[("entity_type", "faces")]).await;
    let mut item = list(&vault, "").await["items"][0].clone();
    let sha256 = item.as_object_mut().unwrap().remove("sha256").unwrap();
    assert_eq!(sha256.as_str().unwrap().len(), 64);
    let expected = json!({
        "file_path": "/data/models/loras/faces/red.safetensors",
        "partial_path": "faces/red.safetensors",
        "filename": "red.safetensors",
        "name": "red",
        "file_size": 300,
        "entity_type": "faces",
        "base_model": null,
        "trigger_words": [],
        "source": "upload",
        "duplicate_of": null,
        "status": "present",
        "upload_timestamp": "2024-01-01T12:00:00.000Z"
    });
    assert_eq!(item, expected);
}

#[tokio::test]
async fn the_facts_of_a_file_are_those_of_its_keys() {
    let vault = Vault::start().await;
    vault.upload("moss.safetensors", &sdxl_lora(), &[("entity_type", "styles")]).await;
    let path = "/api/v1/admin/lora/facts?partial_path=styles/moss.safetensors";
    let facts = vault.admin(Method::GET, path).send().await.json();
    assert_eq!(facts["path"], "styles/moss.safetensors");
    assert_eq!(
        (&facts["format"], &facts["kind"], &facts["algorithm"]),
        (&json!("safetensors"), &json!("lora"), &json!("lora"))
    );
    assert!(facts["base_model"].as_str().unwrap().starts_with("sdxl"), "{facts}");
    assert_eq!((&facts["rank"], &facts["verdict"]["verdict"]), (&json!(4), &json!("clean")));
    assert_eq!(facts["trigger_words"][0], json!({"word": "mossy knight", "count": 12}));
    for path in ["styles/none.safetensors", "../a.pt", ""] {
        let answer =
            vault.admin(Method::GET, &format!("/api/v1/admin/lora/facts?partial_path={path}")).send().await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}");
    }
}
