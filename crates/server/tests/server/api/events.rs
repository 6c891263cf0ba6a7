//! The event stream of downloads, byte for byte.

use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{masked, read_until};
use crate::harness::{KEY, TestServer};

async fn watch(server: &TestServer) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = format!("GET /api/admin/models/status HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// The payloads of a chunked answer.
fn frames(text: &str) -> Vec<&str> {
    let body = text.split_once("\r\n\r\n").expect("a head").1;
    body.split("\r\n").skip(1).step_by(2).filter(|chunk| !chunk.is_empty()).collect()
}

#[tokio::test]
async fn frames_come_at_once_and_then_each_second() {
    let server = TestServer::start().await;
    server
        .import(
            &json!([{"file": "a.safetensors", "dest": "loras", "url": "https://a.example/a", "size_gb": 1}]),
        )
        .await;
    server.post("/api/admin/models/download/a.safetensors").await;
    let mut stream = watch(&server).await;
    let mut text = read_until(&mut stream, "\n\n\r\n").await;
    for header in ["content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"] {
        assert!(text.contains(header), "{header} in {text}");
    }
    text.push_str(&read_until(&mut stream, "\n\n\r\n").await);
    let frames = frames(&text);
    assert!(frames.len() >= 2, "{text}");
    for frame in &frames {
        let payload =
            frame.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("exact framing");
        assert!(!payload.contains('\n'), "{payload}");
        let value: Value = serde_json::from_str(payload).expect("JSON");
        insta::assert_json_snapshot!("a_frame", masked(value));
    }
}

#[tokio::test]
async fn an_idle_stream_keeps_telling_that_there_is_nothing() {
    let server = TestServer::start().await;
    let mut stream = watch(&server).await;
    let text = read_until(&mut stream, "\n\n\r\n").await;
    assert_eq!(frames(&text), ["data: {\"downloads\":{},\"timestamp\":1774267200.0}\n\n"]);
}

#[tokio::test]
async fn there_is_an_end_to_how_many_may_watch() {
    let server = TestServer::start().await;
    let mut watchers = Vec::new();
    for _ in 0..512 {
        let mut stream = watch(&server).await;
        read_until(&mut stream, "data: ").await;
        watchers.push(stream);
    }
    let refused = server.admin(Method::GET, "/api/admin/models/status").send().await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(server.get("/api/admin/settings").await.status, 200, "others are served as ever");
    drop(watchers);
    let mut again = None;
    for _ in 0..200 {
        let mut stream = watch(&server).await;
        if read_until(&mut stream, "\r\n").await.starts_with("HTTP/1.1 200") {
            again = Some(stream);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(again.is_some(), "their places are free again");
}
