//! Styles from CivitAI: the card of a model, adding versions, pictures, names that are missing, tags.

use http::Method;
use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::{CivitFile, CivitImage, CivitModel, CivitVersion, Fault, FileSpec, LoraFamily, Times};
use serde_json::{Value, json};

use crate::harness::Studio;

const LOOK_UP: &str = "/api/admin/loras/lookup-civitai";
const ADD: &str = "/api/admin/loras/add-civitai";

/// A model with two versions, the older for generation alone, and a picture of the newer.
async fn studio() -> Studio {
    let studio = Studio::start().await;
    let spec = FileSpec::lora("soft_ink.safetensors", LoraFamily::Sdxl, 4);
    let newer = CivitVersion::new(70, "v2", "SDXL 1.0").words(&["soft ink"]).file(CivitFile::new(700, spec));
    let mut older = CivitVersion::new(60, "v1", "SDXL 1.0")
        .file(CivitFile::new(600, FileSpec::new("old.safetensors", 5000)));
    older.usage_control = "Generation".into();
    let mut model = CivitModel::new(7, "Soft Ink", "LORA").version(newer).version(older);
    model.description = "<p>Ink &amp; water.</p><script>alert(1)</script>".into();
    studio.standin.add_model(model);
    studio.standin.add_image(CivitImage::new(12, 64, 48).of_version(70));
    studio
}

async fn post(studio: &Studio, path: &str, body: Value) -> (u16, Value) {
    studio.send(studio.request(Method::POST, path).json(&body)).await
}

fn url(studio: &Studio) -> String {
    format!("{}/models/7?modelVersionId=70", studio.standin.civitai_url())
}

#[tokio::test]
async fn a_model_is_looked_up_by_its_link_with_what_of_it_is_here() {
    let studio = studio().await;
    let old = json!([{"file": "old.safetensors", "dest": "loras", "civitai_version_id": 60}]);
    studio.import(CatalogName::Loras, old).await;
    let (status, card) = post(&studio, LOOK_UP, json!({"url": url(&studio)})).await;
    assert_eq!(status, 200, "{card}");
    let file = |id: u64, name: &str, version: usize| {
        let own = &card["versions"][version]["files"][0];
        json!({
            "id": id, "name": name, "type": "Model", "size_bytes": own["size_bytes"], "format": "SafeTensor", "fp": "fp16",
            "sha256": own["sha256"], "primary": true, "usable": true,
        })
    };
    let expected = json!({
        "model_id": 7, "name": "Soft Ink", "author": "standin-artist", "description": "Ink & water. alert(1)", "type": "LORA",
        "tags": ["standin"], "nsfw": false, "stats": {"downloads": 1234, "thumbs_up": 321, "rating": null},
        "versions": [
            {
                "id": 70, "name": "v2", "base_model": "SDXL 1.0", "published_at": "2026-07-01T12:00:00.000Z",
                "trained_words": ["soft ink"], "downloads": 1234, "file": "soft_ink.safetensors",
                "size_gb": card["versions"][0]["size_gb"], "files": [file(700, "soft_ink.safetensors", 0)], "restricted": null,
                "catalog_status": "not_found", "catalog_file": null, "catalog": null,
            },
            {
                "id": 60, "name": "v1", "base_model": "SDXL 1.0", "published_at": "2026-07-01T12:00:00.000Z",
                "trained_words": [], "downloads": 1234, "file": "old.safetensors", "size_gb": 0.0,
                "files": [file(600, "old.safetensors", 1)],
                "restricted": null, "catalog_status": "missing", "catalog_file": "old.safetensors", "catalog": "loras",
            },
        ],
        "preview_images": [{
            "url": format!("{}/xStandinImageBucket000/5da4d1e0-0000-4000-8000-00000000000c/original=true/12.jpeg",
                studio.standin.storage_url()),
            "type": "image", "width": 64, "height": 48, "nsfw_level": 1,
        }],
        "selected_version_id": 70,
    });
    assert_eq!(card, expected);
}

