//! Entries from references: fields, folders, names, and what is refused.

use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{AddRequest, Added, EntryState};
use lorakeep_standin::{CivitFile, CivitModel, FileSpec, HfRepo};
use serde_json::{Value, json};

use super::support::{Studio, civitai_model, civitai_version, small};
use crate::harness::{both_databases, on_sqlite};

fn reference(text: &str) -> AddRequest {
    AddRequest { reference: text.to_owned(), ..AddRequest::default() }
}

async fn added(studio: &Studio, request: AddRequest) -> EntryState {
    match studio.registry.add(request).await.unwrap() {
        Added::New(state) => state,
        other => panic!("{other:?}"),
    }
}

async fn refused(studio: &Studio, request: AddRequest) -> (&'static str, String) {
    let error = studio.registry.add(request).await.unwrap_err();
    (error.code(), error.to_string())
}

fn document(state: &EntryState) -> Value {
    Value::Object(state.entry.document.to_fields())
}

both_databases! {
    async fn a_version_becomes_an_entry_with_the_contracts_fields(home: Home) {
        let studio = Studio::open(home).await;
        studio.standin.add_model(civitai_model(7, small("style.safetensors")));
        let state = added(&studio, reference("https://civitai.com/models/7?modelVersionId=70&token=secret")).await;
        let entry = document(&state);
        assert_eq!((entry["file"].as_str(), entry["dest"].as_str()), (Some("style.safetensors"), Some("loras")));
        assert_eq!(state.entry.category, "loras");
        for (field, expected) in [
            ("name", json!("Style 7 v1 [SDXL 1.0 FP16]")),
            ("source", json!("civitai")),
            ("civitai_version_id", json!(70)),
            ("civitai_model_id", json!(7)),
            ("civitai_file_id", json!(700)),
            ("base_model", json!("SDXL 1.0")),
            ("trigger_words", json!(["soft ink"])),
        ] {
            assert_eq!(entry[field], expected, "{field}");
        }
        assert_eq!(state.entry.document.sha256().unwrap().to_string(), small("style.safetensors").sha256());
        assert!(!entry.to_string().contains("secret"));
        let again = studio.registry.add(reference("civitai:70")).await.unwrap();
        assert!(matches!(again, Added::AlreadyExists(_)), "{again:?}");
        let job = studio.fetch("style.safetensors").await.download;
        assert_eq!(job.error, None);
        studio.registry.close().await;
    }

    async fn a_repository_file_becomes_an_entry_that_can_be_fetched(home: Home) {
        let studio = Studio::open(home).await;
        let repo = HfRepo::new("o/r").file(small("split_files/vae/wan_vae.safetensors")).base_model("o/base").trigger_word("ink");
        studio.standin.add_repo(repo);
        let link = "https://huggingface.co/o/r/blob/main/split_files/vae/wan_vae.safetensors";
        let state = added(&studio, reference(link)).await;
        let entry = document(&state);
        assert_eq!((entry["file"].as_str(), entry["dest"].as_str()), (Some("wan_vae.safetensors"), Some("vae")));
        assert_eq!((entry["hf_repo"].as_str(), entry["source"].as_str()), (Some("o/r"), Some("huggingface")));
        assert_eq!(entry["hf_file"], json!("split_files/vae/wan_vae.safetensors"));
        assert_eq!(entry["size_bytes"], json!(300_000));
        assert_eq!(entry["trigger_words"], json!(["ink"]));
        assert_eq!(entry["base_model"], json!("o/base"));
        assert!(entry.get("hf_revision").is_none());
        assert_eq!(state.entry.category, "vae");
        let again = studio.registry.add(reference("o/r:split_files/vae/wan_vae.safetensors")).await.unwrap();
        assert!(matches!(again, Added::AlreadyExists(_)), "{again:?}");
        assert_eq!(studio.fetch("wan_vae.safetensors").await.download.error, None);
        studio.registry.close().await;
    }
}

