//! Adding, promoting and mapping against the stand-in.

use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec};
use serde_json::{Value, json};

use super::*;
use crate::domain::CatalogName::{Loras, Models};
use crate::error::Error;
use crate::service::Added;
use crate::service::testing::Studio;

fn file(id: u64, name: &str) -> CivitFile {
    CivitFile::new(id, FileSpec::new(name, 351_000))
}

fn style(model: u64, version: u64, name: &str) -> CivitModel {
    let version =
        CivitVersion::new(version, "v1.0", "SDXL 1.0").words(&["soft ink"]).file(file(version * 10, name));
    CivitModel::new(model, "Soft Ink", "LORA").version(version)
}

async fn add(studio: &Studio, version_id: u64) -> Added {
    studio.registry.add_version(AddVersion { version_id, ..AddVersion::default() }).await.unwrap()
}

#[tokio::test]
async fn a_version_is_added_with_everything_that_the_contract_names() {
    let studio = Studio::new().await;
    studio.standin.add_model(style(7, 70, "soft ink, v1.safetensors"));
    let Added::New(state) = add(&studio, 70).await else { panic!("not added") };
    assert_eq!((state.entry.category.as_str(), state.entry.dest()), ("loras", "loras"));
    let sha256 = FileSpec::new("soft ink, v1.safetensors", 351_000).sha256();
    let expected = json!({
        "name": "Soft Ink v1.0 [SDXL 1.0 FP16]", "file": "soft ink, v1.safetensors", "dest": "loras", "source": "civitai",
        "civitai_version_id": 70, "civitai_model_id": 7, "civitai_model_name": "Soft Ink", "civitai_version": "v1.0",
        "civitai_file_id": 700, "size_gb": 0.0, "base_model": "SDXL 1.0", "tags": [], "trigger_words": ["soft ink"],
        "downloads": 1234, "hash": sha256, "civitai_type": "LORA", "civitai_fp": "fp16",
    });
    assert_eq!(studio.documents(Models), [expected]);
    let library = studio.registry.library();
    let category = &library.catalog(Models).categories[0].category;
    assert_eq!((category.id.as_str(), category.name.as_str()), ("loras", "Loras"));
}

#[tokio::test]
async fn a_version_that_either_catalog_has_is_not_added_again() {
    let studio = Studio::new().await;
    let entry = json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": "70"});
    studio.add(Loras, "other_loras", entry).await;
    let Added::AlreadyExists(state) = add(&studio, 70).await else { panic!("added twice") };
    assert_eq!(state.entry.file(), "a.safetensors");
    assert!(studio.standin.requests().is_empty(), "CivitAI was not even asked");
}

#[tokio::test]
async fn two_models_of_one_file_name_get_names_of_their_own() {
    let studio = Studio::new().await;
    studio.standin.add_model(style(7, 70, "style.safetensors"));
    let other = CivitVersion::new(80, "v1", "SDXL 1.0")
        .file(CivitFile::new(800, FileSpec::new("style.safetensors", 5000)));
    studio.standin.add_model(CivitModel::new(8, "Other", "LORA").version(other));
    add(&studio, 70).await;
    let Added::New(state) = add(&studio, 80).await else { panic!("not added") };
    assert_eq!(state.entry.file(), "style.80.safetensors");
}

#[tokio::test]
async fn any_file_of_a_version_can_be_chosen() {
    let studio = Studio::new().await;
    let mut vae = file(701, "baked.vae.safetensors").secondary();
    vae.kind = "VAE".into();
    let version = CivitVersion::new(70, "v1", "SD 1.5").file(file(700, "base.safetensors")).file(vae);
    studio.standin.add_model(CivitModel::new(7, "Base", "Checkpoint").version(version));
    let wanted = AddVersion { version_id: 70, file_id: Some(701), early_access: false };
    let Added::New(state) = studio.registry.add_version(wanted).await.unwrap() else { panic!("not added") };
    assert_eq!((state.entry.dest(), state.entry.file()), ("vae", "baked.vae.safetensors"));
    let Added::New(state) =
        studio.registry.add_version(AddVersion { file_id: Some(700), ..wanted }).await.unwrap()
    else {
        panic!("the other file of the version is another entry")
    };
    assert_eq!(state.entry.dest(), "checkpoints");
    let missing = studio.registry.add_version(AddVersion { file_id: Some(9), ..wanted }).await.unwrap_err();
    assert!(missing.to_string().contains("no file 9"), "{missing}");
}

#[tokio::test]
async fn a_generation_only_version_is_restricted_in_the_words_of_the_contract() {
    let studio = Studio::new().await;
    let mut version = CivitVersion::new(70, "v1", "SDXL 1.0").file(file(700, "a.safetensors"));
    version.usage_control = "Generation".into();
    studio.standin.add_model(CivitModel::new(7, "Closed", "Checkpoint").version(version));
    let Added::Restricted { reason } = add(&studio, 70).await else { panic!("added") };
    assert_eq!(reason, "This model is 'Generation' only — download not allowed by the creator");
    assert_eq!(studio.documents(Models), [] as [Value; 0]);
}

