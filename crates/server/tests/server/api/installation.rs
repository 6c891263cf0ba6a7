//! Health, metrics, settings, the start page.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{KEY, TestServer};

#[tokio::test]
async fn health_is_open_and_tells_more_to_whoever_has_the_key() {
    let server = TestServer::start().await;
    let open = server.anonymous(Method::GET, "/api/health").send().await;
    assert_eq!((open.status.as_u16(), open.json()), (200, json!({"status": "ok"})));
    let wrong = server.anonymous(Method::GET, "/api/health").header("x-api-key", "wrong").send().await;
    assert_eq!(wrong.json(), json!({"status": "ok", "authenticated": false}));
    let admin = server.get("/api/health").await;
    let expected = json!({
        "status": "ok", "authenticated": true, "app_version": env!("CARGO_PKG_VERSION"), "pod_id": null
    });
    assert_eq!(admin.json(), expected);
}

#[tokio::test]
async fn settings_are_shown_and_changed() {
    let server = TestServer::start().await;
    let path = "/api/admin/settings";
    insta::assert_json_snapshot!("settings_at_first", server.get(path).await.shown());
    let put = |body: Value| server.admin(Method::PUT, path).json(&body).send();
    insta::assert_json_snapshot!(
        "settings_changed",
        put(json!({"max_concurrent": 5, "bandwidth": 1_000_000})).await.shown()
    );
    insta::assert_json_snapshot!("settings_kept", put(json!({"downloads_paused": true})).await.shown());
    insta::assert_json_snapshot!("bandwidth_lifted", put(json!({"bandwidth": null})).await.shown());
    insta::assert_json_snapshot!("settings_refused", put(json!({"max_concurrent": 11})).await.shown());
    let both = put(json!({"max_concurrent": 2, "max_concurrent_downloads": 3})).await;
    insta::assert_json_snapshot!("settings_that_disagree", both.shown());
    assert_eq!(server.get(path).await.json()["max_concurrent"], 5);
}

#[tokio::test]
async fn metrics_show_requests_by_route_and_the_state_of_the_registry() {
    let server = TestServer::start().await;
    server.import(&json!([{"file": "a.safetensors", "dest": "loras"}])).await;
    server.get("/api/admin/models/secret-name.safetensors/nothing?token=secret-token").await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    for part in [
        r#"lorakeep_http_requests_total{method="POST",route="/api/admin/models/import",status="200"}"#,
        r#"lorakeep_http_requests_total{method="GET",route="unmatched",status="404"}"#,
        r#"lorakeep_http_request_duration_seconds_bucket{method="POST",route="/api/admin/models/import",le="0.001"}"#,
        r#"lorakeep_downloads{state="queued"}"#,
        r#"lorakeep_downloads{state="quarantined"}"#,
        r#"lorakeep_entries{catalog="models"}"#,
        r#"lorakeep_entries_present{catalog="loras"}"#,
        "lorakeep_free_bytes",
        "lorakeep_bin_bytes",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    assert!(!text.contains("secret") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn the_start_page_leads_to_the_door_and_the_door_says_where_the_key_is() {
    let server = TestServer::start().await;
    let answer = server.anonymous(Method::GET, "/").send().await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/login?next=%2F"));
    let door = server.anonymous(Method::GET, "/login").send().await;
    assert_eq!(door.header("content-type"), "text/html; charset=utf-8");
    assert!(door.text().contains("admin-key rotate"), "{}", door.text());
}

#[tokio::test]
async fn the_doctor_names_each_check() {
    let server = TestServer::start().await;
    let report = server.get("/api/admin/doctor").await.json();
    let checks = report["checks"].as_array().expect("a list");
    assert!(!checks.is_empty());
    for check in checks {
        let outcome = check["outcome"].as_str().expect("a word");
        assert!(["ok", "warning", "failed"].contains(&outcome), "{check}");
        assert!(check["name"].is_string() && check["message"].is_string(), "{check}");
        assert!(check.as_object().expect("an object").contains_key("hint"), "{check}");
    }
}
