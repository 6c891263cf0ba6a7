//! Models with what other programs wrote beside them: read, taken into the gallery, written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use lorakeep_registry::domain::{CatalogName, EntryEdit, FactOrigin, SidecarFlavour};
use lorakeep_registry::{AdoptionReport, AdoptionRequest, AdoptionState, GalleryFilter, Registry};
use lorakeep_standin::{FileSpec, LoraFamily};
use serde_json::{Value, json};

use super::support::{self, picture, snapshot_of};
use crate::harness::{Home, both_databases, eventually};

/// Adopts the models folder itself.
async fn adopt(
    registry: &Registry,
    home: &Home,
    unlisted: bool,
    sidecars: &[SidecarFlavour],
) -> AdoptionReport {
    let path = home.models.clone();
    let request = AdoptionRequest { path, is_dry: false, unlisted, sidecars: sidecars.to_vec() };
    let status = support::run(registry, request).await;
    assert_eq!(status.state, AdoptionState::Done, "{status:?}");
    AdoptionReport::clone(&status.report.unwrap())
}

fn write_lora(home: &Home, path: &str) -> u64 {
    let file = path.rsplit('/').next().unwrap();
    let spec = FileSpec::lora(file, LoraFamily::Sdxl, 4);
    home.write_model(path, spec.bytes());
    spec.size()
}

fn write_json(home: &Home, path: &str, value: &Value) {
    home.write_model(path, serde_json::to_vec_pretty(value).unwrap());
}

fn document(registry: &Registry, file: &str) -> Value {
    Value::Object(registry.find_entry(file, None).unwrap().entry.document.to_fields())
}

