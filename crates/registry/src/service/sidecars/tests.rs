//! What sidecars say, in the shapes that their programs write.

use serde_json::{Map, Value, json};

use super::*;
use crate::domain::{
    CatalogName, Entry, EntryDocument, EntryId, Facts, ModelPath, Sayings, SidecarFlavour, take_over,
};

const SIZE: u64 = 1_048_576;
const SHA256: &str = "a599c42a9f4f7494c7f410dbc0fd432cf0242720509e9d52fa41aac7a88d1b69";

fn entry(document: Value) -> Entry {
    let Value::Object(mut fields) = document else { panic!("an entry is an object") };
    fields.entry("file").or_insert_with(|| "style.safetensors".into());
    fields.entry("dest").or_insert_with(|| "loras".into());
    let id = EntryId(uuid::Uuid::nil());
    Entry::from_document(id, CatalogName::Loras, "l", EntryDocument::from(fields)).unwrap()
}

/// What an entry has after reading these, written beside it.
fn learned(own: Value, sidecars: &[(SidecarFlavour, Value)]) -> (Value, Sayings) {
    let texts: Vec<_> = sidecars.iter().map(|(flavour, value)| (*flavour, value.to_string())).collect();
    let mut entry = entry(own);
    let reading = reading(&entry, &texts);
    assert_eq!(reading.faults, [] as [String; 0]);
    let said = apply(&mut entry.document, &reading.said, &Sayings::default());
    (Value::Object(entry.document.to_fields()), said)
}

fn reading(entry: &Entry, texts: &[(SidecarFlavour, String)]) -> SidecarReading {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("loras")).unwrap();
    for (flavour, text) in texts {
        std::fs::write(flavour.beside(&entry.path).unwrap().below(root.path()), text).unwrap();
    }
    let beside = Beside::of(&entry.path, &std::collections::HashMap::new(), |path: &ModelPath| {
        path.below(root.path()).exists()
    });
    read_beside(root.path(), &beside, entry, SIZE)
}

fn civitai_version() -> Value {
    json!({
        "id": 70, "modelId": 7, "name": "v1", "baseModel": "SDXL 1.0", "trainedWords": ["soft ink"],
        "description": "<p>Soft</p>", "model": {"name": "Soft Ink", "type": "LORA", "nsfw": true, "tags": ["ink"]},
        "creator": {"username": "someone"},
        "files": [{"id": 700, "name": "style.safetensors", "type": "Model", "sizeKB": 1024.0, "primary": true,
            "metadata": {"fp": "fp16"}, "hashes": {"SHA256": SHA256.to_uppercase()}}],
        "extensions": {"sd_civitai_helper": {"version": "1.8"}},
    })
}

#[test]
fn a_civitai_info_tells_what_civitai_knows() {
    let (entry, said) =
        learned(json!({"name": "style", "tags": []}), &[(SidecarFlavour::CivitaiInfo, civitai_version())]);
    insta::assert_json_snapshot!("civitai_info", entry);
    assert_eq!(said.said["civitai_version_id"], 70, "a later fetch knows it for CivitAI's word");
}

#[test]
fn the_hash_of_another_file_of_the_version_is_not_taken() {
    let mut version = civitai_version();
    version["files"][0]["sizeKB"] = json!(2048.0);
    let (entry, _) = learned(json!({}), &[(SidecarFlavour::CivitaiInfo, version)]);
    assert_eq!(
        (entry.get("hash"), entry.get("civitai_file_id"), &entry["civitai_version_id"]),
        (None, None, &json!(70))
    );
}

#[test]
fn a_skeleton_of_a_model_that_civitai_does_not_know_says_nothing() {
    let skeleton = json!({"id": "", "modelId": "", "name": "", "trainedWords": [], "skeleton_file": true});
    assert_eq!(learned(json!({}), &[(SidecarFlavour::CivitaiInfo, skeleton)]).0, learned(json!({}), &[]).0);
}

#[test]
fn a_lora_manager_file_keeps_what_its_user_wrote() {
    let metadata = json!({
        "file_name": "style", "model_name": "My Ink", "file_path": "/m/loras/style.safetensors", "size": 1, "sha256": "00",
        "base_model": "SDXL 1.0", "notes": "for lakes", "from_civitai": true, "civitai": civitai_version(),
        "tags": ["ink", "mine"], "modelDescription": "", "favorite": true, "preview_nsfw_level": 1,
        "usage_tips": "{\"strength_min\": 0.6, \"strength_max\": 0.9, \"strength\": 0.8, \"clip_skip\": 2}",
    });
    insta::assert_json_snapshot!(
        "lora_manager",
        learned(json!({"name": "style"}), &[(SidecarFlavour::LoraManager, metadata)]).0
    );
}

