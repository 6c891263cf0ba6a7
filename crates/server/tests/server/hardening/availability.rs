//! What is sent to keep the server busy is refused early and cheaply.

use http::{Method, StatusCode};

use crate::client::raw;
use crate::harness::{KEY, TestServer};

fn import(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/admin/models/import HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn status_of(server: &TestServer, request: &[u8]) -> u16 {
    let answer = raw(server.address, request).await;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// Check 104.
#[tokio::test]
async fn storms_of_parts_and_boundaries_are_refused() {
    let server = TestServer::start().await;
    let kind = "multipart/form-data; boundary=B";
    let parts = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(200_000);
    let storms = [
        parts,
        b"--B--".iter().copied().chain(std::iter::repeat_n(b'-', 1 << 20)).collect(),
        b"\r\n--".repeat(500_000),
        [&b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\""[..], &vec![b'a'; 10 << 20]]
            .concat(),
        [&b"--B\r\n"[..], &b"X-Header: y\r\n".repeat(500_000)].concat(),
    ];
    for (number, storm) in storms.iter().enumerate() {
        let status = status_of(&server, &import(kind, storm)).await;
        assert!((400..500).contains(&status), "storm {number}: {status}");
    }
    assert_eq!(server.get("/api/admin/models").await.status, StatusCode::OK);
}

/// Check 106.
#[tokio::test]
async fn a_form_without_a_usable_boundary_is_refused() {
    let server = TestServer::start().await;
    let body = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{}\r\n--B--\r\n";
    let long = format!("multipart/form-data; boundary={}", "b".repeat(200));
    for kind in
        ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=C", &long]
    {
        let status = status_of(&server, &import(kind, body)).await;
        assert!(matches!(status, 400 | 422), "{kind}: {status}");
    }
    let status =
        status_of(&server, &import("multipart/form-data; boundary=B", &body[..body.len() - 20])).await;
    assert!(matches!(status, 400 | 422), "cut off: {status}");
}

/// Check 108.
#[tokio::test]
async fn bottomless_repeated_and_unknown_json_is_refused() {
    let server = TestServer::start().await;
    let deep = format!(r#"{{"filenames":{}"#, "[".repeat(100_000));
    for body in [
        deep.as_str(),
        r#"{"filenames":[],"filenames":[]}"#,
        r#"{"filenames":[],"admin":true}"#,
        "1e400",
        "\u{feff}{}",
    ] {
        let call = server.admin(Method::POST, "/api/admin/models/download-batch");
        let status = call.body("application/json", body.to_owned()).send().await.status.as_u16();
        assert!(matches!(status, 400 | 422), "{}: {status}", &body[..body.len().min(40)]);
    }
}

/// Check 110: what a client asks for is capped, and a text is no pattern.
#[tokio::test]
async fn lists_have_an_end_whatever_is_asked_for() {
    let server = TestServer::start().await;
    for path in ["/api/admin/downloads", "/api/admin/bin", "/api/admin/quarantine"] {
        for query in ["limit=1000000000", "limit=0"] {
            let answer = server.get(&format!("{path}?{query}")).await;
            assert!(answer.json()["items"].as_array().expect("items").len() <= 1000, "{path}?{query}");
        }
        for query in ["limit=-1", "limit=x", "limit=99999999999999999999", "cursor=%00"] {
            let answer = server.get(&format!("{path}?{query}")).await;
            assert!(answer.status.is_client_error(), "{path}?{query}: {}", answer.status);
        }
    }
}

/// Check 111: there is no HTTP/2 to flood, neither by its preface nor by an upgrade.
#[tokio::test]
async fn another_version_of_http_is_not_spoken() {
    let server = TestServer::start().await;
    let preface = raw(server.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(
        preface.is_empty() || preface.starts_with("HTTP/1.1 4") || preface.starts_with("HTTP/1.1 505"),
        "{preface}"
    );
    let upgrade = "GET /api/health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = raw(server.address, upgrade.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "the upgrade is passed over: {answer}");
}
