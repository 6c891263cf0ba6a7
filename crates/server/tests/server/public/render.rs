//! `POST /v1/loras/{lora}/render`.

use http::Method;
use serde_json::{Value, json};

use super::shop::Shop;
use crate::client::Answer;

async fn render(shop: &Shop, name: &str, body: &Value) -> Answer {
    shop.call(Method::POST, &format!("/v1/loras/{name}/render"), &shop.key).json(body).send().await
}

#[tokio::test]
async fn a_generator_gets_prompt_settings_and_files() {
    let shop = Shop::open().await;
    let made = shop
        .offer(json!({
            "name": "Ghibli Dream", "pair": "ghibli", "template": "{prompt}, {trigger_words}", "default_steps": 30,
            "default_guidance_scale": 7.5, "strengths": {"low": 0.5},
        }))
        .await;
    let answer =
        render(&shop, "ghibli-dream", &json!({"prompt": "a fox", "steps": 8.0, "denoise_strength": 0.4}))
            .await;
    let mut rendered = answer.json();
    for file in rendered["loras"].as_array_mut().expect("files") {
        assert!(
            file["sha256"].is_null() || file["sha256"].as_str().is_some_and(|hash| hash.len() == 64),
            "{file}"
        );
        file["sha256"] = "[sha256]".into();
    }
    let expected = json!({
        "id": made["id"], "slug": "ghibli-dream", "name": "Ghibli Dream", "base_model": "wan-i2v-14b",
        "prompt": "a fox, ghibli style", "trigger_words": ["ghibli style"],
        "denoise_strength": 0.4, "guidance_scale": 7.5, "steps": 8,
        "loras": [
            {"role": "high", "file": "ghibli_high.safetensors", "path": "wan/ghibli_high.safetensors",
             "strength": 1.0, "sha256": "[sha256]", "size_bytes": 33},
            {"role": "low", "file": "ghibli_low.safetensors", "path": "wan/ghibli_low.safetensors",
             "strength": 0.5, "sha256": "[sha256]", "size_bytes": 32},
        ],
    });
    assert_eq!((answer.status.as_u16(), rendered), (200, expected));
    let by_id = render(&shop, made["id"].as_str().expect("an id"), &json!({"prompt": ""})).await;
    assert_eq!((by_id.status.as_u16(), &by_id.json()["steps"]), (200, &json!(30)));
}

#[tokio::test]
async fn what_cannot_be_rendered_says_why() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ghibli", "pair": "ghibli"})).await;
    shop.offer(json!({"name": "Ink"})).await;
    for (name, body, status, code) in [
        ("ghibli", json!({}), 422, "unreadable"),
        ("ghibli", json!({"prompt": "a", "cfg": 1}), 422, "unreadable"),
        ("ghibli", json!({"prompt": "a", "steps": 8.5}), 422, "unreadable"),
        ("ghibli", json!({"prompt": "a", "steps": 1e300}), 400, "out_of_bounds"),
        ("ghibli", json!({"prompt": "a", "guidance_scale": 0.05}), 400, "out_of_bounds"),
        ("ghibli", json!({"prompt": "a".repeat(20_001)}), 400, "bad_prompt"),
        ("ink", json!({"prompt": "a"}), 409, "style_not_ready"),
        ("nobody", json!({"prompt": "a"}), 404, "not_found"),
    ] {
        let refused = render(&shop, name, &body).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status.as_u16(), error["code"].as_str()), (status, Some(code)), "{name} {error}");
    }
    let unreadable = render(&shop, "ghibli", &json!({})).await.json();
    assert_eq!(unreadable["error"]["message"], "`prompt`: Field required");
}
