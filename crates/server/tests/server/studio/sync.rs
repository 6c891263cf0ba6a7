//! Following a catalog in a repository.

use lorakeep_registry::domain::CatalogName;
use serde_json::{Value, json};

use crate::harness::Studio;

fn write_repo(studio: &Studio, version: i64, models: &Value) {
    let folder = studio.registry.config().data_dir.join(".repo/catalogs");
    std::fs::create_dir_all(&folder).expect("made");
    let catalog = json!({
        "version": version, "date": "2026-03-23 15:00", "categories": [{"id": "vae", "name": "VAE", "models": models}],
    });
    std::fs::write(folder.join("models.json"), catalog.to_string()).expect("written");
}

#[tokio::test]
async fn a_sync_answers_versions_and_what_it_did() {
    let studio = Studio::start().await;
    studio.import(CatalogName::Models, json!([{"file": "own.pt", "dest": "vae"}])).await;
    write_repo(&studio, 21, &json!([{"name": "A", "file": "a.pt", "dest": "vae"}]));
    let report = |status: &str| {
        json!({
            "status": status, "old_version": 1, "new_version": 21, "new_date": "2026-03-23 12:00", "added": ["a.pt"],
            "updated": [], "kept": ["own.pt"], "conflicts": [], "errors": [],
        })
    };
    assert_eq!(studio.post("/api/admin/models/sync?dry_run=true").await, (200, report("would_update")));
    assert_eq!(studio.post("/api/admin/models/sync").await, (200, report("updated")));
    let current = json!({"status": "up_to_date", "version": 21});
    assert_eq!(studio.post("/api/admin/models/sync").await, (200, current));
}

#[tokio::test]
async fn a_sync_without_a_clone_is_500_in_the_words_of_the_contract() {
    let studio = Studio::start().await;
    let (status, body) = studio.post("/api/admin/models/sync").await;
    assert_eq!(
        (status, &body["detail"]),
        (500, &json!("Repo clone not found — run Check for Updates first"))
    );
}

#[tokio::test]
async fn checking_for_updates_without_a_repository_says_what_to_configure() {
    let studio = Studio::start().await;
    let (status, body) = studio.post("/api/admin/models/check-updates").await;
    assert_eq!(status, 503, "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("REPO_URL")), "{body}");
}
