//! The two catalogs: lists and their validators, import, export, entries.

use http::{Method, StatusCode};
use lorakeep_registry::domain::CatalogName;
use serde_json::{Value, json};

use crate::client::masked;
use crate::harness::TestServer;

/// Two entries that have all that is special: ids as number and string, a pair, unknown fields, a file on another host.
fn studio_catalog() -> Value {
    json!({
        "version": 21,
        "date": "2026-03-23 15:00",
        "categories": [
            {"id": "sdxl-checkpoints", "name": "SDXL Checkpoints", "icon": "star", "models": [{
                "name": "Juggernaut XL v9 [SDXL FP16]", "file": "juggernautXL_v9.safetensors", "dest": "checkpoints",
                "size_gb": 6.5, "base_model": "SDXL 1.0", "tags": ["sdxl", "general"], "source": "civitai",
                "civitai_version_id": 123_456, "civitai_model_id": 789, "rating": 4.9, "description": "<b>bold</b>",
                "hash": "AA".repeat(32), "my_note": {"kept": true}
            }]},
            {"id": "loras", "name": "Loras", "models": [{
                "file": "Soft wash, v1.safetensors", "dest": "loras/WanVideo", "source": "huggingface",
                "hf_repo": "owner/repo", "hf_file": "sub dir/Soft wash, v1.safetensors", "pair_id": "svi-v2-pro",
                "pair_role": "high", "civitai_base_model": "Wan Video", "tags": null
            }]},
            {"id": "empty", "name": "Empty", "models": []}
        ]
    })
}

#[tokio::test]
async fn a_fresh_catalog_is_empty() {
    let server = TestServer::start().await;
    for path in ["/api/admin/models", "/api/admin/loras"] {
        let answer = server.get(path).await;
        assert_eq!(answer.json()["categories"], json!([]), "{path}");
    }
    insta::assert_json_snapshot!(server.get("/api/admin/models").await.shown());
}

#[tokio::test]
async fn a_list_has_every_field_of_its_entries_and_the_state_of_their_files() {
    let server = TestServer::start().await;
    let imported = server.import(&studio_catalog()).await;
    assert_eq!(imported.status, 200, "{}", imported.text());
    insta::assert_json_snapshot!("import_of_a_studio_catalog", imported.shown());
    insta::assert_json_snapshot!("list_of_models", server.get("/api/admin/models").await.shown());
}

#[tokio::test]
async fn a_present_file_shows_its_size() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    server.put_file("checkpoints/juggernautXL_v9.safetensors", b"twelve bytes").await;
    let list = server.get("/api/admin/models").await.json();
    let entry = &list["categories"][0]["models"][0];
    let shown =
        ["status", "state", "progress", "on_disk_bytes", "expected_bytes", "speed", "error", "verification"]
            .map(|field| (field, &entry[field]));
    insta::assert_json_snapshot!("a_present_file", std::collections::BTreeMap::from(shown));
    assert_eq!(list["stats"]["present_count"], 1);
    assert_eq!(list["stats"]["models_bytes"], 12);
}

#[tokio::test]
async fn an_unchanged_list_is_answered_with_304_and_a_changed_one_is_not() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    let first = server.get("/api/admin/models").await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "strong: {etag}");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert_eq!(first.header("content-type"), "application/json");
    let ask = || server.admin(Method::GET, "/api/admin/models").header("if-none-match", &etag).send();
    let again = ask().await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(again.header("etag"), etag);
    server.put_file("checkpoints/juggernautXL_v9.safetensors", b"now it is here").await;
    let changed = ask().await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), etag);
    assert_eq!(changed.json()["categories"][0]["models"][0]["status"], "present");
}

#[tokio::test]
async fn callers_that_come_at_once_get_the_same_bytes() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    let answers = futures_util::future::join_all((0..32).map(|_| server.get("/api/admin/models"))).await;
    for answer in &answers {
        assert_eq!((&answer.body, answer.header("etag")), (&answers[0].body, answers[0].header("etag")));
    }
}

#[tokio::test]
async fn a_bare_array_is_imported_by_the_first_part_of_its_dest() {
    let server = TestServer::start().await;
    let document = json!([{"file": "a.safetensors", "dest": "loras/x"}, {"file": "b.safetensors"}]);
    insta::assert_json_snapshot!(server.import(&document).await.shown());
    let list = server.get("/api/admin/models").await.json();
    let ids: Vec<_> =
        list["categories"].as_array().expect("a list").iter().map(|category| &category["id"]).collect();
    assert!(ids.contains(&&json!("loras")), "{ids:?}");
}

#[tokio::test]
async fn a_second_import_skips_what_is_there() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    insta::assert_json_snapshot!(server.import(&studio_catalog()).await.shown());
}

#[tokio::test]
async fn bad_entries_are_reported_and_good_ones_are_added() {
    let server = TestServer::start().await;
    let document = json!([
        {"file": "good.safetensors", "dest": "loras"},
        {"file": "../x.safetensors", "dest": "loras"},
        {"file": "x.safetensors", "dest": "../../etc"},
        {"file": "C:\\x.safetensors", "dest": "loras"},
        {"file": "nul.safetensors", "dest": "loras"},
        {"file": "a\u{0}b.safetensors", "dest": "loras"},
        {"file": 7, "dest": "loras"},
        {"dest": "loras"},
        "not an entry",
        {"file": "also good.safetensors", "dest": "checkpoints"}
    ]);
    insta::assert_json_snapshot!(server.import(&document).await.shown());
}

