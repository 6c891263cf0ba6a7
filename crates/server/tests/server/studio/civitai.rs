//! CivitAI: the map, adding, promoting.

use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::{CivitFile, CivitImage, CivitModel, CivitVersion, Fault, FileSpec, Times};
use serde_json::json;

use crate::harness::Studio;

fn model(kind: &str, version: CivitVersion) -> CivitModel {
    let file = CivitFile::new(version.id * 10, FileSpec::new("model_v1.safetensors", 5000));
    CivitModel::new(9, "Model Name", kind).version(version.file(file))
}

#[tokio::test]
async fn an_added_version_is_answered_with_file_name_category_and_dest() {
    let studio = Studio::start().await;
    studio.standin.add_model(model("Checkpoint", CivitVersion::new(70, "v1", "SDXL")));
    let added = json!({
        "status": "added", "file": "model_v1.safetensors", "name": "Model Name v1 [SDXL FP16]", "category": "checkpoints",
        "dest": "checkpoints",
    });
    assert_eq!(studio.post("/api/admin/civitai/add/70").await, (200, added));
    let again = json!({"status": "already_exists", "file": "model_v1.safetensors"});
    assert_eq!(studio.post("/api/admin/civitai/add/70").await, (200, again));
}

#[tokio::test]
async fn a_restricted_version_is_answered_with_its_reason() {
    let studio = Studio::start().await;
    let mut version = CivitVersion::new(70, "v1", "SDXL");
    version.usage_control = "Generation".into();
    studio.standin.add_model(model("Checkpoint", version));
    let restricted = json!({
        "status": "restricted",
        "reason": "This model is 'Generation' only — download not allowed by the creator",
    });
    assert_eq!(studio.post("/api/admin/civitai/add/70").await, (200, restricted));
}

