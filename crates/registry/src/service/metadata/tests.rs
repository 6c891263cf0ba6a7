//! The metadata fetch against the stand-in.

use lorakeep_standin::{
    CivitFile, CivitModel, CivitVersion, FileSpec, HfRepo, LoraFamily, Options, RateLimit, Upstream,
};
use serde_json::{Value, json};

use super::*;
use crate::domain::CatalogName::{Loras, Models};
use crate::service::testing::Studio;

async fn fetch(studio: &Studio, scope: FetchScope) -> Vec<String> {
    let files = studio.registry.fetch_metadata(scope).await.unwrap();
    studio.registry.fetch_all_queued().await.unwrap();
    files
}

fn states(studio: &Studio) -> Vec<(String, &'static str, Option<String>)> {
    let states = studio.registry.metadata_status();
    states.into_iter().map(|state| (state.file, state.word.as_str(), state.error)).collect()
}

fn log(studio: &Studio) -> Vec<String> {
    studio.registry.activity().into_iter().map(|line| format!("{} {}", line.level, line.message)).collect()
}

fn add_model(studio: &Studio, model: u64, version: u64, file: &str) {
    let file = CivitFile::new(version * 10, FileSpec::new(file, 5000));
    let version = CivitVersion::new(version, "v1", "SDXL 1.0").words(&["soft ink"]).file(file);
    studio.standin.add_model(CivitModel::new(model, format!("Model {model}"), "LORA").version(version));
}

