//! Framing, connections and shutdown: what happens before and around every handler.

use std::time::Duration;

use http::Method;
use lorakeep_server::wire::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{raw, read_to_end, read_until};
use crate::harness::{KEY, Setup, TestServer};

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

#[tokio::test]
async fn requests_that_two_programs_could_read_differently_are_refused() {
    let server = TestServer::start().await;
    let post = "POST /api/admin/scan HTTP/1.1\r\nHost: a\r\n";
    let hostile = [
        "GET /login HTTP/1.1\nHost: a\n\n".to_owned(),
        "GET /login HTTP/1.1\r\nHost: a\n\r\n".to_owned(),
        "GET /login HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n".to_owned(),
        "GET /login HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n".to_owned(),
        "GET /login HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".to_owned(),
        format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
        format!("{post}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!("{post}Content-Length: +2\r\n\r\n{{}}"),
        format!("{post}Content-Length: 0x2\r\n\r\n{{}}"),
        format!("{post}Transfer-Encoding: gzip, identity\r\n\r\n"),
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ];
    for request in hostile {
        let answer = raw(server.address, request.as_bytes()).await;
        assert_eq!(status_line(&answer), "HTTP/1.1 400 Bad Request", "{request:?}");
    }
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let server = TestServer::start().await;
    for headers in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n"] {
        let answer = raw(server.address, format!("GET /login HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
        assert_eq!(status_line(&answer), "HTTP/1.1 400 Bad Request", "{headers:?}");
        assert!(answer.contains("{\"detail\":\"the request has "), "{answer}");
    }
    let tunnel = raw(server.address, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").await;
    assert_eq!(status_line(&tunnel), "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn a_hostile_request_behind_a_good_one_is_refused_as_well() {
    let server = TestServer::start().await;
    let requests = b"GET /login HTTP/1.1\r\nHost: a\r\n\r\nGET /login HTTP/1.1\nHost: a\n\n";
    let answer = raw(server.address, requests).await;
    assert_eq!(status_line(&answer), "HTTP/1.1 200 OK");
    assert_eq!(answer.matches("HTTP/1.1 400 Bad Request").count(), 1, "{answer}");
}

#[tokio::test]
async fn heads_have_a_size_and_a_number_of_lines() {
    let server = TestServer::start().await;
    let long = format!("GET /login HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(2 << 20));
    assert!(raw(server.address, long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET /login HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert!(raw(server.address, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let deep = format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a/".repeat(10_000));
    assert!(raw(server.address, deep.as_bytes()).await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    for _ in 0..3 {
        stream.write_all(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        assert!(read_until(&mut stream, "</html>").await.starts_with("HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn a_crowd_of_waiting_connections_keeps_nobody_out() {
    let limits = Limits { max_connections: 50, ..Limits::default() };
    let server = TestServer::start_with(Setup { limits, ..Setup::default() }).await;
    let mut crowd = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        if number % 2 == 0 {
            // Some of them are cut already, which is the point.
            let _ = stream.write_all(b"GET /login HTTP/1.1\r\nHo").await;
        }
        crowd.push(stream);
    }
    assert_eq!(server.anonymous(Method::GET, "/login").send().await.status, 200);
    assert_eq!(crowd.len(), 200);
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_slow_a_new_one() {
    let server = TestServer::start().await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(server.address).await.expect("connected"));
    }
    assert_eq!(server.anonymous(Method::GET, "/login").send().await.status, 200);
    assert_eq!(idle.len(), 1_000);
}

#[tokio::test]
async fn when_every_connection_is_in_use_a_newcomer_is_told_so() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let server = TestServer::start_with(Setup { limits, ..Setup::default() }).await;
    let mut busy = TcpStream::connect(server.address).await.expect("connected");
    let request = format!(
        "PUT /api/admin/settings HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    );
    busy.write_all(request.as_bytes()).await.expect("sent");
    read_until(&mut busy, "100 Continue").await;
    let answer = raw(server.address, b"").await;
    assert_eq!(status_line(&answer), "HTTP/1.1 503 Service Unavailable");
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    assert!(answer.contains(&format!("content-length: {}", body.len())), "{answer}");
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_streams_at_once() {
    let mut server = TestServer::start().await;
    let mut idle = TcpStream::connect(server.address).await.expect("connected");
    idle.write_all(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    read_until(&mut idle, "</html>").await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = format!("GET /api/admin/models/status HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    read_until(&mut stream, "data: ").await;
    assert!(server.stop().await < Duration::from_secs(8), "the grace of running requests was not needed");
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(read_to_end(&mut stream).await.ends_with("0\r\n\r\n"), "the stream ends as a whole answer");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_body_that_no_handler_reads_does_not_cost_the_connection() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = format!(
        "POST /api/admin/scan HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    );
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert!(read_until(&mut stream, "elapsed_ms").await.starts_with("HTTP/1.1 200 OK"));
    }
}
