//! Files that are identified by and by: what entries get from them, when they are read again, and where CivitAI differs.

use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec};
use serde_json::{Value, json};

use super::*;
use crate::domain::{CatalogName, EntryDocument, EntryEdit, FactOrigin, ModelPath, Sha256};
use crate::service::FetchScope;
use crate::service::testing::Studio;

/// A kohya LoRA for SDXL, as far as names and shapes tell, whose author names a trigger word.
fn sdxl_lora(words: &str) -> Vec<u8> {
    let module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k";
    let mut tensors = Map::new();
    let tags = json!({"10_x": {"often": 12}}).to_string();
    let said = json!({"ss_tag_frequency": tags, "modelspec.trigger_phrase": words});
    tensors.insert("__metadata__".into(), said);
    let mut end = 0;
    for (name, shape) in [("lora_down.weight", [4, 2048]), ("lora_up.weight", [640, 4])] {
        let start = end;
        end += shape[0] * shape[1] * 2;
        let tensor = json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
        tensors.insert(format!("{module}.{name}"), tensor);
    }
    let header = Value::Object(tensors).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(8 + header.len() + end, 1);
    file
}

async fn put(studio: &Studio, name: &str, content: &[u8]) {
    let folder = studio.registry.config().models_dir.join("loras");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), content).unwrap();
    studio.registry.rescan().await.unwrap();
}

fn path(name: &str) -> ModelPath {
    ModelPath::parse("loras", name).unwrap()
}

async fn entry(studio: &Studio, document: Value) {
    studio.add(CatalogName::Loras, "styles", document).await;
}

async fn read(studio: &Studio) -> (u64, u64) {
    let report = studio.registry.identify_present().await.unwrap();
    (report.read, report.filled)
}

#[tokio::test]
async fn an_entry_gets_what_it_lacks_from_its_file_and_keeps_what_it_has() {
    let studio = Studio::new().await;
    put(&studio, "a.safetensors", &sdxl_lora("mossy knight")).await;
    put(&studio, "b.safetensors", &sdxl_lora("mossy knight")).await;
    entry(&studio, json!({"file": "a.safetensors", "dest": "loras"})).await;
    let own =
        json!({"file": "b.safetensors", "dest": "loras", "base_model": "Mine", "trainedWords": ["mine"]});
    entry(&studio, own.clone()).await;
    assert_eq!(read(&studio).await, (2, 1));
    let documents = studio.documents(CatalogName::Loras);
    assert!(documents[0]["base_model"].as_str().unwrap().starts_with("sdxl"), "{documents:?}");
    assert_eq!(
        documents[0]["trigger_words"],
        json!(["mossy knight"]),
        "what images had often is only an offer"
    );
    assert_eq!(documents[0]["identified"]["filled"], json!(["base_model", "trigger_words"]));
    assert_eq!(documents[1], own);
    let facts = studio.registry.file_facts(&path("b.safetensors")).await.unwrap().unwrap();
    assert_eq!((facts.kind.as_str(), facts.rank), ("lora", Some(4)));
}

#[tokio::test]
async fn each_field_tells_whether_the_file_a_user_or_an_upstream_says_it() {
    let studio = Studio::new().await;
    put(&studio, "a.safetensors", &sdxl_lora("mossy knight")).await;
    let civit = CivitFile::new(700, FileSpec::of_bytes("a.safetensors", sdxl_lora("mossy knight")));
    let version = CivitVersion::new(70, "v1", "Pony").words(&["score_9"]).file(civit);
    studio.standin.add_model(CivitModel::new(7, "Upstream", "LORA").version(version));
    entry(&studio, json!({"file": "a.safetensors", "dest": "loras", "size_gb": 1.5})).await;
    read(&studio).await;
    let id = studio.registry.find_entry("a.safetensors", None).unwrap().entry.id;
    let origin = async |field: &str| studio.registry.entry_detail(id).await.unwrap().origins[field];
    assert_eq!(
        (origin("base_model").await, origin("trigger_words").await),
        (FactOrigin::File, FactOrigin::File)
    );
    assert_eq!(origin("size_gb").await, FactOrigin::Catalog);
    let edit = |value: Value| EntryEdit::parse(value.as_object().unwrap().clone()).unwrap();
    studio.registry.edit_entry(id, &edit(json!({"trigger_words": ["mine"]}))).await.unwrap();
    assert_eq!(origin("trigger_words").await, FactOrigin::User);
    // CivitAI knows Pony from SDXL, and does not touch what the user said.
    let turn = studio.registry.catalog_turn().await;
    let known = |document: &mut EntryDocument| document.set("civitai_version_id", 70);
    studio.registry.update_entry(turn, id, known).await.unwrap();
    studio.registry.fetch_metadata(FetchScope::Known).await.unwrap();
    studio.registry.fetch_all_queued().await.unwrap();
    let document = &studio.documents(CatalogName::Loras)[0];
    assert_eq!((&document["base_model"], &document["trigger_words"]), (&json!("Pony"), &json!(["mine"])));
    assert_eq!(
        (origin("base_model").await, origin("trigger_words").await),
        (FactOrigin::Civitai, FactOrigin::User)
    );
    studio.registry.edit_entry(id, &edit(json!({"trigger_words": null}))).await.unwrap();
    assert_eq!(
        studio.documents(CatalogName::Loras)[0]["trigger_words"],
        json!(["mossy knight"]),
        "given back"
    );
    assert_eq!(origin("trigger_words").await, FactOrigin::File);
}

