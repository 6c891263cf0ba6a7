//! What is on disk: rescan, files that no catalog knows.

use http::Method;
use serde_json::json;

use super::one_file::{FILE, status, with_file};
use crate::harness::TestServer;

#[tokio::test]
async fn files_that_no_catalog_knows_are_listed_and_adopted() {
    let server = with_file().await;
    server.put_file("vae/mine.safetensors", b"mine").await;
    insta::assert_json_snapshot!("unlisted", server.get("/api/admin/unlisted").await.shown());
    assert_eq!(server.get("/api/admin/models").await.json()["stats"]["unlisted_count"], 1);
    let body = json!({"paths": ["vae/mine.safetensors", "vae/none.safetensors", "../etc/passwd"]});
    let adopted = server.admin(Method::POST, "/api/admin/unlisted/adopt").json(&body).send().await;
    insta::assert_json_snapshot!("adopted", adopted.shown());
    assert_eq!(server.get("/api/admin/unlisted").await.json()["total"], 0);
    let entry = server.get("/api/admin/entries/by-file/mine.safetensors").await.json();
    assert_eq!((&entry["status"], &entry["dest"]), (&json!("present"), &json!("vae")));
}

#[tokio::test]
async fn adopting_without_names_takes_all() {
    let server = TestServer::start().await;
    for path in ["vae/a.safetensors", "loras/b.safetensors"] {
        server.put_file(path, b"mine").await;
    }
    let answer = server.post("/api/admin/unlisted/adopt").await.json();
    assert_eq!(answer["adopted"].as_array().map(Vec::len), Some(2), "{answer}");
}

#[tokio::test]
async fn a_scan_says_what_changed_outside() {
    let server = with_file().await;
    std::fs::remove_file(server.models_dir().join("loras").join(FILE)).expect("removed");
    insta::assert_json_snapshot!(server.post("/api/admin/scan").await.shown());
    assert_eq!(status(&server).await, "not_downloaded");
}

#[tokio::test]
async fn a_file_called_like_a_route_can_be_deleted() {
    let server = TestServer::start().await;
    for name in ["status", "import"] {
        server.put_file(&format!("vae/{name}"), b"mine").await;
        server.import(&json!([{"file": name, "dest": "vae"}])).await;
        let path = format!("/api/admin/entries/by-file/{name}");
        let deleted = server.admin(Method::DELETE, &path).send().await;
        assert_eq!(deleted.status, 200, "{name}");
        assert!(!server.models_dir().join("vae").join(name).exists());
    }
}
