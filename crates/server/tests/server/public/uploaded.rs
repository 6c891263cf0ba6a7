//! From two uploaded files to what a customer's generator gets.

use http::Method;
use lorakeep_registry::domain::Sha256;
use serde_json::{Value, json};

use super::shop::{key_for, send};
use crate::harness::{Vault, safetensors};

#[tokio::test]
async fn a_style_of_an_uploaded_pair_is_there_for_its_team_alone() {
    let vault = Vault::start().await;
    let halves = [safetensors(2000, 1), safetensors(3000, 2)];
    for (name, content) in [("fox_high.safetensors", &halves[0]), ("fox_low.safetensors", &halves[1])] {
        let answer = vault.upload(name, content, &[("entity_type", "styles")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut keys = Vec::new();
    for team in ["Northlight", "Aster"] {
        send(&vault.server, "/api/admin/teams", &json!({ "name": team })).await;
        keys.push(key_for(&vault.server, &json!({ "team": team })).await);
    }
    let style = json!({
        "name": "Fox", "team": "Northlight", "high": "styles/fox_high.safetensors", "low": "fox_low.safetensors",
        "template": "a fox, {prompt}",
    });
    let unknown = send(&vault.server, "/api/admin/styles", &style).await;
    assert_eq!(unknown.status, 404, "folders count from the models folder: {}", unknown.text());
    let mut style = style;
    style["high"] = "loras/styles/fox_high.safetensors".into();
    let made = send(&vault.server, "/api/admin/styles", &style).await;
    assert_eq!((made.status.as_u16(), &made.json()["ready"]), (200, &json!(true)), "{}", made.text());
    let list = async |key: &str| {
        let answer = vault.server.anonymous(Method::GET, "/v1/loras").header("x-api-key", key).send().await;
        answer
            .json()
            .as_array()
            .expect("an array")
            .iter()
            .map(|style| style["slug"].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(list(&keys[0]).await, ["fox"]);
    assert_eq!(list(&keys[1]).await, [""; 0]);
    let render = vault.server.anonymous(Method::POST, "/v1/loras/fox/render").header("x-api-key", &keys[0]);
    let rendered = render.json(&json!({"prompt": "in the snow"})).send().await.json();
    assert_eq!(rendered["prompt"], "a fox, in the snow");
    let file = |index: usize, role: &str, content: &[u8]| {
        json!({
            "role": role, "file": format!("fox_{role}.safetensors"), "path": format!("styles/fox_{role}.safetensors"),
            "strength": 1.0, "sha256": Sha256::of(content).to_string(), "size_bytes": halves[index].len(),
        })
    };
    assert_eq!(rendered["loras"], json!([file(0, "high", &halves[0]), file(1, "low", &halves[1])]));
}