#[tokio::test]
async fn a_refusal_of_civitai_never_looks_like_one_of_ours() {
    let studio = Studio::start().await;
    let refused = async |version: u32| {
        let (status, body) = studio.post(&format!("/api/admin/civitai/add/{version}")).await;
        (status, body["detail"].as_str().expect("a text").split(": ").next().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(404).await, (404, "CivitAI API returned 404".to_owned()));
    studio.standin.fault("/api/v1/model-versions/", Fault::status(401), Times::Always);
    assert_eq!(refused(70).await, (502, "CivitAI API returned 401".to_owned()));
    studio.standin.clear_faults();
    studio.standin.fault("/api/v1/model-versions/", Fault::ResetOnConnect, Times::Always);
    assert_eq!(refused(70).await, (502, "Failed to reach CivitAI".to_owned()));
}

#[tokio::test]
async fn an_id_that_is_no_number_is_input_of_the_wrong_shape() {
    let studio = Studio::start().await;
    let fault = json!({"detail": [{"loc": ["path", "id"], "msg": "Input should be a valid integer", "type": "int_parsing"}]});
    assert_eq!(studio.post("/api/admin/civitai/add/abc").await, (422, fault));
}

#[tokio::test]
async fn a_promoted_lora_is_answered_with_file_and_category() {
    let studio = Studio::start().await;
    let entries = json!([
        {"file": "style_lora.safetensors", "dest": "loras", "civitai_version_id": 70, "base_model": "Pony"},
        {"file": "a.vae.safetensors", "dest": "vae", "civitai_version_id": 71},
        {"file": "nested.safetensors", "dest": "loras/wan", "civitai_version_id": 72},
    ]);
    studio.import(CatalogName::Models, entries).await;
    let promote = async |id: u64| studio.post(&format!("/api/admin/civitai/promote-to-lora/{id}")).await;
    let promoted = json!({"status": "promoted", "file": "style_lora.safetensors", "category": "sdxl_loras"});
    assert_eq!(promote(70).await, (200, promoted));
    assert_eq!(promote(70).await, (200, json!({"status": "already_exists"})));
    let missing = json!({"detail": "Version not found in models catalog"});
    assert_eq!(promote(7).await, (404, missing));
    for id in [71, 72] {
        let refused = json!({"detail": "Only LoRA entries can be promoted to style LoRAs"});
        assert_eq!(promote(id).await, (400, refused));
    }
}

#[tokio::test]
async fn the_civitai_map_has_both_indexes() {
    let studio = Studio::start().await;
    let models = json!([
        {"name": "Juggernaut XL v9 [SDXL FP16]", "file": "juggernautXL_v9.safetensors", "dest": "checkpoints",
         "base_model": "SDXL 1.0", "civitai_version_id": "123456", "civitai_model_id": "789", "size_gb": 6.5},
        {"name": "Other", "file": "other.safetensors", "dest": "checkpoints", "civitai_version_id": 123_457,
         "civitai_model_id": 789},
        {"name": "From elsewhere", "file": "x.safetensors", "dest": "checkpoints"},
    ]);
    studio.import(CatalogName::Models, models).await;
    let file = studio.registry.config().models_dir.join("checkpoints/juggernautXL_v9.safetensors");
    std::fs::create_dir_all(file.parent().expect("it has one")).expect("made");
    std::fs::write(file, b"12345").expect("written");
    assert_eq!(studio.post("/api/admin/scan").await.0, 200);
    let expected = json!({
        "by_version": {
            "123456": {
                "file": "juggernautXL_v9.safetensors", "dest": "checkpoints", "name": "Juggernaut XL v9 [SDXL FP16]",
                "base_model": "SDXL 1.0", "status": "present", "civitai_model_id": 789, "catalog": "models",
                "size_expected": 6_500_000_000_u64, "size_disk": 5,
            },
            "123457": {
                "file": "other.safetensors", "dest": "checkpoints", "name": "Other", "base_model": "", "status": "missing",
                "civitai_model_id": 789, "catalog": "models", "size_expected": 0,
            },
        },
        "by_model": {"789": [123_456, 123_457]},
    });
    assert_eq!(studio.get("/api/admin/models/civitai-map").await, (200, expected));
}

/// An image with a LoRA that CivitAI knows by hash, one that nobody knows, and an embedding that the catalog has.
async fn image_studio(environment: &[(&str, &str)]) -> (Studio, String) {
    let studio = Studio::start_with(environment).await;
    let spec = FileSpec::new("detail_tweaker.safetensors", 5000);
    let hash = spec.sha256()[..10].to_owned();
    let version = CivitVersion::new(70, "v1", "SDXL 1.0").file(CivitFile::new(700, spec));
    studio.standin.add_model(CivitModel::new(7, "Detail Tweaker XL", "LORA").version(version));
    studio.standin.add_model(model("Checkpoint", CivitVersion::new(90, "v9", "SDXL 1.0")));
    let entries = json!([
        {"name": "EasyNegative", "file": "EasyNegative.safetensors", "dest": "embeddings"},
        {"name": "Model Name v9", "file": "model_v1.safetensors", "dest": "checkpoints", "civitai_version_id": 90},
    ]);
    studio.import(CatalogName::Models, entries).await;
    let meta = json!({
        "prompt": "woman <lora:Tweaker:0.8> <lora:Unknown Thing Here:-0.5>, soft", "negativePrompt": "EasyNegative\nbad, blurry",
        "steps": 30, "resources": [{"type": "lora", "name": "Tweaker", "hash": hash}],
    });
    studio.standin.add_image(CivitImage::new(12, 64, 64).made_with(meta).of_version(90));
    (studio, hash)
}

fn detected_deps(standin: &str, hash: &str) -> serde_json::Value {
    json!([
        {
            "name": "Tweaker", "weight": 0.8, "hash": hash, "source": "prompt", "civitai_model_id": 7, "civitai_version_id": 70,
            "civitai_model_name": "Detail Tweaker XL", "civitai_version_name": "v1", "civitai_base_model": "SDXL 1.0",
            "civitai_type": "LORA", "civitai_file": "detail_tweaker.safetensors",
            "civitai_download_url": format!("{standin}/api/download/models/70?fileId=700"), "catalog_status": "not_found",
        },
        {"name": "Unknown Thing Here", "weight": -0.5, "source": "prompt", "catalog_status": "not_found"},
        {
            "name": "EasyNegative", "type": "embedding", "source": "negative_prompt", "catalog_status": "missing",
            "catalog_file": "EasyNegative.safetensors", "catalog_dest": "embeddings",
        },
    ])
}

#[tokio::test]
async fn generation_data_come_from_the_public_api_without_a_key() {
    let (studio, hash) = image_studio(&[]).await;
    let (status, mut body) = studio.get("/api/admin/civitai/image/12").await;
    assert_eq!(status, 200, "{body}");
    let meta = body["meta"].take();
    assert_eq!(meta["steps"], 30);
    let data = &body["raw"]["result"]["data"]["json"];
    assert_eq!(data["meta"], meta);
    body["raw"] = json!(null);
    let expected = json!({
        "raw": null,
        "resources": [{
            "imageId": 12, "modelVersionId": 90, "versionId": 90, "strength": 0.8, "modelType": "Checkpoint", "modelId": 9,
            "modelName": "Model Name", "versionName": "v9", "baseModel": "SDXL 1.0", "catalog_status": "missing",
            "catalog_file": "model_v1.safetensors", "catalog_dest": "checkpoints", "catalog_name": "Model Name v9",
        }],
        "detected_deps": detected_deps(&studio.standin.civitai_url(), &hash),
        "clean_prompt": "woman, soft",
        "meta": null,
        "type": "image",
        "process": "txt2img",
        "techniques": [],
        "tools": [],
        "detected_type": "t2i",
        "warnings": [],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn generation_data_come_from_the_site_itself_with_a_key() {
    let (studio, hash) = image_studio(&[("CIVITAI_API_KEY", "civitai_standin_key")]).await;
    let (status, body) = studio.get("/api/admin/civitai/image/12").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["detected_deps"], detected_deps(&studio.standin.civitai_url(), &hash));
    assert_eq!(body["raw"]["result"]["data"]["json"]["canRemix"], true);
    assert_eq!((&body["detected_type"], &body["warnings"]), (&json!("t2i"), &json!([])));
}

#[tokio::test]
async fn a_second_look_at_an_image_asks_civitai_for_the_image_alone() {
    let (studio, _) = image_studio(&[]).await;
    studio.get("/api/admin/civitai/image/12").await;
    studio.standin.reset_counters();
    studio.get("/api/admin/civitai/image/12").await;
    let paths: Vec<String> = studio.standin.requests().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/api/v1/images"]);
}

#[tokio::test]
async fn odd_shapes_are_answered_as_far_as_they_can_be_read() {
    let studio = Studio::start_with(&[("CIVITAI_API_KEY", "civitai_standin_key")]).await;
    let mut image = CivitImage::new(12, 64, 64);
    image.generation_data = Some(json!({
        "type": 7, "meta": ["x"], "resources": {"a": 1}, "techniques": "x", "tools": null, "process": {},
    }));
    studio.standin.add_image(image);
    let (status, body) = studio.get("/api/admin/civitai/image/12").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["resources"], &body["meta"], &body["type"]), (&json!([]), &json!({}), &json!("image")));
    let warnings =
        json!(["`resources` is not a list", "`meta` is not an object", "`techniques` is not a list"]);
    assert_eq!(body["warnings"], warnings);
}

#[tokio::test]
async fn an_image_that_is_hidden_or_unreachable_is_404_or_502() {
    let studio = Studio::start().await;
    let (status, body) = studio.get("/api/admin/civitai/image/12").await;
    assert_eq!(status, 404, "{body}");
    studio.standin.fault("/api/v1/images", Fault::HtmlPage200, Times::Always);
    let (status, body) = studio.get("/api/admin/civitai/image/12").await;
    assert_eq!(status, 502, "{body}");
    studio.standin.clear_faults();
    studio.standin.fault("/api/v1/images", Fault::status(403), Times::Always);
    assert_eq!(studio.get("/api/admin/civitai/image/12").await.0, 502);
}

#[tokio::test]
async fn reclassified_styles_are_counted_by_category() {
    let studio = Studio::start().await;
    let catalog = json!({"version": 1, "categories": [{"id": "other_loras", "name": "Other LoRAs", "models": [
        {"file": "a.pt", "dest": "loras", "base_model": "Flux.1 D"}, {"file": "b.pt", "dest": "loras"},
    ]}]});
    studio.import(CatalogName::Loras, catalog).await;
    let expected = json!({"status": "reclassified", "categories": {"flux_loras": 1, "other_loras": 1}});
    assert_eq!(studio.post("/api/admin/loras/reclassify").await, (200, expected));
}