#[tokio::test]
async fn early_access_is_restricted_until_it_ends_or_is_asked_for() {
    let studio = Studio::new().await;
    let mut version = CivitVersion::new(70, "v1", "SDXL 1.0").file(file(700, "a.safetensors"));
    version.early_access_until = Some("2026-08-02T00:00:00.000Z".into());
    studio.standin.add_model(CivitModel::new(7, "Early", "Checkpoint").version(version));
    let Added::Restricted { reason } = add(&studio, 70).await else { panic!("added") };
    let expected = "This model is in early access until 2026-08-02 00:00 UTC — only accounts that bought access can download it";
    assert_eq!(reason, expected);
    studio.clock.advance(chrono::TimeDelta::days(2));
    assert!(matches!(add(&studio, 70).await, Added::New(_)));
}

#[tokio::test]
async fn a_version_that_civitai_does_not_have_is_an_upstream_404() {
    let studio = Studio::new().await;
    let wanted = AddVersion { version_id: 404, ..AddVersion::default() };
    let error = studio.registry.add_version(wanted).await.unwrap_err();
    assert!(matches!(error, Error::Upstream { status: Some(404), .. }), "{error:?}");
}

#[tokio::test]
async fn a_hostile_file_name_becomes_a_harmless_one() {
    let studio = Studio::new().await;
    studio.standin.add_model(style(7, 70, "..\\..\\evil.safetensors"));
    let Added::New(state) = add(&studio, 70).await else { panic!("not added") };
    assert!(!state.entry.file().contains(['/', '\\']), "{}", state.entry.file());
    assert_eq!(state.entry.dest(), "loras");
}

#[tokio::test]
async fn a_promoted_lora_leaves_the_models_and_keeps_its_id() {
    let studio = Studio::new().await;
    let document = json!({"name": "A", "file": "a.safetensors", "dest": "loras", "civitai_version_id": 70, "base_model": "Pony"});
    let entry = studio.add(Models, "loras", document.clone()).await;
    let versions = |studio: &Studio| {
        let library = studio.registry.library();
        [Models, Loras].map(|catalog| library.catalog(catalog).head.version)
    };
    let before = versions(&studio);
    let Promoted::Promoted(promoted) = studio.registry.promote_version(70).await.unwrap() else {
        panic!("not promoted")
    };
    assert_eq!((promoted.id, promoted.category.as_str()), (entry.id, "sdxl_loras"));
    assert_eq!(versions(&studio), before.map(|version| version + 1));
    assert_eq!((studio.documents(Models).len(), studio.documents(Loras)), (0, vec![document.clone()]));
    assert!(matches!(studio.registry.promote_version(70).await.unwrap(), Promoted::AlreadyExists));

    let studio = studio.reopen().await;
    assert_eq!((studio.documents(Models).len(), studio.documents(Loras)), (0, vec![document]));
}

#[tokio::test]
async fn only_a_lora_that_the_models_catalog_knows_is_promoted() {
    let studio = Studio::new().await;
    studio
        .add(Models, "vae", json!({"file": "a.safetensors", "dest": "vae", "civitai_version_id": 70}))
        .await;
    let error = studio.registry.promote_version(70).await.unwrap_err();
    assert_eq!(error.to_string(), "Only LoRA entries can be promoted to style LoRAs");
    let error = studio.registry.promote_version(71).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn the_map_knows_each_version_once_and_styles_speak_for_both() {
    let studio = Studio::new().await;
    studio.add(Models, "a", json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": 1, "civitai_model_id": "9"})).await;
    studio
        .add(
            Models,
            "a",
            json!({"file": "b.safetensors", "dest": "vae", "civitai_version_id": "2", "civitai_model_id": 9}),
        )
        .await;
    studio.add(Models, "a", json!({"file": "c.safetensors", "dest": "vae"})).await;
    studio.add(Loras, "b", json!({"file": "d.safetensors", "dest": "loras", "civitai_version_id": 1})).await;
    studio.put_file("vae", "b.safetensors", 5, None);
    let map = studio.registry.version_map();
    let seen: Vec<(u64, &str, &str)> =
        map.by_version.iter().map(|(id, own)| (*id, own.entry.file(), own.status.as_str())).collect();
    assert_eq!(seen, [(1, "d.safetensors", "missing"), (2, "b.safetensors", "present")]);
    assert_eq!(map.by_model, [(9, vec![1, 2])]);
}

#[tokio::test]
async fn styles_are_sorted_again_and_categories_of_users_are_left_alone() {
    let studio = Studio::new().await;
    studio.add(Loras, "other_loras", json!({"file": "a.pt", "dest": "loras", "base_model": "Pony"})).await;
    studio.add(Loras, "other_loras", json!({"file": "b.pt", "dest": "loras"})).await;
    studio.add(Loras, "mine", json!({"file": "c.pt", "dest": "loras", "base_model": "Pony"})).await;
    let counts = studio.registry.reclassify_styles().await.unwrap();
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("other_loras".to_owned(), 1), ("sdxl_loras".to_owned(), 1)]
    );
    let category = |file: &str| studio.registry.find_entry(file, None).unwrap().entry.category.clone();
    assert_eq!([category("a.pt"), category("b.pt"), category("c.pt")], ["sdxl_loras", "other_loras", "mine"]);
}
