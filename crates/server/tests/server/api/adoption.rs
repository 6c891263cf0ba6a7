//! Taking over the folder of another program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use http::Method;
use serde_json::{Value, json};

use crate::client::PATIENCE;
use crate::harness::TestServer;

const PATH: &str = "/api/admin/adopt";

/// A studio with one catalog, one picture, and a model with a sidecar in the models folder.
async fn with_studio() -> (TestServer, PathBuf) {
    let server = TestServer::start().await;
    let studio = server.data_dir().with_file_name("studio");
    let catalog = json!({
        "version": 3, "date": "2026-03-01 10:00", "categories": [
            {"id": "vae", "name": "VAE", "models": [{"file": "a.pt", "dest": "vae"}, {"file": "../b.pt", "dest": "vae"}]},
        ],
    });
    write(&studio.join("catalogs/models.json"), catalog.to_string().as_bytes());
    write(&studio.join("assets/images/media/123/456/12345678.jpeg"), b"GIF89a\x01\x00\x01\x00\x00\x00\x00;");
    server.put_file("vae/a.pt", b"bytes").await;
    server.put_file("loras/own.pt", b"own").await;
    server.put_file("loras/own.json", br#"{"activation text": "ink", "notes": "n"}"#).await;
    (server, studio)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("below a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

async fn adopt(server: &TestServer, body: &Value) -> Value {
    let started = server.admin(Method::POST, PATH).json(body).send().await;
    assert_eq!(started.status, 202, "{}", started.text());
    ended(server).await
}

async fn ended(server: &TestServer) -> Value {
    let began = Instant::now();
    loop {
        let status = server.get(PATH).await.json();
        if status["state"] != "running" {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The answer without what differs from run to run: folders, and how far the hashing is.
fn shown(server: &TestServer, mut status: Value) -> Value {
    status["hashing"] = json!("…");
    let root = server.data_dir().parent().expect("below a folder").display().to_string();
    serde_json::from_str(&status.to_string().replace(&root, "")).expect("JSON")
}

/// Real catalogs: 126 entries in 14 categories with nested folders and missing fields, and one of styles.
const MODELS: &str = include_str!("../../../../registry/tests/data/studio/models.json");
const LORAS: &str = include_str!("../../../../registry/tests/data/studio/loras.json");

/// A listed entry has every field of the catalog file as it stands there, but for the id that is text in lists.
fn assert_lists(listed: &Value, written: &Value) {
    for (field, value) in written.as_object().expect("an entry") {
        match field.as_str() {
            "civitai_version_id" => assert_eq!(listed[field], value.to_string(), "{listed}"),
            _ => assert_eq!(&listed[field], value, "`{field}` of {listed}"),
        }
    }
    assert_eq!((&listed["status"], &listed["on_disk_bytes"]), (&json!("not_downloaded"), &json!(0)));
    for (field, empty) in [("base_model", json!("")), ("tags", json!([])), ("civitai_model_id", Value::Null)]
    {
        if written.get(field).is_none() {
            assert_eq!(listed[field], empty, "`{field}` of {listed}");
        }
    }
}

#[tokio::test]
async fn a_real_catalog_is_adopted_listed_and_exported_byte_for_byte() {
    let server = TestServer::start().await;
    let studio = server.data_dir().with_file_name("studio");
    for (name, text) in [("models", MODELS), ("loras", LORAS)] {
        write(&studio.join(format!("catalogs/{name}.json")), text.as_bytes());
    }
    let status = adopt(&server, &json!({"path": studio})).await;
    assert_eq!((&status["state"], &status["report"]["warnings"]), (&json!("done"), &json!([])), "{status}");
    for (name, text, sizes) in [("models", MODELS, (14, 126)), ("loras", LORAS, (1, 1))] {
        let written: Value = serde_json::from_str(text).expect("JSON");
        let listed = server.get(&format!("/api/admin/{name}")).await.json();
        assert_eq!((&listed["version"], &listed["date"]), (&written["version"], &written["date"]));
        let categories = |catalog: &Value| catalog["categories"].as_array().expect("a list").clone();
        let (listed, written) = (categories(&listed), categories(&written));
        let mut entries = 0;
        for (listed, written) in listed.iter().zip(&written) {
            assert_eq!((&listed["id"], &listed["name"]), (&written["id"], &written["name"]));
            let models = |category: &Value| category["models"].as_array().expect("a list").clone();
            let (listed, written) = (models(listed), models(written));
            assert_eq!(listed.len(), written.len());
            listed.iter().zip(&written).for_each(|(listed, written)| assert_lists(listed, written));
            entries += listed.len();
        }
        assert_eq!((listed.len(), entries), sizes);
        assert_eq!(server.get(&format!("/api/admin/{name}/export")).await.text(), text);
    }
    let nested = server.get("/api/admin/entries?folder=diffusion_models/WanVideo").await.json();
    assert!(nested["total"].as_u64().is_some_and(|total| total > 0), "{nested}");
}

#[tokio::test]
async fn a_folder_is_adopted_with_everything_that_was_asked_for() {
    let (server, studio) = with_studio().await;
    assert_eq!(server.get(PATH).await.json()["state"], "idle");
    let body = json!({"path": studio, "unlisted": true, "sidecars": ["a1111"]});
    let status = adopt(&server, &body).await;
    insta::assert_json_snapshot!("adopted", shown(&server, status));
    let entry = server.get("/api/admin/entries/by-file/own.pt").await.json();
    assert_eq!((&entry["catalog"], &entry["trigger_words"]), (&json!("loras"), &json!(["ink"])));
    let metrics = server.get("/metrics").await;
    assert!(metrics.text().contains("lorakeep_adoption_running 0"), "{}", metrics.text());
    assert!(metrics.text().contains("lorakeep_hashing_left_files"), "{}", metrics.text());
}

#[tokio::test]
async fn a_dry_run_answers_the_report_and_takes_nothing() {
    let (server, studio) = with_studio().await;
    let status = adopt(&server, &json!({"path": studio, "dry_run": true, "unlisted": true})).await;
    assert_eq!((&status["dry_run"], &status["state"]), (&json!(true), &json!("done")));
    let report = &status["report"];
    assert_eq!(
        (&report["catalogs"][0]["added"], &report["files"]["adopted"]),
        (&json!(1), &json!(1)),
        "{report}"
    );
    assert_eq!(server.get("/api/admin/models").await.json()["stats"]["total_count"], 0);
}

#[tokio::test]
async fn what_cannot_be_adopted_is_refused_with_what_could_be() {
    let (server, studio) = with_studio().await;
    let refused = async |body: Value| {
        let answer = server.admin(Method::POST, PATH).json(&body).send().await;
        (answer.status.as_u16(), answer.header("x-error-code").to_owned())
    };
    let cases = [
        (json!({"path": "studio"}), 400, "not_absolute"),
        (json!({"path": "/nowhere/at/all"}), 400, "not_readable"),
        (json!({"path": studio.join("catalogs/models.json")}), 400, "not_a_folder"),
        (json!({"path": studio.join("assets/images/media")}), 400, "nothing_to_adopt"),
        (json!({"path": studio, "sidecars": ["kohya"]}), 400, "unknown_flavour"),
    ];
    for (body, status, code) in cases {
        assert_eq!(refused(body.clone()).await, (status, code.to_owned()), "{body}");
    }
    for body in [json!({}), json!({"path": studio, "sidecars": 7}), json!({"path": studio, "other": 1})] {
        assert_eq!(refused(body.clone()).await.0, 422, "{body}");
    }
    assert_eq!(server.get(PATH).await.json()["state"], "idle");
}

#[tokio::test]
async fn only_the_admin_adopts() {
    let (server, studio) = with_studio().await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = server.anonymous(method, PATH).json(&json!({"path": studio})).send().await;
        assert_eq!(answer.status, 401);
    }
}

#[tokio::test]
async fn an_adoption_can_be_cancelled() {
    let (server, studio) = with_studio().await;
    for id in 20_000_000..20_000_200 {
        let path = studio.join(format!("assets/images/media/{}/000/{id}.gif", &id.to_string()[..3]));
        write(&path, b"GIF89a\x01\x00\x01\x00\x00\x00\x00;");
    }
    let started = server.admin(Method::POST, PATH).json(&json!({"path": studio})).send().await;
    assert_eq!(started.json()["state"], "running");
    let second = server.admin(Method::POST, PATH).json(&json!({"path": studio})).send().await;
    assert_eq!((second.status.as_u16(), second.header("x-error-code")), (409, "adoption_running"));
    let cancelled = server.delete(PATH).await.json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    assert_eq!(adopt(&server, &json!({"path": studio})).await["state"], "done", "it goes on where it was");
}

#[tokio::test]
async fn sidecars_are_written_when_asked_for_and_the_run_is_told() {
    let (server, _) = with_studio().await;
    let path = "/api/admin/sidecars";
    assert_eq!(server.get(path).await.status, 404);
    server.post("/api/admin/unlisted/adopt").await;
    let post = |body: Value| server.admin(Method::POST, path).json(&body).send();
    let refused = post(json!({"flavours": ["exif"]})).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (400, "unknown_flavour"));
    let started = post(json!({"filenames": ["loras/own.pt"], "flavours": ["lora_manager"]})).await;
    assert_eq!(started.status, 202, "{}", started.text());
    let began = Instant::now();
    let mut report = started.json();
    while report["is_running"] == true {
        assert!(began.elapsed() < PATIENCE, "{report}");
        report = server.get(path).await.json();
    }
    for time in ["started_at", "finished_at"] {
        assert!(report[time].take().is_string(), "{time}");
    }
    let expected = json!({
        "is_running": false, "started_at": null, "finished_at": null, "flavours": ["lora_manager"], "total_files": 1,
        "done_files": 1, "written": 1, "not_written": 0, "refusals": [], "error": null,
    });
    assert_eq!(report, expected);
    assert!(server.models_dir().join("loras/own.metadata.json").is_file());
    assert_eq!(server.delete(path).await.json()["written"], 1, "an ended run is told again");
}
