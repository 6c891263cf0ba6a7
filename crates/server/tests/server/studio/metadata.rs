//! The metadata fetch and its log.

use std::time::Duration;

use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec};
use serde_json::{Value, json};

use crate::harness::Studio;

async fn fetched() -> Studio {
    let studio = Studio::start_with(&[("LORAKEEP_TIME_ZONE", "Europe/Rome")]).await;
    let file = CivitFile::new(700, FileSpec::new("model1.safetensors", 5000));
    let version = CivitVersion::new(70, "v1", "SDXL 1.0").file(file);
    studio.standin.add_model(CivitModel::new(7, "Model", "Checkpoint").version(version));
    let entries = json!([
        {"file": "model1.safetensors", "dest": "checkpoints", "civitai_version_id": 70},
        {"file": "model2.safetensors", "dest": "checkpoints", "civitai_version_id": 71},
        {"file": "own.safetensors", "dest": "checkpoints"},
    ]);
    studio.import(CatalogName::Models, entries).await;
    let queued = json!({"queued": 2, "files": ["model1.safetensors", "model2.safetensors"]});
    assert_eq!(studio.post("/api/admin/models/fetch-metadata").await, (200, queued));
    studio
}

async fn until_ended(studio: &Studio) -> Value {
    for _ in 0..500 {
        let (_, status) = studio.get("/api/admin/models/metadata-status").await;
        let words = status.as_object().expect("a map").values().map(|state| state["status"].clone());
        if words.into_iter().all(|word| word == "done" || word == "error") {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the fetch never ended");
}

#[tokio::test]
async fn metadata_status_tells_how_each_file_went() {
    let studio = fetched().await;
    let expected = json!({
        "model1.safetensors": {"status": "done"},
        "model2.safetensors": {"status": "error", "error": "HTTP 404"},
    });
    assert_eq!(until_ended(&studio).await, expected);
}

#[tokio::test]
async fn the_activity_log_has_the_words_of_the_contract_and_times_of_the_zone() {
    let studio = fetched().await;
    until_ended(&studio).await;
    let line = |level: &str, message: &str| json!({"time": "13:00:00", "message": message, "level": level});
    let changes = "civitai_base_model=SDXL 1.0, base_model=SDXL 1.0, +1 civitai_tags, version=v1, \
                   lastModified=2026-07-01T12:00:00.000Z, name=Model v1 [SDXL 1.0 FP16], author=standin-artist, +hash";
    let expected = json!([
        line("info", "Queued 2 models for metadata fetch"),
        line("info", "Fetching metadata for model1.safetensors..."),
        line("ok", &format!("OK -- model1.safetensors: {changes}")),
        line("info", "Fetching metadata for model2.safetensors..."),
        line("error", "ERROR -- model2.safetensors: HTTP 404"),
    ]);
    assert_eq!(studio.get("/api/admin/activity-log").await, (200, expected));
    assert_eq!(studio.post("/api/admin/activity-log/clear").await, (200, json!({"status": "cleared"})));
    assert_eq!(studio.get("/api/admin/activity-log").await, (200, json!([])));
}

#[tokio::test]
async fn the_list_counts_open_fetches() {
    let studio = Studio::start().await;
    let (_, list) = studio.get("/api/admin/models").await;
    assert_eq!(list["stats"]["fetching_count"], 0);
}