#[test]
fn what_a_user_wrote_elsewhere_is_a_users_word_and_no_fetch_changes_it() {
    let metadata = json!({
        "model_name": "My Ink", "base_model": "SDXL 1.0", "notes": "for lakes", "from_civitai": true,
        "civitai": civitai_version(),
    });
    let (document, mut sayings) =
        learned(json!({"name": "style"}), &[(SidecarFlavour::LoraManager, metadata)]);
    let Value::Object(fields) = document else { panic!("an object") };
    let mut document = EntryDocument::from(fields);
    let fetched = |name: &str| Facts {
        name: Some(name.to_owned()),
        version: Some("v2".to_owned()),
        ..Facts::default()
    };
    // Also when the site says the same for a while.
    for name in ["My Ink", "Upstream's"] {
        let taken = take_over(&mut document, &fetched(name), &sayings);
        sayings.extend(taken);
    }
    assert_eq!((document.name(), document.text("civitai_version")), ("My Ink", "v2"));
    let origin = |field: &str| sayings.origin_of(&document, field).as_str();
    let origins = ["name", "notes", "civitai_version", "author", "trainedWords"].map(origin);
    assert_eq!(origins, ["user", "user", "civitai", "sidecar", "sidecar"]);
}

#[test]
fn an_a1111_file_gives_words_strength_and_notes() {
    let metadata = json!({
        "description": "Ink", "sd version": "SD1", "activation text": "soft ink, wash,", "preferred weight": "0.7",
        "negative text": "photo", "notes": "try it",
    });
    insta::assert_json_snapshot!("a1111", learned(json!({}), &[(SidecarFlavour::A1111, metadata)]).0);
}

#[test]
fn an_sdnext_file_is_a_whole_model_with_the_version_of_this_file() {
    let mut other = civitai_version();
    other["id"] = json!(69);
    other["files"][0]["name"] = json!("other.safetensors");
    let model =
        json!({"id": 7, "name": "Soft Ink", "type": "LORA", "modelVersions": [other, civitai_version()]});
    let (entry, _) = learned(json!({}), &[(SidecarFlavour::A1111, model)]);
    assert_eq!((&entry["civitai_version_id"], &entry["civitai_model_id"]), (&json!(70), &json!(7)));
}

#[test]
fn a_json_file_of_another_kind_is_left_alone() {
    for other in [
        json!({"modelspec.title": "x", "notes": "y"}),
        json!({"ss_network_dim": "4", "notes": ""}),
        json!({"x": 1}),
    ] {
        let text = [(SidecarFlavour::A1111, other.to_string())];
        let reading = reading(&entry(json!({})), &text);
        assert_eq!((reading.counts, reading.said), ([0; 4], Said::default()), "{other}");
    }
}

#[test]
fn a_stability_matrix_file_tells_civitais_word_only_when_it_is_of_there() {
    let metadata = json!({
        "ModelId": 7, "ModelName": "Soft Ink", "ModelDescription": "<p>x</p>", "Nsfw": false, "Tags": ["ink"],
        "ModelType": "LORA", "VersionId": 70, "VersionName": "v1", "BaseModel": "SDXL 1.0", "TrainedWords": ["soft ink"],
        "Hashes": {"SHA256": "00"}, "UserTitle": "Mine", "Source": "Civitai", "Stats": {"downloadCount": 1},
    });
    insta::assert_json_snapshot!(
        "stability_matrix",
        learned(json!({}), &[(SidecarFlavour::StabilityMatrix, metadata.clone())]).0
    );
    let mut elsewhere = metadata;
    elsewhere["Source"] = json!("OpenModelDb");
    let (entry, _) = learned(json!({}), &[(SidecarFlavour::StabilityMatrix, elsewhere)]);
    assert_eq!((entry.get("civitai_version_id"), &entry["civitai_model_name"]), (None, &json!("Soft Ink")));
}

#[test]
fn of_several_sidecars_civitais_own_words_and_the_last_users_words_count() {
    let a1111 =
        json!({"notes": "from a1111", "activation text": "ink", "sd version": "SD1", "modelVersionId": 70});
    let manager = json!({"notes": "from the manager", "civitai": {}, "base_model": "Pony", "tags": ["mine"]});
    let matrix = json!({"VersionId": 99, "ModelId": 9, "BaseModel": "Other", "AuthorUsername": "nobody", "UserTitle": "Mine"});
    let (entry, _) = learned(
        json!({}),
        &[
            (SidecarFlavour::A1111, a1111),
            (SidecarFlavour::LoraManager, manager),
            (SidecarFlavour::StabilityMatrix, matrix),
            (SidecarFlavour::CivitaiInfo, civitai_version()),
        ],
    );
    assert_eq!(
        (&entry["notes"], &entry["trigger_words"], &entry["name"]),
        (&json!("from the manager"), &json!(["ink"]), &json!("Mine"))
    );
    assert_eq!(
        (&entry["civitai_version_id"], &entry["civitai_base_model"], &entry["author"]),
        (&json!(70), &json!("SDXL 1.0"), &json!("someone"))
    );
}