#[tokio::test]
async fn a_model_is_looked_up_by_id_version_and_air_too() {
    let studio = studio().await;
    for (text, selected) in
        [("7", Value::Null), ("civitai:70", json!(70)), ("urn:air:sdxl:lora:civitai:7@60", json!(60))]
    {
        let (status, card) = post(&studio, LOOK_UP, json!({"url": text})).await;
        assert_eq!(
            (status, &card["model_id"], &card["selected_version_id"]),
            (200, &json!(7), &selected),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_is_no_model_of_civitai_is_refused_in_the_words_of_the_contract() {
    let studio = studio().await;
    for text in ["", "nonsense", "https://huggingface.co/o/r", "https://a.example/x.safetensors"] {
        let (status, body) = post(&studio, LOOK_UP, json!({"url": text})).await;
        assert_eq!(status, 400, "{text}: {body}");
    }
    let missing = json!({"detail": "Model not found on CivitAI"});
    assert_eq!(post(&studio, LOOK_UP, json!({"url": "404"})).await, (404, missing.clone()));
    assert_eq!(post(&studio, ADD, json!({"model_id": 404, "versions": [1]})).await, (404, missing));
    studio.standin.fault("/api/v1/models/", Fault::status(403), Times::Always);
    assert_eq!(post(&studio, LOOK_UP, json!({"url": "7"})).await.0, 502);
}

#[tokio::test]
async fn added_styles_are_described_queued_and_shown() {
    let studio = studio().await;
    let body = json!({
        "model_id": "7", "model_name": "Soft Ink", "author": "ann", "tags": ["ink"], "rating": 4.5, "downloads": 9,
        "description": "<b>mine</b>", "versions": [{"id": 70, "name": "v2"}, "60", 99], "preview_images": [],
    });
    let (status, answer) = post(&studio, ADD, body.clone()).await;
    let expected = json!({
        "added": ["soft_ink.safetensors"], "skipped": ["60", "99"],
        "reasons": {
            "60": "This model is 'Generation' only — download not allowed by the creator",
            "99": "model 7 has no such version",
        },
    });
    assert_eq!((status, answer), (200, expected));
    let is_here = |entry: &Value| entry["status"] == "present";
    let entry = studio.server.wait_for("/api/admin/entries/by-file/soft_ink.safetensors", is_here).await;
    let preview = "5da4d1e0-0000-4000-8000-00000000000c.jpeg";
    for (field, value) in [
        ("catalog", json!("loras")),
        ("category", json!("sdxl_loras")),
        ("name", json!("Soft Ink v2 [SDXL 1.0 FP16]")),
        ("dest", json!("loras")),
        ("source", json!("civitai")),
        ("civitai_version_id", json!("70")),
        ("civitai_model_id", json!(7)),
        ("base_model", json!("SDXL 1.0")),
        ("tags", json!(["ink"])),
        ("trigger_words", json!(["soft ink"])),
        ("description", json!("mine")),
        ("author", json!("ann")),
        ("rating", json!(4.5)),
        ("downloads", json!(9)),
        ("images", json!([preview])),
    ] {
        assert_eq!(entry[field], value, "{field}");
    }
    let path = format!("/api/admin/loras/images/7/previews/{preview}");
    let picture = async { while studio.server.get(&path).await.status != 200 {} };
    tokio::time::timeout(crate::client::PATIENCE, picture).await.expect("the picture comes");
    assert_eq!(studio.server.get(&path).await.header("content-type"), "image/png");
    let again = json!({
        "added": [], "skipped": ["soft_ink.safetensors"],
        "reasons": {"soft_ink.safetensors": "it is in the catalog `loras` already"},
    });
    assert_eq!(post(&studio, ADD, json!({"model_id": 7, "versions": [70]})).await, (200, again));
}

#[tokio::test]
async fn what_is_no_lora_is_no_style_and_bodies_of_another_shape_are_refused() {
    let studio = studio().await;
    let file = CivitFile::new(900, FileSpec::new("base.safetensors", 5000));
    let version = CivitVersion::new(90, "v1", "SDXL 1.0").file(file);
    studio.standin.add_model(CivitModel::new(9, "Base", "Checkpoint").version(version));
    let (_, answer) = post(&studio, ADD, json!({"model_id": 9, "versions": [90]})).await;
    assert_eq!(answer["reasons"]["90"], "it is no LoRA but Checkpoint; add it with `civitai/add`");
    for body in [
        json!({}),
        json!({"model_id": 7}),
        json!({"model_id": "x", "versions": []}),
        json!({"model_id": 7, "versions": [{}]}),
    ] {
        assert_eq!(post(&studio, ADD, body.clone()).await.0, 422, "{body}");
    }
}

#[tokio::test]
async fn a_preview_is_found_by_its_name_alone_and_never_leads_elsewhere() {
    let studio = studio().await;
    let missing = json!({"detail": "Image not found"});
    for name in ["a.jpeg", "..%2e", "5da4d1e0-0000-4000-8000-00000000000c.jpeg"] {
        let (status, body) = studio.get(&format!("/api/admin/loras/images/7/previews/{name}")).await;
        assert_eq!((status, body), (404, missing.clone()), "{name}");
    }
    assert_eq!(studio.get("/api/admin/loras/images/7/previews/a%2Fb").await.0, 404);
    assert_eq!(studio.get("/api/admin/loras/images/x/previews/a.jpeg").await.0, 422);
}

#[tokio::test]
async fn names_of_models_are_filled_in_with_one_question() {
    let studio = studio().await;
    let entries = json!([
        {"file": "a.pt", "dest": "loras", "civitai_model_id": 7},
        {"file": "b.pt", "dest": "loras", "civitai_model_id": "7"},
        {"file": "c.pt", "dest": "loras", "civitai_model_id": 404},
        {"file": "d.pt", "dest": "loras", "civitai_model_id": 7, "civitai_model_name": "Mine"},
    ]);
    studio.import(CatalogName::Loras, entries).await;
    studio.standin.reset_counters();
    let filled = studio.post("/api/admin/loras/backfill-names").await;
    assert_eq!(filled, (200, json!({"status": "ok", "filled": 2, "model_ids_checked": 2})));
    assert_eq!(studio.standin.requests().len(), 1);
    let name = studio.get("/api/admin/entries/by-file/b.pt").await.1["civitai_model_name"].clone();
    assert_eq!(name, "Soft Ink");
}

#[tokio::test]
async fn tags_are_brought_and_listed_in_the_site_s_order() {
    let studio = studio().await;
    assert_eq!(studio.get("/api/admin/civitai/tags").await, (200, json!({"tags": [], "count": 0})));
    let mut model = CivitModel::new(8, "Many", "LORA");
    model.tags = (0..250).map(|number| format!("tag{number:03}")).collect();
    studio.standin.add_model(model);
    let all = json!({"synced": 251, "total_known": 251, "message": "every tag that CivitAI lists is known"});
    assert_eq!(studio.post("/api/admin/civitai/tags/sync").await, (200, all));
    let (_, list) = studio.get("/api/admin/civitai/tags").await;
    assert_eq!(list["count"], 251);
    let first = json!({"id": null, "name": "standin", "type": null, "synced_at": "2026-03-23T12:00:00.000Z"});
    assert_eq!((&list["tags"][0], &list["tags"][250]["name"]), (&first, &json!("tag249")));
    studio.standin.fault("/api/v1/tags", Fault::HtmlPage200, Times::Always);
    assert_eq!(studio.post("/api/admin/civitai/tags/sync").await.0, 502);
}
