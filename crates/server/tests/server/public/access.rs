//! Who may call the public API, and how often.

use http::Method;
use serde_json::json;

use super::shop::{Shop, key_for};
use crate::harness::KEY;

#[tokio::test]
async fn an_error_has_a_code_a_text_and_the_id_of_the_request() {
    let shop = Shop::open().await;
    let call = shop.server.anonymous(Method::GET, "/v1/loras").header("x-request-id", "mine-1");
    let refused = call.send().await;
    let message = "send a key of your team in `X-Api-Key`; this one is missing, unknown, or has ended";
    let expected =
        json!({"error": {"code": "not_authenticated", "message": message, "request_id": "mine-1"}});
    assert_eq!((refused.status.as_u16(), refused.json()), (401, expected));
    assert_eq!(
        (refused.header("x-error-code"), refused.header("x-request-id")),
        ("not_authenticated", "mine-1")
    );
    assert_eq!(refused.header("aurous-version"), "2026-05-15");
}

#[tokio::test]
async fn only_a_key_of_a_team_that_is_in_force_lets_in() {
    let shop = Shop::open().await;
    for wrong in
        ["", KEY, &shop.key[..shop.key.len() - 1], &format!("{}x", shop.key), &shop.key.to_uppercase()]
    {
        assert_eq!(shop.call(Method::GET, "/v1/loras", wrong).send().await.status, 401, "{wrong:?}");
    }
    let two = shop.call(Method::GET, "/v1/loras", &shop.key).header("x-api-key", &shop.other_key);
    assert_eq!(two.send().await.status, 401);
    let in_query = shop.server.anonymous(Method::GET, &format!("/v1/loras?x-api-key={}", shop.key));
    assert_eq!(in_query.send().await.status, 401);
    assert_eq!(shop.call(Method::GET, "/api/admin/styles", &shop.key).send().await.status, 401);
    assert_eq!(shop.get("/v1/loras").await.status, 200);
    let prefix = &shop.key[..16];
    shop.server.post(&format!("/api/admin/keys/{prefix}/revoke")).await;
    assert_eq!(shop.get("/v1/loras").await.status, 401);
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ghibli", "pair": "ghibli"})).await;
    let reads = key_for(&shop.server, &json!({"team": "Aster", "scopes": ["styles:read"]})).await;
    let makes = key_for(&shop.server, &json!({"team": "Aster", "scopes": ["generations:run"]})).await;
    let render = async |key: &str| {
        let call = shop.call(Method::POST, "/v1/loras/ghibli/render", key).json(&json!({"prompt": "a fox"}));
        call.send().await.status.as_u16()
    };
    let list = async |key: &str| shop.call(Method::GET, "/v1/loras", key).send().await.status.as_u16();
    assert_eq!((list(&reads).await, render(&reads).await), (200, 403));
    assert_eq!((list(&makes).await, render(&makes).await), (403, 200));
}

#[tokio::test]
async fn a_key_that_is_used_too_often_has_to_wait() {
    let shop = Shop::open().await;
    let key = key_for(&shop.server, &json!({"team": "Aster", "calls_per_minute": 2})).await;
    let mut remaining = Vec::new();
    for _ in 0..2 {
        let answer = shop.call(Method::GET, "/v1/loras", &key).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-limit")), (200, "2"));
        remaining.push(answer.header("ratelimit-remaining").to_owned());
    }
    assert_eq!(remaining, ["1", "0"]);
    let refused = shop.call(Method::GET, "/v1/loras", &key).send().await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["error"]["code"].as_str()),
        (429, Some("rate_limited"))
    );
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait) && refused.header("ratelimit-reset") == refused.header("retry-after"));
    let unlimited = shop.get("/v1/loras").await;
    assert_eq!((unlimited.status.as_u16(), unlimited.header("ratelimit-limit")), (200, ""), "another key");
}