#[tokio::test]
async fn two_files_of_one_name_get_a_stable_suffix() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.standin.add_model(civitai_model(7, small("same.safetensors")));
        studio.standin.add_model(civitai_model(8, small("same.safetensors").seed(3)));
        studio.standin.add_repo(HfRepo::new("o/some-lora").file(small("same.safetensors").seed(4)));
        let file = async |text: &str| added(&studio, reference(text)).await.entry.file().to_owned();
        assert_eq!(file("civitai:70").await, "same.safetensors");
        assert_eq!(file("civitai:80").await, "same.80.safetensors");
        let third = file("o/some-lora:same.safetensors").await;
        assert!(third.starts_with("same.") && third.ends_with(".safetensors") && third.len() > 20, "{third}");
        let chosen = AddRequest {
            file: Some("same.safetensors".into()),
            dest: Some("loras".into()),
            ..reference("https://files.example/x.safetensors")
        };
        assert_eq!(refused(&studio, chosen).await.0, "exists");
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_name_that_differs_only_by_case_gets_a_suffix_too() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.standin.add_model(civitai_model(7, small("Ink.safetensors")));
        studio.standin.add_model(civitai_model(8, small("ink.safetensors").seed(3)));
        let file = async |text: &str| added(&studio, reference(text)).await.entry.file().to_owned();
        assert_eq!(file("civitai:70").await, "Ink.safetensors");
        assert_eq!(file("civitai:80").await, "ink.80.safetensors");
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_model_link_means_its_newest_version() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let model = CivitModel::new(7, "Style", "Checkpoint")
            .version(civitai_version(72, small("new.safetensors")))
            .version(civitai_version(71, small("old.safetensors")));
        studio.standin.add_model(model);
        let state = added(&studio, reference("https://civitai.red/models/7/slug")).await;
        assert_eq!(state.entry.file(), "new.safetensors");
        assert_eq!((state.entry.category.as_str(), state.entry.dest()), ("checkpoints", "checkpoints"));
        let mut hidden = civitai_model(8, small("hidden.safetensors"));
        hidden.hides_versions = true;
        studio.standin.add_model(hidden);
        let (code, text) = refused(&studio, reference("https://civitai.com/models/8")).await;
        assert_eq!(code, "no_version");
        assert!(text.contains("modelVersionId"), "{text}");
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_the_creator_keeps_to_the_site_is_restricted() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let mut model = civitai_model(7, small("a.safetensors"));
        model.versions[0].usage_control = "Generation".into();
        studio.standin.add_model(model);
        let answer = studio.registry.add(reference("civitai:70")).await.unwrap();
        let Added::Restricted { reason } = answer else { panic!("{answer:?}") };
        assert_eq!(reason, "This model is 'Generation' only — download not allowed by the creator");
        let mut old = civitai_model(8, small("b.safetensors"));
        old.archived = true;
        studio.standin.add_model(old);
        assert!(matches!(
            studio.registry.add(reference("civitai:80")).await.unwrap(),
            Added::Restricted { .. }
        ));
        assert_eq!(refused(&studio, reference("civitai:999")).await.0, "not_found");
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn hostile_names_from_upstream_become_harmless_ones() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let names = [
            "../../etc/x.safetensors",
            "..\\..\\y.safetensors",
            "C:\\z.safetensors",
            "nul.safetensors",
            "a\u{202e}b.safetensors",
        ];
        for (number, name) in (1..).zip(names) {
            studio.standin.add_model(civitai_model(number, small(name)));
            let state = added(&studio, reference(&format!("civitai:{}", number * 10))).await;
            let file = state.entry.file();
            assert!(!file.contains(['/', '\\', ':', '\u{202e}']) && !file.starts_with('.'), "{file}");
            assert_eq!(state.entry.dest(), "loras");
        }
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_repository_with_one_model_needs_no_file_and_one_with_several_names_them() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio
            .standin
            .add_repo(HfRepo::new("o/one-lora").file(small("only.safetensors")).text("README.md", "x"));
        let two = HfRepo::new("o/two")
            .file(small("a.safetensors"))
            .file(small("b.safetensors"))
            .file(small("vae/v.safetensors"));
        studio.standin.add_repo(two);
        studio.standin.add_repo(HfRepo::new("o/none").text("README.md", "x"));
        let state = added(&studio, reference("https://huggingface.co/o/one-lora")).await;
        assert_eq!((state.entry.file(), state.entry.dest()), ("only.safetensors", "loras"));
        let (code, text) = refused(&studio, reference("hf:o/two")).await;
        assert_eq!(code, "several_files");
        assert!(text.contains("`o/two:a.safetensors`") && text.contains("`o/two:b.safetensors`"), "{text}");
        assert_eq!(
            added(&studio, reference("https://huggingface.co/o/two/tree/main/vae")).await.entry.file(),
            "v.safetensors"
        );
        assert_eq!(refused(&studio, reference("hf:o/none")).await.0, "no_file");
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_callers_wishes_win_and_are_judged() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio
            .standin
            .add_repo(HfRepo::new("o/r").file(small("a.safetensors")).next_commit().reference("v2"));
        let wishes = AddRequest {
            catalog: Some(CatalogName::Loras),
            dest: Some("loras/mine".into()),
            file: Some("my name.safetensors".into()),
            name: Some("Mine".into()),
            base_model: Some("Wan Video 2.2 I2V-A14B".into()),
            sha256: Some(small("a.safetensors").sha256().to_uppercase()),
            ..reference("o/r@v2:a.safetensors")
        };
        let state = added(&studio, wishes.clone()).await;
        let entry = document(&state);
        assert_eq!(state.entry.path.relative(), "loras/mine/my name.safetensors");
        assert_eq!((state.entry.catalog, state.entry.category.as_str()), (CatalogName::Loras, "wan_loras"));
        assert_eq!((&entry["name"], &entry["hf_revision"]), (&json!("Mine"), &json!("v2")));
        let cases = [
            (AddRequest { file: Some("../x".into()), ..wishes.clone() }, "unsafe_name"),
            (AddRequest { dest: Some("/etc".into()), ..wishes.clone() }, "unsafe_name"),
            (AddRequest { sha256: Some("abc".into()), ..wishes.clone() }, "malformed_sha256"),
            (AddRequest { sha256: Some("0".repeat(64)), ..wishes }, "hash_mismatch"),
        ];
        for (request, code) in cases {
            let other = AddRequest { reference: "o/r:a.safetensors".into(), ..request };
            assert_eq!(refused(&studio, other).await.0, code);
        }
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn plain_addresses_are_judged_and_named_after_their_last_part() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.standin.add_file(FileSpec::new("my lora.safetensors", 3000));
        let url = studio.standin.file_url("my lora.safetensors");
        let state = added(&studio, reference(&url)).await;
        assert_eq!((state.entry.file(), state.entry.dest()), ("my lora.safetensors", "loras"));
        assert_eq!(studio.fetch("my lora.safetensors").await.download.error, None);
        for (text, code) in [
            ("http://10.0.0.1/x.safetensors", "forbidden_address"),
            ("http://files.example/x.safetensors", "forbidden_address"),
            ("https://files.example/", "file_missing"),
            ("https://civitai.com/images/5", "image_reference"),
            ("nonsense", "unknown_reference"),
        ] {
            assert_eq!(refused(&studio, reference(text)).await.0, code, "{text}");
        }
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_companion_file_is_added_beside_its_model() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let mut model = civitai_model(7, small("style.safetensors"));
        let mut vae = CivitFile::new(701, small("vae.safetensors")).secondary();
        vae.kind = "VAE".into();
        model.versions[0].files.push(vae);
        studio.standin.add_model(model);
        added(&studio, reference("civitai:70")).await;
        let link = "https://civitai.com/api/download/models/70?fileId=701";
        let state = added(&studio, reference(link)).await;
        assert_eq!((state.entry.file(), state.entry.dest()), ("vae.safetensors", "vae"));
        studio.registry.close().await;
    })
    .await;
}
