//! CivitAI: the map, adding, promoting.

use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec};
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
    let (status, body) = studio.post("/api/admin/civitai/add/404").await;
    assert_eq!(status, 404, "{body}");
    assert_eq!(body["code"], "not_found");
    let refused = lorakeep_standin::Fault::status(401);
    studio.standin.fault("/api/v1/model-versions/", refused, lorakeep_standin::Times::Always);
    let (status, body) = studio.post("/api/admin/civitai/add/70").await;
    assert_eq!(status, 502, "{body}");
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
    let missing = json!({"detail": "Version not found in models catalog", "code": "not_found"});
    assert_eq!(promote(7).await, (404, missing));
    for id in [71, 72] {
        let refused =
            json!({"detail": "Only LoRA entries can be promoted to style LoRAs", "code": "not_a_lora"});
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
    let expected = json!({
        "by_version": {
            "123456": {
                "file": "juggernautXL_v9.safetensors", "dest": "checkpoints", "name": "Juggernaut XL v9 [SDXL FP16]",
                "base_model": "SDXL 1.0", "status": "missing", "civitai_model_id": 789, "catalog": "models",
                "size_expected": 6_500_000_000_u64,
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
