//! Deleting, and the bin that gives back or frees.

use serde_json::json;

use super::one_file::{FILE, status, with_file};
use crate::harness::TestServer;

#[tokio::test]
async fn a_deleted_file_lies_in_the_bin_and_comes_back() {
    let server = with_file().await;
    let deleted = server.delete(&format!("/api/admin/models/{FILE}")).await;
    insta::assert_json_snapshot!("deleted", deleted.shown());
    assert!(std::path::Path::new(deleted.json()["bin_path"].as_str().expect("a path")).exists());
    assert_eq!(status(&server).await, "not_downloaded");
    insta::assert_json_snapshot!("bin", server.get("/api/admin/bin").await.shown());
    assert_eq!(server.get("/api/admin/models").await.json()["stats"]["bin_bytes"], 12);
    let id = deleted.json()["bin_id"].as_str().expect("an id").to_owned();
    let restore = format!("/api/admin/bin/{id}/restore");
    insta::assert_json_snapshot!("restored", server.post(&restore).await.shown());
    assert_eq!(status(&server).await, "present");
    insta::assert_json_snapshot!("restored_twice", server.post(&restore).await.shown());
}

#[tokio::test]
async fn nothing_is_restored_over_another_file() {
    let server = with_file().await;
    let deleted = server.delete(&format!("/api/admin/models/{FILE}")).await.json();
    server.put_file(&format!("loras/{FILE}"), b"another").await;
    let id = deleted["bin_id"].as_str().expect("an id");
    insta::assert_json_snapshot!(server.post(&format!("/api/admin/bin/{id}/restore")).await.shown());
    assert_eq!(std::fs::read(server.models_dir().join("loras").join(FILE)).expect("there"), b"another");
}

#[tokio::test]
async fn a_delete_can_free_at_once() {
    let server = with_file().await;
    insta::assert_json_snapshot!(
        server.delete(&format!("/api/admin/models/{FILE}?purge=true")).await.shown()
    );
    assert_eq!(server.get("/api/admin/bin").await.json()["total"], 0);
}

#[tokio::test]
async fn deleting_a_file_that_is_not_there_is_no_error_and_an_unknown_one_is() {
    let server = TestServer::start().await;
    server.import(&json!([{"file": FILE, "dest": "loras"}])).await;
    let answer = server.delete(&format!("/api/admin/models/{FILE}")).await;
    assert_eq!(answer.json(), json!({"status": "deleted", "file": FILE}));
    insta::assert_json_snapshot!(server.delete("/api/admin/models/none.pt").await.shown());
}

#[tokio::test]
async fn the_bin_is_freed_by_item_and_as_a_whole() {
    let server = with_file().await;
    let deleted = server.delete(&format!("/api/admin/models/{FILE}")).await.json();
    let item = format!("/api/admin/bin/{}", deleted["bin_id"].as_str().expect("an id"));
    insta::assert_json_snapshot!("purged_item", server.delete(&item).await.shown());
    insta::assert_json_snapshot!("purged_item_again", server.delete(&item).await.shown());
    server.put_file(&format!("loras/{FILE}"), b"once more").await;
    server.delete(&format!("/api/admin/models/{FILE}")).await;
    let young = server.delete("/api/admin/bin?min_age_days=1").await.json();
    assert_eq!(young["items"], 0);
    insta::assert_json_snapshot!("purged_all", server.delete("/api/admin/bin?min_age_days=0").await.shown());
    insta::assert_json_snapshot!("purge_without_an_age", server.delete("/api/admin/bin").await.shown());
}
