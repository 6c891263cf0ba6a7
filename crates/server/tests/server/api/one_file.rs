//! What several tests begin with: a server with one entry whose file is on disk.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// Its name.
pub(crate) const FILE: &str = "style.safetensors";

/// A server with one entry whose file is there.
pub(crate) async fn with_file() -> TestServer {
    let server = TestServer::start().await;
    server.import(&json!([{"file": FILE, "dest": "loras"}])).await;
    server.put_file(&format!("loras/{FILE}"), b"twelve bytes").await;
    server
}

/// The entry's status in the contract's words.
pub(crate) async fn status(server: &TestServer) -> Value {
    server.get(&format!("/api/admin/entries/by-file/{FILE}")).await.json()["status"].clone()
}
