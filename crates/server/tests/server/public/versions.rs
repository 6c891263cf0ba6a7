//! Dated versions of the public API.

use http::Method;
use serde_json::{Value, json};

use super::shop::Shop;
use crate::client::Answer;

async fn list(shop: &Shop, headers: &[(&str, &str)]) -> Answer {
    let mut call = shop.call(Method::GET, "/v1/loras", &shop.key);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.send().await
}

async fn pin(shop: &Shop, version: Value) {
    let body = json!({ "pinned_version": version });
    let call = shop.server.admin(Method::PATCH, "/api/admin/teams/Northlight").json(&body);
    assert_eq!(call.send().await.status, 200);
}

#[tokio::test]
async fn a_call_means_the_version_it_names_else_its_team_s_else_the_first() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ghibli", "pair": "ghibli", "default_steps": 30})).await;
    let old = list(&shop, &[]).await;
    assert_eq!((old.header("aurous-version"), &old.json()[0]["default_steps"]), ("2026-05-15", &json!(30)));
    for name in ["Aurous-Version", "Lorakeep-Version"] {
        let new = list(&shop, &[(name, "2026-11-01")]).await;
        assert_eq!(new.header("aurous-version"), "2026-11-01", "{name}");
        let style = new.json()[0].clone();
        assert_eq!(style["defaults"], json!({"denoise_strength": null, "guidance_scale": null, "steps": 30}));
        assert_eq!((&style["base_model"], style.get("default_steps")), (&json!("wan-i2v-14b"), None));
    }
    pin(&shop, "2026-11-01".into()).await;
    assert_eq!(list(&shop, &[]).await.header("aurous-version"), "2026-11-01");
    let named = list(&shop, &[("Aurous-Version", "2026-05-15")]).await;
    assert_eq!(
        (named.header("aurous-version"), &named.json()[0]["default_steps"]),
        ("2026-05-15", &json!(30))
    );
    pin(&shop, Value::Null).await;
    assert_eq!(list(&shop, &[]).await.header("aurous-version"), "2026-05-15");
}

#[tokio::test]
async fn a_version_that_there_is_not_is_refused_with_those_that_there_are() {
    let shop = Shop::open().await;
    for (version, code) in [
        ("2031-01-01", "unknown_version"),
        ("2020-01-01", "unknown_version"),
        ("2026-5-15", "malformed_version"),
        ("latest", "malformed_version"),
        ("", "malformed_version"),
    ] {
        let refused = list(&shop, &[("Aurous-Version", version)]).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status.as_u16(), error["code"].as_str()), (400, Some(code)), "{version}");
        let message = error["message"].as_str().expect("a text");
        assert!(message.ends_with("there are `2026-05-15`, `2026-11-01`"), "{message}");
        assert_eq!(refused.header("aurous-version"), "2026-05-15");
    }
    let two = list(&shop, &[("Aurous-Version", "2026-05-15"), ("Lorakeep-Version", "2026-11-01")]).await;
    assert_eq!((two.status.as_u16(), two.json()["error"]["code"].as_str()), (400, Some("two_versions")));
    let twice = [("Aurous-Version", "2026-05-15"), ("Lorakeep-Version", "2026-05-15")];
    assert_eq!(list(&shop, &twice).await.status, 200);
}
