//! Clients that send or read too slowly are dropped, each by its own time-out.

use std::time::Duration;

use lorakeep_server::wire::Limits;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{PATIENCE, read_to_end};
use crate::harness::{KEY, Setup, TestServer};

/// Short enough for a test, long enough that an honest client on a busy machine is not dropped.
const SHORT: Duration = Duration::from_millis(300);

async fn server(limits: Limits) -> TestServer {
    TestServer::start_with(Setup { limits, ..Setup::default() }).await
}

/// Sends `drop` again and again until the server closes.
async fn drip(stream: &mut TcpStream, drop: &[u8]) {
    let dripping = async {
        while stream.write_all(drop).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("the server gives up in time");
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = server(Limits { header_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_drips_in_is_cut_off() {
    let server = server(Limits { header_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(b"GET /login HTTP/1.1\r\nHost: a\r\n").await.expect("sent");
    drip(&mut stream, b"X: y\r\n").await;
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed() {
    let server = server(Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert!(read_to_end(&mut stream).await.trim_end().ends_with("</html>"));
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_with_408() {
    let server = server(Limits { body_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let head = format!(
        "PUT /api/admin/settings HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout"), "{answer}");
    assert!(answer.ends_with(r#"{"detail":"the request body came in too slowly"}"#), "{answer}");
}

#[tokio::test]
async fn a_body_that_drips_in_is_answered_with_408() {
    let server = server(Limits { body_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let head = format!(
        "POST /api/admin/models/import HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\
         Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000000\r\n\r\n--B\r\n\
         Content-Disposition: form-data; name=\"file\"\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    drip(&mut stream, b"x").await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped() {
    let server = server(Limits { write_timeout: SHORT, ..Limits::default() }).await;
    let entry = |number: usize| json!({"file": format!("{number}.pt"), "dest": "loras", "description": "x".repeat(1_000)});
    server.import(&(0..300).map(entry).collect()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    // More answers than any socket buffer holds.
    let request = format!("GET /api/admin/models HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n");
    stream.write_all(request.repeat(100).as_bytes()).await.expect("sent");
    drip(&mut stream, b"\r\n").await;
}
