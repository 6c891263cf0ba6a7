//! Request bodies that are too long, of the wrong kind or shape, or hostile.

use http::{Method, StatusCode};
use serde_json::json;

use crate::client::raw;
use crate::harness::{KEY, TestServer};

#[tokio::test]
async fn a_body_of_the_wrong_shape_says_where_and_what() {
    let server = TestServer::start().await;
    let mut shown = Vec::new();
    for body in [
        json!({}),
        json!({"filenames": "a"}),
        json!({"filenames": [1]}),
        json!({"filenames": [], "forse": true}),
        json!({"filenames": [], "force": "yes"}),
        json!([["a"]]),
        json!(null),
    ] {
        let answer = server.admin(Method::POST, "/api/admin/models/download-batch").json(&body).send().await;
        shown.push(json!({"sent": body, "answer": answer.shown()}));
    }
    insta::assert_json_snapshot!(shown);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let server = TestServer::start().await;
    let path = "/api/admin/models/download-batch";
    for (content_type, body, status) in [
        ("application/json", "{", 422),
        ("application/json", "", 422),
        ("application/json; charset=utf-8", r#"{"filenames":[]}"#, 200),
        ("text/plain", r#"{"filenames":[]}"#, 415),
        ("application/x-www-form-urlencoded", "filenames=a", 415),
    ] {
        let answer = server.admin(Method::POST, path).body(content_type, body).send().await;
        assert_eq!(answer.status.as_u16(), status, "{content_type} {body}");
    }
    let zipped =
        server.admin(Method::POST, path).header("content-encoding", "gzip").json(&json!({"filenames": []}));
    assert_eq!(zipped.send().await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let deep = format!(r#"{{"filenames":{}"#, "[".repeat(100_000));
    let deep = server.admin(Method::POST, path).body("application/json", deep).send().await;
    assert_eq!(deep.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_it_comes() {
    let server = TestServer::start().await;
    for (path, content_type) in [
        ("/api/admin/models/download-batch", "application/json"),
        ("/api/admin/models/import", "multipart/form-data; boundary=B"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Type: {content_type}\r\n\
             Content-Length: 500000000\r\n\r\n"
        );
        let answer = raw(server.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large"), "{path}: {answer}");
        assert!(answer.contains("x-error-code: body_too_large"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_long_body_without_a_length_is_cut_where_the_limit_is() {
    let server = TestServer::start().await;
    let head = format!(
        "POST /api/admin/models/download-batch HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let body = chunk.repeat(48);
    let answer = raw(server.address, format!("{head}{body}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large"), "{answer}");
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let server = TestServer::start().await;
    let head = format!(
        "POST /api/admin/models/download-batch HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for body in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}",
        "2\r\n{}x\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
    ] {
        let answer = raw(server.address, format!("{head}{body}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn a_part_header_without_end_is_refused_early() {
    let server = TestServer::start().await;
    let head = format!(
        "POST /api/admin/models/import HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: 60000000\r\n\
         Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{}",
        "a".repeat(1 << 20)
    );
    let answer = raw(server.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
    assert!(answer.contains("the headers of a part are longer than 16 KiB"), "{answer}");
}