#[test]
fn an_entry_keeps_every_word_that_it_has() {
    let own = json!({
        "name": "Mine", "tags": ["own"], "base_model": "Pony", "trigger_words": ["mine"], "notes": "kept", "civitai_version_id": "70",
        "description": "kept", "author": "me", "civitai_tags": ["kept"], "trainedWords": ["kept"], "civitai_type": "LoCon",
        "civitai_base_model": "Pony", "civitai_version": "kept", "civitai_model_name": "kept", "civitai_model_id": 1,
    });
    let a1111 = json!({"notes": "other", "activation text": "other", "description": "other"});
    let (entry, _) = learned(
        own.clone(),
        &[(SidecarFlavour::CivitaiInfo, civitai_version()), (SidecarFlavour::A1111, a1111)],
    );
    for (field, value) in own.as_object().unwrap().iter().filter(|(field, _)| *field != "tags") {
        assert_eq!(&entry[field], value, "{field}");
    }
    assert_eq!(entry["tags"], json!(["own", "nsfw"]), "a tag is added, none is taken away");
    let other =
        learned(json!({"civitai_version_id": 1}), &[(SidecarFlavour::CivitaiInfo, civitai_version())]).0;
    assert_eq!(
        other.get("civitai_model_id"),
        None,
        "a sidecar about another version is not about this entry"
    );
}

#[test]
fn what_a_user_took_out_again_does_not_come_back() {
    let mut entry = entry(json!({"name": "style"}));
    let text = [(SidecarFlavour::A1111, json!({"notes": "other", "activation text": "ink"}).to_string())];
    let reading = reading(&entry, &text);
    let said = apply(&mut entry.document, &reading.said, &Sayings::default());
    entry.document.set("notes", "");
    let before = entry.document.clone();
    assert_eq!(apply(&mut entry.document, &reading.said, &said), said);
    assert_eq!(entry.document, before);
}

#[test]
fn hostile_sidecars_cost_a_warning_each_and_nothing_else() {
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let huge = format!("{{\"notes\": \"{}\"}}", "x".repeat(9 << 20));
    for text in ["", "{", "[1]", "7", "null", "NaN", "\u{0}", deep.as_str(), huge.as_str(), "{\"id\": 1"] {
        for flavour in SidecarFlavour::ALL {
            let reading = reading(&entry(json!({})), &[(flavour, text.to_owned())]);
            assert_eq!(
                (reading.faults.len(), &reading.said),
                (1, &Said::default()),
                "{flavour:?} {text:.20}"
            );
            assert!(reading.faults[0].starts_with("`loras/style."), "{:?}", reading.faults);
        }
    }
}

#[test]
fn wrong_types_count_as_absent() {
    let odd =
        [json!(null), json!(7), json!(-1.5), json!(true), json!("x"), json!([{}, 7, "w"]), json!({"a": [1]})];
    let fields = [
        "id",
        "modelId",
        "name",
        "trainedWords",
        "baseModel",
        "files",
        "model",
        "creator",
        "civitai",
        "tags",
        "notes",
        "favorite",
        "usage_tips",
        "model_name",
        "base_model",
        "ModelId",
        "VersionId",
        "Tags",
        "UserTitle",
        "Source",
        "FileMetadata",
        "activation text",
        "preferred weight",
        "sd version",
        "description",
        "modelVersions",
        "modelDescription",
    ];
    for value in odd {
        let object: Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), value.clone())).collect();
        for flavour in SidecarFlavour::ALL {
            let mut entry = entry(json!({}));
            let text = [(flavour, Value::Object(object.clone()).to_string())];
            let said = reading(&entry, &text).said;
            apply(&mut entry.document, &said, &Sayings::default());
            // What an entry may hold is judged where catalogs are read.
            let raw = crate::domain::catalog_file::RawEntry::Document(entry.document.clone());
            assert!(
                crate::domain::catalog_file::judged(raw).is_ok(),
                "{flavour:?} {value}: {:?}",
                entry.document
            );
        }
    }
}

#[test]
fn texts_of_strangers_are_cut_to_what_an_entry_may_hold() {
    let words: Vec<String> = (0..2000).map(|at| format!("{at}{}", "ä".repeat(500))).collect();
    let long = json!({"id": 1, "name": "x".repeat(1 << 20), "trainedWords": words, "description": "é".repeat(1 << 20)});
    let (entry, _) = learned(json!({}), &[(SidecarFlavour::CivitaiInfo, long)]);
    assert_eq!(entry["trainedWords"].as_array().unwrap().len(), 50);
    assert!(entry.to_string().len() < 128 << 10, "{}", entry.to_string().len());
}
