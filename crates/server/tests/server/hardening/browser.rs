//! What a page of another site can make a browser do: nothing.

use http::{Method, StatusCode};
use serde_json::json;

use super::sessions::{from_page, log_in, login};
use crate::client::{Answer, raw};
use crate::harness::{KEY, Setup, TestServer};

const EXTENSION: &str = "abcdefghijklmnopabcdefghijklmnop";

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

/// Check 55.
#[tokio::test]
async fn a_change_with_a_session_needs_the_origin_of_this_server() {
    let server = TestServer::start().await;
    let cookie = log_in(&server).await;
    let own = format!("http://{}", server.address);
    let foreign = [
        "null",
        "",
        "https://evil.example",
        "http://127.0.0.1:1",
        &format!("{own}.evil.example"),
        &format!("{own}/"),
    ];
    let call = || server.anonymous(Method::POST, "/api/admin/scan").header("cookie", &cookie);
    for origin in foreign {
        let answer = call().header("origin", origin).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-error-code")),
            (403, "foreign_origin"),
            "{origin:?}"
        );
    }
    assert_eq!(call().send().await.status, StatusCode::FORBIDDEN, "no origin");
    let two = call().header("origin", &own).header("origin", "https://evil.example").send().await;
    assert_eq!(two.status, StatusCode::FORBIDDEN, "two origins");
    assert_eq!(call().header("origin", &own).send().await.status, StatusCode::OK);
    for (site, status) in [("same-origin", 200), ("same-site", 403), ("cross-site", 403), ("none", 403)] {
        assert_eq!(call().header("sec-fetch-site", site).send().await.status.as_u16(), status, "{site}");
    }
    let keyed = call().header("origin", "https://evil.example").header("x-api-key", KEY).send().await;
    assert_eq!(keyed.status, StatusCode::OK, "a page cannot send the key of a browser that does not know it");
}

/// Checks 55 and 57: the one GET that changes something is asked for by our own pages, or with the key.
#[tokio::test]
async fn a_get_that_changes_something_needs_the_origin_of_this_server_too() {
    let server = TestServer::start().await;
    let cookie = log_in(&server).await;
    let path = "/api/admin/loras/gallery/backfill-thumbs";
    let call = || server.anonymous(Method::GET, path).header("cookie", &cookie);
    assert_eq!(call().send().await.status, StatusCode::FORBIDDEN, "no origin");
    for (site, status) in [("same-origin", 200), ("same-site", 403), ("cross-site", 403), ("none", 403)] {
        assert_eq!(call().header("sec-fetch-site", site).send().await.status.as_u16(), status, "{site}");
    }
    assert_eq!(server.get(path).await.status, StatusCode::OK);
}

/// Check 55: behind a proxy the public address counts.
#[tokio::test]
async fn the_public_address_is_the_server_s_own_origin() {
    let environment = [("LORAKEEP_PUBLIC_URL", "https://studio.example")];
    let server = TestServer::start_with(Setup { environment: &environment, ..Setup::default() }).await;
    let cookie = log_in(&server).await;
    let call = |origin: &str| {
        server.anonymous(Method::POST, "/api/admin/scan").header("cookie", &cookie).header("origin", origin)
    };
    assert_eq!(call("https://studio.example").send().await.status, StatusCode::OK);
    assert_eq!(call("http://studio.example").send().await.status, StatusCode::FORBIDDEN);
    let own_over_http = format!("http://{}", server.address);
    assert_eq!(
        call(&own_over_http).send().await.status,
        StatusCode::FORBIDDEN,
        "not the one that was promised"
    );
}