#[tokio::test]
async fn a_document_that_is_not_a_catalog_says_where() {
    let server = TestServer::start().await;
    let mut shown = Vec::new();
    for document in
        ["", "{", "{\"categories\": [\n  {\"id\": }]}", "{\"categories\": 7}", "7", "\u{feff}{}x", "[1,2"]
    {
        let call = server.admin(Method::POST, "/api/admin/models/import").form("file", document.as_bytes());
        shown.push(json!({"document": document, "answer": call.send().await.shown()}));
    }
    let binary =
        server.admin(Method::POST, "/api/admin/models/import").form("file", b"\xff\xfe{}").send().await;
    shown.push(json!({"document": "not UTF-8", "answer": binary.shown()}));
    insta::assert_json_snapshot!(shown);
    assert_eq!(server.get("/api/admin/models").await.json()["stats"]["total_count"], 0);
}

#[tokio::test]
async fn a_form_without_the_file_is_unreadable() {
    let server = TestServer::start().await;
    let answer = server.admin(Method::POST, "/api/admin/models/import").form("document", b"{}").send().await;
    insta::assert_json_snapshot!(answer.shown());
}

#[tokio::test]
async fn loras_have_a_catalog_of_their_own() {
    let server = TestServer::start().await;
    let document = json!([{"file": "style.safetensors", "dest": "loras", "base_model": "Wan Video"}]);
    let call =
        server.admin(Method::POST, "/api/admin/loras/import").form("file", document.to_string().as_bytes());
    assert_eq!(call.send().await.json()["total_added"], 1);
    assert_eq!(server.get("/api/admin/loras").await.json()["stats"]["total_count"], 1);
    assert_eq!(server.get("/api/admin/models").await.json()["stats"]["total_count"], 0);
}

#[tokio::test]
async fn an_export_is_the_catalog_file() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    for (path, catalog) in [("models", CatalogName::Models), ("loras", CatalogName::Loras)] {
        let answer = server.get(&format!("/api/admin/{path}/export")).await;
        assert_eq!(answer.text(), server.registry.export(catalog));
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{path}.json\""));
    }
}

#[tokio::test]
async fn an_entry_leaves_the_catalog_only_without_its_file() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    server.put_file("checkpoints/juggernautXL_v9.safetensors", b"here").await;
    let path = "/api/admin/models/juggernautXL_v9.safetensors/catalog";
    insta::assert_json_snapshot!("removing_while_the_file_is_there", server.delete(path).await.shown());
    std::fs::remove_file(server.models_dir().join("checkpoints/juggernautXL_v9.safetensors"))
        .expect("removed");
    server.post("/api/admin/scan").await;
    insta::assert_json_snapshot!("removing", server.delete(path).await.shown());
    insta::assert_json_snapshot!("removing_again", server.delete(path).await.shown());
}

#[tokio::test]
async fn one_entry_is_found_by_its_encoded_file_name() {
    let server = TestServer::start().await;
    server.import(&studio_catalog()).await;
    let answer = server.get("/api/admin/entries/by-file/Soft%20wash%2C%20v1.safetensors").await;
    insta::assert_json_snapshot!(answer.shown());
    let elsewhere = server.get("/api/admin/entries/by-file/Soft%20wash%2C%20v1.safetensors?dest=vae").await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn of_two_files_of_one_name_the_folder_chooses() {
    let server = TestServer::start().await;
    let twins =
        json!([{"file": "ae.safetensors", "dest": "vae/a"}, {"file": "ae.safetensors", "dest": "vae/b"}]);
    server.import(&twins).await;
    let list = masked(server.get("/api/admin/models").await.json());
    assert_eq!(list["stats"]["total_count"], 2, "{list}");
    for dest in ["vae/a", "vae/b"] {
        let entry =
            server.get(&format!("/api/admin/entries/by-file/ae.safetensors?dest={dest}")).await.json();
        assert_eq!(entry["dest"], dest);
    }
}

#[tokio::test]
async fn the_builtin_list_can_be_added() {
    let server = TestServer::start().await;
    let answer = server.post("/api/admin/models/import-builtin").await.json();
    let added = answer["added"].as_array().expect("a list").len();
    assert!(added > 10, "{answer}");
    assert_eq!(answer["total_added"], added);
    assert_eq!(server.get("/api/admin/models").await.json()["stats"]["total_count"], added);
}

#[tokio::test]
async fn sums_are_the_heads_of_both_lists() {
    let server = TestServer::start().await;
    server
        .import(&json!([{"file": "a.safetensors", "dest": "vae"}, {"file": "b.safetensors", "dest": "vae"}]))
        .await;
    server.put_file("vae/a.safetensors", b"bytes").await;
    let stats = server.get("/api/admin/stats").await.json();
    let heads = [("models", "/api/admin/models"), ("loras", "/api/admin/loras")];
    for (name, list) in heads {
        assert_eq!(stats[name], server.get(list).await.json()["stats"], "{name}");
    }
    assert_eq!((&stats["models"]["total_count"], &stats["models"]["present_count"]), (&json!(2), &json!(1)));
}