#[tokio::test]
async fn entries_of_both_catalogs_are_fetched_and_the_log_tells_it() {
    let studio = Studio::new().await;
    add_model(&studio, 7, 70, "a.safetensors");
    add_model(&studio, 8, 80, "b.safetensors");
    studio.add(Models, "m", json!({"file": "none.pt", "dest": "vae"})).await;
    studio
        .add(Models, "m", json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": "70"}))
        .await;
    studio.add(Loras, "l", json!({"file": "gone.pt", "dest": "loras", "civitai_version_id": 99})).await;
    studio.add(Loras, "l", json!({"file": "b.safetensors", "dest": "loras", "civitai_version_id": 80})).await;
    assert_eq!(fetch(&studio, FetchScope::Known).await, ["a.safetensors", "gone.pt", "b.safetensors"]);
    let entry = studio.documents(Loras).remove(1);
    let expected = json!({
        "file": "b.safetensors", "dest": "loras", "civitai_version_id": 80, "civitai_base_model": "SDXL 1.0",
        "base_model": "SDXL 1.0", "civitai_tags": ["standin"], "trainedWords": ["soft ink"], "civitai_version": "v1",
        "civitai_model_id": 8, "civitai_file_id": 800, "civitai_model_name": "Model 8", "civitai_type": "LORA",
        "civitai_fp": "fp16", "lastModified": "2026-07-01T12:00:00.000Z", "name": "Model 8 v1 [SDXL 1.0 FP16]",
        "author": "standin-artist", "hash": FileSpec::new("b.safetensors", 5000).sha256(),
    });
    assert_eq!(entry, expected);
    assert_eq!(studio.documents(Models)[1]["civitai_version_id"], json!("70"));
    assert_eq!(
        states(&studio),
        [
            ("a.safetensors".to_owned(), "done", None),
            ("gone.pt".to_owned(), "error", Some("HTTP 404".to_owned())),
            ("b.safetensors".to_owned(), "done", None),
        ]
    );
    let changes = "civitai_base_model=SDXL 1.0, base_model=SDXL 1.0, +1 civitai_tags, +1 trainedWords, version=v1, \
                   lastModified=2026-07-01T12:00:00.000Z, name=Model 7 v1 [SDXL 1.0 FP16], author=standin-artist, +hash";
    assert_eq!(
        log(&studio)[..5],
        [
            "info Queued 3 models for metadata fetch".to_owned(),
            "info Fetching metadata for a.safetensors...".to_owned(),
            format!("ok OK -- a.safetensors: {changes}"),
            "info Fetching metadata for gone.pt...".to_owned(),
            "error ERROR -- gone.pt: HTTP 404".to_owned(),
        ]
    );
}

#[tokio::test]
async fn many_versions_are_asked_for_with_few_requests() {
    let studio = Studio::new().await;
    for id in 1..=120 {
        add_model(&studio, id, id * 10, &format!("{id}.safetensors"));
        let entry =
            json!({"file": format!("{id}.safetensors"), "dest": "loras", "civitai_version_id": id * 10});
        studio.add(Models, "m", entry).await;
    }
    assert_eq!(fetch(&studio, FetchScope::Known).await.len(), 120);
    assert!(states(&studio).iter().all(|(_, word, _)| *word == "done"));
    assert_eq!(studio.standin.requests_to(Upstream::Civitai).len(), 3);
}

#[tokio::test]
async fn a_thousand_entries_are_fetched_without_breaking_the_site_s_limit() {
    let rate = RateLimit { per_second: 6.0, burst: 10 };
    let studio = Studio::at(Options { civitai_rate: Some(rate), ..Options::default() }).await;
    let entry = |id: u64| json!({"file": format!("{id}.safetensors"), "dest": "loras", "civitai_version_id": id * 10});
    for id in 1..=1000 {
        add_model(&studio, id, id * 10, &format!("{id}.safetensors"));
    }
    let entries: Vec<Value> = (1..=1000).map(entry).collect();
    let report = studio.registry.import(Models, json!(entries).to_string().as_bytes()).await.unwrap();
    assert_eq!(report.added.len(), 1000);
    assert_eq!(fetch(&studio, FetchScope::Known).await.len(), 1000);
    assert!(states(&studio).iter().all(|(_, word, _)| *word == "done"));
    let asked = studio.standin.requests_to(Upstream::Civitai);
    let refused = asked.iter().filter(|seen| seen.status == 429).count();
    assert_eq!((asked.len(), refused), (20, 0));
}

#[tokio::test]
async fn a_fetch_that_was_cut_short_goes_on_after_a_restart() {
    let studio = Studio::new().await;
    add_model(&studio, 7, 70, "a.safetensors");
    studio
        .add(Models, "m", json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": 70}))
        .await;
    studio.registry.fetch_metadata(FetchScope::Known).await.unwrap();
    assert_eq!(
        studio.registry.fetch_metadata(FetchScope::Known).await.unwrap(),
        [] as [String; 0],
        "queued already"
    );
    let studio = studio.reopen().await;
    assert_eq!(states(&studio), [("a.safetensors".to_owned(), "queued_metadata", None)]);
    assert_eq!(studio.registry.open_fetches(), 1);
    studio.registry.fetch_all_queued().await.unwrap();
    let studio = studio.reopen().await;
    assert_eq!(states(&studio), [("a.safetensors".to_owned(), "done", None)]);
    assert_eq!(log(&studio).len(), 3, "the log survives as well");
}

#[tokio::test]
async fn a_users_edit_after_a_fetch_survives_the_next() {
    let studio = Studio::new().await;
    add_model(&studio, 7, 70, "a.safetensors");
    let entry = studio
        .add(Models, "m", json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": 70}))
        .await;
    fetch(&studio, FetchScope::Known).await;
    let edit = |document: &mut crate::domain::EntryDocument| document.set("name", "My own name");
    let turn = studio.registry.catalog_turn().await;
    studio.registry.update_entry(turn, entry.id, edit).await.unwrap();
    fetch(&studio, FetchScope::Known).await;
    assert_eq!(studio.documents(Models)[0]["name"], "My own name");
    assert_eq!(log(&studio).last().unwrap(), "ok OK -- a.safetensors: no changes");
}

#[tokio::test]
async fn files_of_hugging_face_get_date_size_and_hash() {
    let studio = Studio::new().await;
    let spec = FileSpec::new("a.safetensors", 5000);
    studio.standin.add_repo(HfRepo::new("o/r").file(spec.clone()));
    studio
        .add(
            Models,
            "m",
            json!({"file": "x.safetensors", "dest": "vae", "hf_repo": "o/r", "hf_file": "a.safetensors"}),
        )
        .await;
    fetch(&studio, FetchScope::Known).await;
    let document = studio.documents(Models).remove(0);
    assert_eq!((&document["hash"], &document["size_bytes"]), (&json!(spec.sha256()), &json!(5000)));
    let date = document["lastModified"].as_str().unwrap().to_owned();
    let lines = log(&studio);
    assert_eq!(lines[1], "info Fetching HF date for x.safetensors...");
    assert!(lines[2].starts_with(&format!("ok OK -- x.safetensors: lastModified={date}")), "{}", lines[2]);
}

#[tokio::test]
async fn an_unknown_file_is_found_by_its_hash_when_all_are_asked_for() {
    let studio = Studio::new().await;
    add_model(&studio, 7, 70, "a.safetensors");
    let sha256 = FileSpec::new("a.safetensors", 5000).sha256();
    studio.add(Models, "m", json!({"file": "renamed.safetensors", "dest": "loras"})).await;
    studio.put_file("loras", "renamed.safetensors", 5000, Some(&sha256));
    assert_eq!(fetch(&studio, FetchScope::Known).await, [] as [String; 0]);
    assert_eq!(fetch(&studio, FetchScope::All).await, ["renamed.safetensors"]);
    let document = studio.documents(Models).remove(0);
    assert_eq!((&document["civitai_version_id"], &document["civitai_model_id"]), (&json!(70), &json!(7)));
}

#[tokio::test]
async fn a_file_that_nobody_knows_speaks_for_itself() {
    let studio = Studio::new().await;
    let spec = FileSpec::lora("own.safetensors", LoraFamily::Sdxl, 4);
    let folder = studio.registry.config().models_dir.join("loras");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("own.safetensors"), spec.bytes()).unwrap();
    studio
        .add(Models, "m", json!({"file": "own.safetensors", "dest": "loras", "civitai_version_id": 99}))
        .await;
    fetch(&studio, FetchScope::Known).await;
    let document: Value = studio.documents(Models).remove(0);
    assert_eq!(document["base_model"], "sdxl", "{document}");
    assert!(log(&studio).last().unwrap().ends_with("(read from the file)"), "{:?}", log(&studio));
}

#[tokio::test]
async fn the_log_is_capped_and_can_be_cleared() {
    let studio = Studio::new().await;
    for number in 0..1005 {
        studio
            .registry
            .log_activity(crate::service::activity::ActivityLevel::Info, format!("{number}"))
            .await;
    }
    let lines = studio.registry.activity();
    assert_eq!((lines.len(), lines[0].message.as_str(), lines[0].time.as_str()), (1000, "5", "12:00:00"));
    let studio = studio.reopen().await;
    assert_eq!(studio.registry.activity().len(), 1000);
    studio.registry.clear_activity().await.unwrap();
    assert_eq!(studio.reopen().await.registry.activity(), []);
}
