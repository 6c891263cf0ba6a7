//! Re-hashing files.

use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::TestServer;

const FILE: &str = "style.safetensors";

/// A server with one entry whose file is there.
async fn with_file() -> TestServer {
    let server = TestServer::start().await;
    server.import(&json!([{"file": FILE, "dest": "loras"}])).await;
    server.put_file(&format!("loras/{FILE}"), b"twelve bytes").await;
    server
}

#[tokio::test]
async fn files_are_hashed_again_in_the_background() {
    let server = with_file().await;
    let before = server.get("/api/admin/verify").await;
    assert_eq!(before.status, StatusCode::NOT_FOUND);
    let started = server.post("/api/admin/verify").await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let report = server.wait_for("/api/admin/verify", |report| report["is_running"] == false).await;
    insta::assert_json_snapshot!(report);
    let unknown =
        server.admin(Method::POST, "/api/admin/verify").json(&json!({"filenames": ["none.pt"]})).send().await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