/// Check 56.
#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let server = TestServer::start().await;
    let cookie = log_in(&server).await;
    let before = server.get("/api/admin/settings").await.json();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"] {
        let call = server.anonymous(Method::PUT, "/api/admin/settings").header("cookie", &cookie);
        let call = call.header("origin", "https://evil.example").body(kind, r#"{"downloads_paused":true}"#);
        assert_eq!(call.send().await.status, StatusCode::FORBIDDEN, "{kind}");
        let own = from_page(&server, Method::PUT, "/api/admin/settings", &cookie);
        let refused = own.body(kind, r#"{"downloads_paused":true}"#).send().await;
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    assert_eq!(server.get("/api/admin/settings").await.json(), before);
}

/// Check 67.
#[tokio::test]
async fn an_event_stream_is_not_for_another_site_s_page() {
    let server = TestServer::start().await;
    let cookie = log_in(&server).await;
    for origin in ["https://evil.example", "null"] {
        let call = server.anonymous(Method::GET, "/api/admin/models/status").header("cookie", &cookie);
        assert_eq!(call.header("origin", origin).send().await.status, StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn another_site_s_page_cannot_log_a_browser_in() {
    let server = TestServer::start().await;
    for (name, value) in
        [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        let answer = login(&server, &json!({ "api_key": KEY })).header(name, value).send().await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

/// Check 58.
#[tokio::test]
async fn a_name_that_is_not_ours_is_refused() {
    let server = TestServer::start().await;
    let ask = |host: &str| format!("GET /api/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    for host in
        ["evil", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""]
    {
        let answer = raw(server.address, ask(host).as_bytes()).await;
        assert_eq!(status_line(&answer), "HTTP/1.1 421 Misdirected Request", "{host}: {answer}");
    }
    let port = server.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "192.0.2.7", "a"]
        .into_iter()
        .flat_map(|host| [host.to_owned(), format!("{host}:{port}")])
    {
        let answer = raw(server.address, ask(&host).as_bytes()).await;
        assert_eq!(status_line(&answer), "HTTP/1.1 200 OK", "{host}: {answer}");
    }
    let in_line =
        "GET http://evil.example/api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(server.address, in_line.as_bytes()).await;
    assert_eq!(status_line(&answer), "HTTP/1.1 421 Misdirected Request", "{answer}");
}

#[tokio::test]
async fn the_public_address_and_configured_names_are_ours() {
    let environment = [
        ("LORAKEEP_PUBLIC_URL", "https://studio.example/lorakeep"),
        ("LORAKEEP_HOST_NAMES", "gpu-box, *.pods.example"),
    ];
    let server = TestServer::start_with(Setup { environment: &environment, ..Setup::default() }).await;
    for (host, status) in [
        ("studio.example", 200),
        ("GPU-box:8000", 200),
        ("x-8000.pods.example", 200),
        ("pods.example", 421),
        ("a", 421),
    ] {
        let request = format!("GET /api/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(server.address, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

fn allowed(answer: &Answer) -> &str {
    answer.header("access-control-allow-origin")
}

/// Check 61.
#[tokio::test]
async fn only_configured_origins_may_read_answers_and_none_with_cookies() {
    let origins = format!("https://good.example,{EXTENSION}");
    let environment = [("LORAKEEP_CORS_ORIGINS", origins.as_str())];
    let server = TestServer::start_with(Setup { environment: &environment, ..Setup::default() }).await;
    let call = |origin: &str| server.admin(Method::GET, "/api/admin/settings").header("origin", origin);
    for origin in ["https://good.example", &format!("chrome-extension://{EXTENSION}")] {
        let answer = call(origin).send().await;
        assert_eq!((answer.status.as_u16(), allowed(&answer)), (200, origin));
        assert_eq!(answer.header("vary"), "Origin");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        let refused =
            server.anonymous(Method::GET, "/api/admin/settings").header("origin", origin).send().await;
        assert_eq!((refused.status.as_u16(), allowed(&refused)), (401, origin), "the page may read why");
    }
    let foreign = [
        "null",
        "*",
        "https://evil.example",
        "https://good.example.evil",
        "https://good.evil",
        "http://good.example",
        "https://good.example:8443",
        "HTTPS://good.example",
        "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba",
    ];
    for origin in foreign {
        let answer = call(origin).send().await;
        assert_eq!((allowed(&answer), answer.header("vary")), ("", "Origin"), "{origin}");
    }
    let cookie = log_in(&server).await;
    let with_cookie = server.anonymous(Method::GET, "/api/admin/settings").header("cookie", &cookie);
    let refused = with_cookie.header("origin", "https://good.example").send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a session is for our own pages alone");
}

/// Check 61: the question that a browser asks before.
#[tokio::test]
async fn a_preflight_is_answered_for_configured_origins_alone() {
    let environment = [("LORAKEEP_CORS_ORIGINS", "https://good.example")];
    let server = TestServer::start_with(Setup { environment: &environment, ..Setup::default() }).await;
    let preflight = |server: &TestServer, origin: &str| {
        let call = server.anonymous(Method::OPTIONS, "/api/admin/models/download/a.safetensors");
        let call = call.header("origin", origin).header("access-control-request-method", "POST");
        call.header("access-control-request-headers", "x-api-key,content-type")
    };
    let answer = preflight(&server, "https://good.example").send().await;
    assert_eq!((answer.status.as_u16(), allowed(&answer)), (204, "https://good.example"));
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    assert!(answer.header("access-control-allow-headers").contains("x-api-key"));
    assert!(!answer.headers.contains_key("access-control-allow-private-network"));
    let private =
        preflight(&server, "https://good.example").header("access-control-request-private-network", "true");
    assert_eq!(private.send().await.header("access-control-allow-private-network"), "true");
    let foreign = preflight(&server, "https://evil.example").send().await;
    assert_eq!((foreign.status.as_u16(), allowed(&foreign)), (405, ""));
    let unconfigured = TestServer::start().await;
    let answer = preflight(&unconfigured, "https://good.example").send().await;
    assert_eq!((answer.status.as_u16(), allowed(&answer)), (405, ""));
}