fn json_at(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

both_databases! {
    async fn unlisted_files_become_entries_by_content_folder_and_sidecar(home: Home) {
        fs::create_dir_all(home.models.join("loras")).unwrap();
        let size = write_lora(&home, "loras/mine/ink.safetensors");
        write_json(&home, "loras/mine/ink.civitai.info", &json!({
            "id": 70, "modelId": 7, "name": "v1", "baseModel": "Flux.1 D", "model": {"name": "Ink", "type": "LORA"},
            "files": [{"id": 1, "name": "ink.safetensors", "sizeKB": size as f64 / 1024.0, "primary": true}],
        }));
        home.write_model("vae/some.pt", "no torch file");
        home.write_model("vae/readme.txt", "no model");
        let registry = home.open().await;
        let report = adopt(&registry, &home, true, &[]).await;
        assert_eq!((report.files.unlisted, report.files.adopted), (2, 2));
        assert_eq!((report.sidecars.civitai_info, report.sidecars.unreadable), (1, 0));
        let ink = registry.find_entry("ink.safetensors", None).unwrap();
        assert_eq!((ink.entry.catalog, ink.entry.category.as_str(), ink.entry.dest()), (CatalogName::Loras, "flux_loras", "loras/mine"));
        let fields = document(&registry, "ink.safetensors");
        assert_eq!((&fields["source"], &fields["civitai_version_id"], &fields["base_model"]), (&json!("local"), &json!(70), &json!("Flux.1 D")));
        assert_eq!(fields["identified"]["kind"], "lora", "{fields}");
        let vae = registry.find_entry("some.pt", None).unwrap();
        assert_eq!((vae.entry.catalog, vae.entry.category.as_str()), (CatalogName::Models, "vae"));
        let again = adopt(&registry, &home, true, &[]).await;
        assert!(!again.changes_anything(), "{again:?}");
        registry.close().await;
    }

    async fn entries_learn_from_sidecars_what_they_lack(home: Home) {
        write_lora(&home, "loras/ink.safetensors");
        write_json(&home, "loras/ink.json", &json!({"activation text": "ink, wash", "notes": "try it", "sd version": "SDXL"}));
        write_json(&home, "loras/ink.metadata.json", &json!({"favorite": true, "tags": ["mine"], "civitai": {}, "notes": ""}));
        home.write_model("loras/ink.cm-info.json", "{broken");
        let registry = home.open().await;
        let own = json!([{"file": "ink.safetensors", "dest": "loras", "name": "Ink", "tags": ["own"]}]);
        registry.import(CatalogName::Loras, own.to_string().as_bytes()).await.unwrap();
        let before = snapshot_of(&home.models);
        let report = adopt(&registry, &home, false, &[]).await;
        assert_eq!((report.sidecars.entries_filled, report.sidecars.a1111, report.sidecars.lora_manager), (1, 1, 1));
        assert_eq!((report.sidecars.stability_matrix, report.sidecars.unreadable), (0, 1));
        assert!(report.warnings[0].starts_with("`loras/ink.cm-info.json` was left out: it is no JSON"), "{:?}", report.warnings);
        let fields = document(&registry, "ink.safetensors");
        let expected = json!({
            "file": "ink.safetensors", "dest": "loras", "name": "Ink", "tags": ["own", "imported"], "notes": "try it",
            "trigger_words": ["ink", "wash"], "favorite": true, "base_model": "SDXL 1.0",
        });
        assert_eq!(fields, expected);
        assert_eq!(snapshot_of(&home.models), before, "nothing is written without being asked");
        registry.close().await;
    }

    async fn previews_become_gallery_images_of_the_entry(home: Home) {
        write_lora(&home, "loras/ink.safetensors");
        home.write_model("loras/ink.preview.png", picture(640, 480));
        home.write_model("loras/ink.jpg", picture(32, 32));
        home.write_model("loras/ink.webp", "<svg onload='alert(1)'/>");
        let registry = home.open().await;
        let report = adopt(&registry, &home, true, &[]).await;
        assert_eq!((report.sidecars.previews, report.sidecars.previews_added), (3, 2));
        assert!(report.warnings.iter().any(|warning| warning.contains("`loras/ink.webp` was left out")), "{:?}", report.warnings);
        let model_id = registry.gallery_model_of("ink.safetensors", None).unwrap();
        let gallery = registry.gallery_of_model(model_id, GalleryFilter::default()).await.unwrap();
        assert_eq!(gallery.images.len(), 2);
        let chosen = gallery.images.iter().find(|image| Some(image.id) == gallery.preview).unwrap();
        assert_eq!(chosen.file_size, picture(640, 480).len() as u64, "the usual name stands for the model");
        let thumbnail = image::open(registry.gallery_thumbnail(chosen.id).await.unwrap().path).unwrap();
        assert_eq!((thumbnail.width(), thumbnail.height()), (300, 225));
        assert!(!adopt(&registry, &home, true, &[]).await.changes_anything());
        registry.close().await;
    }

    async fn sidecars_are_written_and_somebody_elses_words_stay(home: Home) {
        write_lora(&home, "loras/ink.safetensors");
        write_json(&home, "loras/ink.json", &json!({"notes": "theirs", "their own field": [1], "preferred weight": 0}));
        let registry = home.open().await;
        let own = json!([{
            "file": "ink.safetensors", "dest": "loras", "name": "Ink", "civitai_version_id": 70, "civitai_model_id": 7,
            "civitai_base_model": "SDXL 1.0", "trainedWords": ["ink"], "notes": "mine", "strength": 0.8,
        }]);
        registry.import(CatalogName::Loras, own.to_string().as_bytes()).await.unwrap();
        adopt(&registry, &home, false, &[]).await;
        eventually("the hash is known, which is written, too", || registry.hashing().left_files == 0).await;
        let report = adopt(&registry, &home, false, &SidecarFlavour::ALL).await;
        assert_eq!((report.sidecars.written, report.sidecars.not_written), (4, 0), "{report:?}");
        let a1111 = json_at(&home.models.join("loras/ink.json"));
        assert_eq!((&a1111["notes"], &a1111["their own field"], &a1111["preferred weight"]), (&json!("theirs"), &json!([1]), &json!(0.8)));
        assert_eq!((&a1111["activation text"], &a1111["sd version"]), (&json!("ink"), &json!("SDXL")));
        let civitai = json_at(&home.models.join("loras/ink.civitai.info"));
        assert_eq!((&civitai["id"], &civitai["trainedWords"]), (&json!(70), &json!(["ink"])));
        assert_eq!(json_at(&home.models.join("loras/ink.cm-info.json"))["VersionId"], 70);
        assert_eq!(json_at(&home.models.join("loras/ink.metadata.json"))["notes"], "mine");
        let names: Vec<_> = fs::read_dir(home.models.join("loras")).unwrap().map(|item| item.unwrap().file_name()).collect();
        assert_eq!(names.len(), 5, "nothing is left beside: {names:?}");
        let before = snapshot_of(&home.models);
        assert_eq!(adopt(&registry, &home, false, &SidecarFlavour::ALL).await.sidecars.written, 0);
        assert_eq!(snapshot_of(&home.models), before);
        registry.close().await;
    }

    async fn our_own_sidecar_follows_the_entry_until_somebody_changes_it(home: Home) {
        write_lora(&home, "loras/ink.safetensors");
        home.write_catalog("loras", json!([{"file": "ink.safetensors", "dest": "loras", "notes": "first"}]).to_string());
        let registry = home.open().await;
        adopt(&registry, &home, false, &[SidecarFlavour::A1111]).await;
        registry.close().await;
        drop(registry);
        let path = home.models.join("loras/ink.json");
        let notes = || json_at(&path)["notes"].as_str().unwrap().to_owned();
        assert_eq!(notes(), "first");
        home.write_catalog("loras", home.catalog("loras").replace("first", "second"));
        let registry = home.open().await;
        adopt(&registry, &home, false, &[SidecarFlavour::A1111]).await;
        assert_eq!(notes(), "second");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("second", "theirs")).unwrap();
        let report = adopt(&registry, &home, false, &[SidecarFlavour::A1111]).await;
        assert_eq!((report.sidecars.written, notes()), (0, "theirs".to_owned()));
        registry.close().await;
    }

    async fn nothing_is_written_through_a_link_or_over_what_cannot_be_read(home: Home) {
        for name in ["linked", "broken", "other"] {
            write_lora(&home, &format!("loras/{name}.safetensors"));
        }
        let outside = home.data.with_file_name("outside.json");
        fs::write(&outside, "{}").unwrap();
        symlink(&outside, home.models.join("loras/linked.json")).unwrap();
        home.write_model("loras/broken.json", "not json");
        write_json(&home, "loras/other.json", &json!({"modelVersions": [], "name": "SD.Next's"}));
        let before = snapshot_of(&home.models);
        let registry = home.open().await;
        let entry = |name: &str| json!({"file": format!("{name}.safetensors"), "dest": "loras", "notes": "mine"});
        let own = json!([entry("linked"), entry("broken"), entry("other")]);
        registry.import(CatalogName::Loras, own.to_string().as_bytes()).await.unwrap();
        let report = adopt(&registry, &home, true, &[SidecarFlavour::A1111]).await;
        assert_eq!((report.sidecars.written, report.sidecars.not_written), (0, 3), "{:?}", report.warnings);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "{}");
        assert_eq!(snapshot_of(&home.models), before);
        registry.close().await;
    }

    async fn words_of_another_program_stay_a_users_after_a_restart(home: Home) {
        write_lora(&home, "loras/ink.safetensors");
        write_json(&home, "loras/ink.metadata.json", &json!({"notes": "theirs", "model_name": "My Ink", "civitai": {}}));
        let registry = home.open().await;
        adopt(&registry, &home, true, &[]).await;
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        let id = registry.find_entry("ink.safetensors", None).unwrap().entry.id;
        let origins = registry.entry_detail(id).await.unwrap().origins;
        assert_eq!((origins["notes"], origins["name"]), (FactOrigin::User, FactOrigin::User), "{origins:?}");
        registry.close().await;
    }

    async fn sidecars_follow_edits_and_arriving_files_where_that_is_configured(home: Home) {
        let config = home.config_with(&[("LORAKEEP_KEEP_SIDECARS", "true"), ("LORAKEEP_SIDECARS", "a1111")]);
        let registry = Registry::open(config, Arc::new(home.clock.clone())).await.unwrap();
        registry.start();
        let own = json!([{"file": "ink.safetensors", "dest": "loras", "notes": "first"}]);
        registry.import(CatalogName::Loras, own.to_string().as_bytes()).await.unwrap();
        let path = home.models.join("loras/ink.json");
        let notes = || fs::read(&path).ok().map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap()["notes"].clone());
        write_lora(&home, "loras/ink.safetensors");
        registry.rescan().await.unwrap();
        eventually("the sidecar of a file that came", || notes() == Some("first".into())).await;
        let id = registry.find_entry("ink.safetensors", None).unwrap().entry.id;
        let Value::Object(edit) = json!({"notes": "second"}) else { unreachable!() };
        registry.edit_entry(id, &EntryEdit::parse(edit).unwrap()).await.unwrap();
        eventually("the sidecar follows an edit", || notes() == Some("second".into())).await;
        registry.close().await;
    }

    async fn sidecars_of_all_or_of_some_are_written_when_asked_for(home: Home) {
        for name in ["a", "b"] {
            write_lora(&home, &format!("loras/{name}.safetensors"));
        }
        let registry = home.open().await;
        assert_eq!(registry.sidecar_report().unwrap_err().code(), "not_found");
        let entry = |name: &str| json!({"file": format!("{name}.safetensors"), "dest": "loras", "notes": name});
        let own = json!([entry("a"), entry("b"), entry("absent")]);
        registry.import(CatalogName::Loras, own.to_string().as_bytes()).await.unwrap();
        let run = async |files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            registry.start_sidecars(&files, vec![SidecarFlavour::A1111]).await.unwrap();
            eventually("the run ends", || !registry.sidecar_report().unwrap().is_running).await;
            let report = registry.sidecar_report().unwrap();
            (report.total_files, report.done_files, report.written)
        };
        assert_eq!(run(&["loras/b.safetensors"]).await, (1, 1, 1));
        assert!(!home.models.join("loras/a.json").exists());
        assert_eq!(run(&[]).await, (2, 2, 1), "what is right is left alone");
        assert_eq!(json_at(&home.models.join("loras/a.json"))["notes"], "a");
        let refused = registry.start_sidecars(&["nobody.pt".to_owned()], Vec::new()).await;
        assert_eq!(refused.unwrap_err().code(), "not_found");
        registry.close().await;
    }
}
