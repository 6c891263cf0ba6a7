//! Styles: made of one LoRA and of a pair, shown to a team, changed, deleted and brought back.

use lorakeep_standin::{Options, Standin};
use serde_json::{Value, json};

use super::driver::Browser;
use super::pages::{DESKTOP, assert_quiet, studio_with};
use crate::harness::TestServer;

/// A team, one LoRA and a pair, all of them on disk.
async fn with_loras() -> (Standin, TestServer, Browser) {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    server.registry.create_team("Night Studio").await.expect("made");
    let entry = |file: &str, name: &str, pair: Option<&str>| {
        let mut entry = json!({"file": file, "dest": "loras", "name": name, "trigger_words": ["ink wash"]});
        if let Some(role) = pair {
            (entry["pair_id"], entry["pair_role"]) = ("drift".into(), role.into());
        }
        entry
    };
    let entries = json!([
        entry("ink.safetensors", "Ink Wash", None),
        entry("drift_high.safetensors", "Slow Drift high", Some("high")),
        entry("drift_low.safetensors", "Slow Drift low", Some("low")),
    ]);
    server.import(&entries).await;
    for (file, seed) in [("ink", 1), ("drift_high", 2), ("drift_low", 3)] {
        let weights = crate::harness::safetensors(2000, seed);
        server.put_file(&format!("loras/{file}.safetensors"), &weights).await;
    }
    (standin, server, browser)
}

async fn the_style(server: &TestServer) -> Value {
    server.get("/api/admin/styles").await.json()["items"][0].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_style_of_a_pair_is_made_for_a_team_and_changed() {
    let (_standin, server, browser) = with_loras().await;
    browser.open("/styles").await;
    browser.click(".empty a.primary").await;
    browser.type_into("#q", "drift high\u{e007}").await;
    browser.wait_until("return document.querySelectorAll('.choices li').length === 1").await;
    browser.click(".choices a").await;
    browser.wait_for("form p", "the pair").await;
    browser.clear("#name").await;
    browser.type_into("#name", "Slow Drift").await;
    let team = server.registry.load_team("Night Studio").await.expect("made").id.to_string();
    browser.choose("#audience", &team).await;
    browser.type_into("#steps", "24").await;
    browser.clear("#strength-low").await;
    browser.type_into("#strength-low", "0.6").await;
    browser.type_into("#template", "{promt}").await;
    browser.wait_for("#template-shown .fault", "`{promt}` is not a placeholder").await;
    browser.clear("#template").await;
    browser.type_into("#template", "{style}: {prompt}").await;
    browser.wait_for("#template-shown .sample", "Slow Drift: a lighthouse").await;
    browser.click("form .primary").await;
    browser.wait_for("h1", "Slow Drift").await;
    let made = the_style(&server).await;
    assert_eq!((&made["team"], &made["default_steps"]), (&json!("Night Studio"), &json!(24)));
    assert_eq!(made["template"], "{style}: {prompt}");
    let strengths: Vec<&Value> =
        made["files"].as_array().expect("a list").iter().map(|file| &file["strength"]).collect();
    assert_eq!(strengths, [&json!(1.0), &json!(0.6)]);
    browser.clear("#steps").await;
    browser.choose("#audience", "").await;
    browser.click("#style-form .primary").await;
    browser.wait_for(".toast", "Saved").await;
    let changed = the_style(&server).await;
    assert_eq!((&changed["is_public"], &changed["default_steps"]), (&json!(true), &Value::Null));
    assert_eq!((&changed["id"], &changed["template"]), (&made["id"], &made["template"]));
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_style_comes_back_by_undo_and_from_the_deleted_ones() {
    let (_standin, server, browser) = with_loras().await;
    let call = server.admin(http::Method::POST, "/api/admin/styles");
    let body = json!({"name": "Ink", "entry": "ink.safetensors", "is_public": true});
    assert_eq!(call.json(&body).send().await.status, 200);
    browser.open("/styles").await;
    browser.click(".card .name").await;
    browser.click(".top .danger").await;
    browser.wait_for(".top .state", "deleted").await;
    browser.click(".toast button").await;
    browser.wait_for(".top .state", "ready").await;
    browser.click(".top .danger").await;
    browser.wait_for(".top .state", "deleted").await;
    browser.open("/styles?of=deleted").await;
    browser.click(".card .name").await;
    browser.click(".top .primary").await;
    browser.wait_for(".top .state", "ready").await;
    assert_quiet(&browser).await;
    browser.close().await;
}
