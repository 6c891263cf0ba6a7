//! Keys and limits that are set while the server runs.

use std::os::unix::fs::PermissionsExt;

use http::Method;
use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::CivitImage;
use serde_json::{Value, json};

use crate::harness::Studio;

const PATH: &str = "/api/admin/settings/env";
const KEY: &str = "civitai_standin_key";

async fn put(studio: &Studio, key: &str, value: Value) -> (u16, Value) {
    studio.send(studio.request(Method::PUT, PATH).json(&json!({"key": key, "value": value}))).await
}

fn secret(key: &str, last4: Option<&str>, origin: &str) -> Value {
    json!({
        "key": key, "value": null, "is_set": last4.is_some(), "is_secret": true, "last4": last4, "origin": origin,
    })
}

fn limit(key: &str, value: &str, origin: &str) -> Value {
    json!({
        "key": key, "value": value, "is_set": true, "is_secret": false, "last4": null, "origin": origin,
    })
}

#[tokio::test]
async fn a_secret_goes_in_and_only_its_ending_comes_out() {
    let studio = Studio::start_with(&[("HF_TOKEN", "hf_0123456789abcdef")]).await;
    let set = put(&studio, "CIVITAI_API_KEY", json!(KEY)).await;
    assert_eq!(set, (200, secret("CIVITAI_API_KEY", Some("_key"), "setting")));
    let all = json!({
        "items": [
            secret("CIVITAI_API_KEY", Some("_key"), "setting"),
            secret("HF_TOKEN", Some("cdef"), "environment"),
            limit("MAX_CONCURRENT_DOWNLOADS", "3", "default"),
            limit("LORAKEEP_BANDWIDTH", "unlimited", "default"),
            limit("LORAKEEP_MAX_UPLOAD_BYTES", "524288000", "default"),
            limit("LORAKEEP_BIN_DAYS", "7", "default"),
        ],
        "next_cursor": null,
        "total": 6,
    });
    assert_eq!(studio.get(PATH).await, (200, all));
    let file = studio.server.data_dir().join("secrets.json");
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    let gone = put(&studio, "CIVITAI_API_KEY", json!("")).await;
    assert_eq!(gone, (200, secret("CIVITAI_API_KEY", None, "default")));
}

#[tokio::test]
async fn a_key_that_was_set_is_sent_from_the_next_request_on_and_after_a_restart() {
    let mut studio = Studio::start().await;
    studio.import(CatalogName::Models, json!([])).await;
    studio.standin.add_image(CivitImage::new(12, 64, 64));
    let remix = async |studio: &Studio| {
        let (status, body) = studio.get("/api/admin/civitai/image/12").await;
        assert_eq!(status, 200, "{body}");
        body["raw"]["result"]["data"]["json"]["canRemix"].clone()
    };
    assert_eq!(remix(&studio).await, Value::Null, "the public API was asked");
    put(&studio, "CIVITAI_API_KEY", json!(KEY)).await;
    assert_eq!(remix(&studio).await, true, "the site itself was asked");
    studio = studio.restarted().await;
    assert_eq!(remix(&studio).await, true);
    assert_eq!(studio.get(PATH).await.1["items"][0], secret("CIVITAI_API_KEY", Some("_key"), "setting"));
}

#[tokio::test]
async fn limits_are_set_by_their_names_and_fall_back_to_the_configuration() {
    let studio = Studio::start_with(&[("MAX_CONCURRENT_DOWNLOADS", "5")]).await;
    let set = put(&studio, "MAX_CONCURRENT_DOWNLOADS", json!(2)).await;
    assert_eq!(set, (200, limit("MAX_CONCURRENT_DOWNLOADS", "2", "setting")));
    assert_eq!(studio.get("/api/admin/settings").await.1["max_concurrent"], 2);
    let back = put(&studio, "MAX_CONCURRENT_DOWNLOADS", Value::Null).await;
    assert_eq!(back, (200, limit("MAX_CONCURRENT_DOWNLOADS", "5", "environment")));
    let set = put(&studio, "LORAKEEP_BANDWIDTH", json!("1000000")).await;
    assert_eq!(set, (200, limit("LORAKEEP_BANDWIDTH", "1000000", "setting")));
    for (key, value, refused) in
        [("LORAKEEP_MAX_UPLOAD_BYTES", "1000", "0"), ("LORAKEEP_BIN_DAYS", "30", "36501")]
    {
        assert_eq!(put(&studio, key, json!(value)).await, (200, limit(key, value, "setting")));
        assert_eq!(put(&studio, key, json!(refused)).await.0, 400, "{key} {refused}");
    }
    let settings = studio.get("/api/admin/settings").await.1;
    assert_eq!((&settings["max_upload_bytes"], &settings["bin_days"]), (&json!(1000), &json!(30)));
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_and_a_refused_secret_is_not_repeated() {
    let studio = Studio::start().await;
    let (status, body) = put(&studio, "API_KEY", json!("x")).await;
    let detail = "`API_KEY` cannot be set while the server runs; what can be is `CIVITAI_API_KEY`, `HF_TOKEN`, \
                  `MAX_CONCURRENT_DOWNLOADS`, `LORAKEEP_BANDWIDTH`, `LORAKEEP_MAX_UPLOAD_BYTES`, `LORAKEEP_BIN_DAYS`";
    assert_eq!((status, body), (400, json!({"detail": detail})));
    let (status, body) = put(&studio, "HF_TOKEN", json!("two words\r\nX-Evil: 1")).await;
    assert_eq!(status, 400, "{body}");
    assert!(!body.to_string().contains("Evil"), "{body}");
    for (key, value) in [("MAX_CONCURRENT_DOWNLOADS", json!(11)), ("LORAKEEP_BANDWIDTH", json!("fast"))] {
        assert_eq!(put(&studio, key, value).await.0, 400, "{key}");
    }
    assert_eq!(put(&studio, "HF_TOKEN", json!({})).await.0, 422);
    let without = studio.request(Method::PUT, PATH).json(&json!({"key": "HF_TOKEN"}));
    assert_eq!(studio.send(without).await.0, 422);
}
