//! The LoRA picker.

use http::Method;
use lorakeep_registry::domain::CatalogName;
use serde_json::{Value, json};

use crate::harness::{Studio, TestServer};

async fn studio() -> Studio {
    let studio = Studio::start().await;
    let entries = json!([
        {"name": "Ghibli Style High Noise LoRA", "file": "ghibli_style_high.safetensors", "dest": "loras/wan",
         "base_model": "wan-i2v-14b", "pair_id": "ghibli", "pair_role": "high"},
        {"name": "Ghibli Style Low Noise LoRA", "file": "ghibli_style_low.safetensors", "dest": "loras/wan",
         "base_model": "wan-i2v-14b", "pair_id": "ghibli", "pair_role": "low"},
        {"name": "Anime Style", "file": "anime_style_lora.safetensors", "dest": "loras", "base_model": "SDXL 1.0",
         "pair_id": "anime"},
        {"name": "Alone", "file": "alone.safetensors", "dest": "loras", "base_model": "SDXL 1.0"},
    ]);
    studio.import(CatalogName::Loras, entries).await;
    studio
}

fn ghibli() -> Value {
    json!({
        "pair_id": "ghibli", "name": "Ghibli Style",
        "high": "ghibli_style_high.safetensors", "low": "ghibli_style_low.safetensors", "both": null,
        "high_path": "wan/ghibli_style_high.safetensors", "low_path": "wan/ghibli_style_low.safetensors", "both_path": null,
    })
}

fn anime() -> Value {
    json!({
        "pair_id": "anime", "name": "Anime Style",
        "high": null, "low": null, "both": "anime_style_lora.safetensors",
        "high_path": null, "low_path": null, "both_path": "anime_style_lora.safetensors",
    })
}

#[tokio::test]
async fn compatible_pairs_answer_file_names_and_loader_paths() {
    let studio = studio().await;
    assert_eq!(studio.get("/api/admin/loras/compatible/wan-i2v-14b").await, (200, json!([ghibli()])));
    assert_eq!(studio.get("/api/admin/loras/compatible/all").await, (200, json!([ghibli(), anime()])));
}

#[tokio::test]
async fn compatible_pairs_meet_by_family_unless_asked_for_exactly() {
    let studio = studio().await;
    assert_eq!(studio.get("/api/admin/loras/compatible/WAN%202.1").await, (200, json!([ghibli()])));
    assert_eq!(studio.get("/api/admin/loras/compatible/WAN%202.1?exact=true").await, (200, json!([])));
    assert_eq!(studio.get("/api/admin/loras/compatible/Nobody").await, (200, json!([])));
}

#[tokio::test]
async fn a_download_of_a_model_is_not_counted_among_the_styles() {
    let server = TestServer::start().await;
    server.import(&json!([{"file": "a.safetensors", "dest": "vae", "url": "https://a.example/a"}])).await;
    assert_eq!(server.post("/api/admin/models/download/a.safetensors").await.json()["status"], "queued");
    let queued = async |list: &str| server.get(list).await.json()["stats"]["queued_count"].clone();
    assert_eq!((queued("/api/admin/models").await, queued("/api/admin/loras").await), (json!(1), json!(0)));
}

#[tokio::test]
async fn compatible_pairs_follow_every_change_of_a_pair() {
    let studio = studio().await;
    let names = async |base_model: &str| -> Vec<Value> {
        let (status, pairs) = studio.get(&format!("/api/admin/loras/compatible/{base_model}")).await;
        assert_eq!(status, 200);
        pairs.as_array().expect("a list").iter().map(|pair| pair["name"].clone()).collect()
    };
    assert_eq!(names("all").await, ["Ghibli Style", "Anime Style"]);
    let (_, anime) = studio.get("/api/admin/entries/by-file/anime_style_lora.safetensors").await;
    let id = anime["id"].as_str().expect("an id");
    let edit = json!({"name": "Manga LoRA", "base_model": "WAN 2.1"});
    let patch = studio.request(Method::PATCH, &format!("/api/admin/entries/{id}")).json(&edit);
    assert_eq!(studio.send(patch).await.0, 200);
    assert_eq!(names("all").await, ["Ghibli Style", "Manga"]);
    assert_eq!(names("wan-i2v-14b").await, ["Ghibli Style", "Manga"]);
    let remove = studio.request(Method::DELETE, "/api/admin/models/anime_style_lora.safetensors/catalog");
    assert_eq!(studio.send(remove).await.0, 200);
    assert_eq!(names("all").await, ["Ghibli Style"]);
    studio
        .import(
            CatalogName::Models,
            json!([{"name": "First", "file": "first.safetensors", "dest": "loras",
        "base_model": "WAN 2.1", "pair_id": "first"}]),
        )
        .await;
    assert_eq!(names("all").await, ["First", "Ghibli Style"], "models come first");
}