#[tokio::test]
async fn what_a_user_took_out_is_not_filled_again_from_another_file() {
    let studio = Studio::new().await;
    put(&studio, "a.safetensors", &sdxl_lora("one")).await;
    entry(&studio, json!({"file": "a.safetensors", "dest": "loras"})).await;
    read(&studio).await;
    let id = studio.registry.find_entry("a.safetensors", None).unwrap().entry.id;
    let none = json!({"trigger_words": []});
    let edit = EntryEdit::parse(none.as_object().unwrap().clone()).unwrap();
    studio.registry.edit_entry(id, &edit).await.unwrap();
    // By the catalog file it can be taken out as well.
    let turn = studio.registry.catalog_turn().await;
    let emptied = |document: &mut EntryDocument| document.remove("base_model");
    studio.registry.update_entry(turn, id, emptied).await.unwrap();
    put(&studio, "a.safetensors", &sdxl_lora("another")).await;
    assert_eq!(read(&studio).await, (1, 0));
    let document = &studio.documents(CatalogName::Loras)[0];
    assert_eq!((&document["trigger_words"], &document["base_model"]), (&json!([]), &Value::Null));
    let origins = studio.registry.entry_detail(id).await.unwrap().origins;
    assert_eq!(origins["trigger_words"], FactOrigin::User);
}

#[tokio::test]
async fn a_file_is_read_again_only_when_it_changed() {
    let studio = Studio::new().await;
    put(&studio, "a.safetensors", &sdxl_lora("one")).await;
    put(&studio, "notes.txt", b"not a model").await;
    assert_eq!(read(&studio).await.0, 1);
    assert_eq!(read(&studio).await.0, 0);
    let studio = studio.reopen().await;
    assert_eq!(read(&studio).await.0, 0, "what was read is known after a restart");
    put(&studio, "a.safetensors", &sdxl_lora("another")).await;
    assert_eq!(studio.registry.file_facts(&path("a.safetensors")).await.unwrap(), None, "it is another file");
    assert_eq!(read(&studio).await.0, 1);
    let facts = studio.registry.file_facts(&path("a.safetensors")).await.unwrap().unwrap();
    assert_eq!(facts.trigger_words[0].word, "another");
}

#[tokio::test]
async fn a_file_that_cannot_be_identified_holds_up_nothing() {
    let studio = Studio::new().await;
    put(&studio, "broken.safetensors", b"{}").await;
    put(&studio, "a.safetensors", &sdxl_lora("one")).await;
    entry(&studio, json!({"file": "broken.safetensors", "dest": "loras"})).await;
    assert_eq!(read(&studio).await, (2, 0));
    let facts = studio.registry.file_facts(&path("broken.safetensors")).await.unwrap().unwrap();
    assert_eq!(facts.verdict["verdict"], "malformed");
}

#[tokio::test]
async fn it_is_told_once_when_civitai_says_another_base_model_than_the_keys() {
    let studio = Studio::new().await;
    put(&studio, "a.safetensors", &sdxl_lora("one")).await;
    entry(&studio, json!({"file": "a.safetensors", "dest": "loras", "civitai_base_model": "SD 1.5"})).await;
    let tag = studio.registry.listing_tag(CatalogName::Loras);
    read(&studio).await;
    assert_ne!(studio.registry.listing_tag(CatalogName::Loras), tag);
    let state = studio.registry.find_entry("a.safetensors", None).unwrap();
    let text = state.conflict.expect("a conflict").to_string();
    assert!(text.starts_with("CivitAI says base model `SD 1.5`, the file's keys say `sdxl"), "{text}");
    let told = |studio: &Studio| {
        studio.registry.activity().iter().filter(|line| line.message.starts_with("CHECK -- loras/a")).count()
    };
    assert_eq!(told(&studio), 1);
    assert!(studio.registry.doctor().await.iter().any(|check| check.name == "base_models"));
    let studio = studio.reopen().await;
    read(&studio).await;
    assert_eq!((studio.registry.base_model_conflicts().len(), told(&studio)), (1, 1));
    let id = studio.registry.find_entry("a.safetensors", None).unwrap().entry.id;
    let turn = studio.registry.catalog_turn().await;
    let pony = |document: &mut EntryDocument| document.set("civitai_base_model", "Pony");
    studio.registry.update_entry(turn, id, pony).await.unwrap();
    studio.registry.compare_entry(id).await;
    assert_eq!(studio.registry.base_model_conflicts(), []);
}

#[tokio::test]
async fn every_hash_that_other_tools_speak_is_known_after_one_pass() {
    let studio = Studio::new().await;
    let content = sdxl_lora("one");
    put(&studio, "a.safetensors", &content).await;
    read(&studio).await;
    studio.registry.hash_everything().await;
    let facts = studio.registry.file_facts(&path("a.safetensors")).await.unwrap().unwrap();
    let hashes = facts.hashes.expect("hashed");
    assert_eq!(hashes.sha256, Sha256::of(&content));
    assert!(hashes.auto_v3.is_some() && hashes.crc32.len() == 8 && hashes.blake3.len() == 64);
    let known = studio.registry.library().file(&path("a.safetensors")).and_then(|fact| fact.sha256);
    assert_eq!(known, Some(hashes.sha256));
}
