//! Teams and keys: made, shown once, replaced, revoked, pinned.

use lorakeep_registry::domain::CallerKind;
use lorakeep_standin::{Options, Standin};
use serde_json::Value;

use super::driver::Browser;
use super::pages::{DESKTOP, assert_quiet, studio_with};
use crate::harness::TestServer;

/// The key in the dialog, which is closed then.
async fn take_key(browser: &Browser) -> String {
    browser.wait_for("#new-key[open] code", "al_live_").await;
    let key = browser.script("return document.querySelector('#new-key code').textContent").await;
    browser.click("#new-key .icon").await;
    browser.wait_for(".toast", "Copied").await;
    browser.click("#new-key [data-close]").await;
    // The page forgets it with its dialog.
    browser.wait_until(&format!("return !document.documentElement.outerHTML.includes({key})")).await;
    key.as_str().expect("text").to_owned()
}

async fn team_of(server: &TestServer, key: &str) -> Option<String> {
    match server.registry.find_team_caller(key).await.expect("looked up")?.kind {
        CallerKind::Team(team) => Some(team.team),
        other => panic!("no team: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_gets_a_key_that_is_shown_once_and_replaced_and_revoked() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    browser.open("/teams").await;
    browser.type_into("#name", "Night Studio").await;
    browser.click("form[data-act='POST /api/admin/teams'] button").await;
    browser.wait_for("h1", "Night Studio").await;
    browser.type_into("#key-name", "render farm").await;
    browser.click("input[value='generations:run']").await;
    browser.type_into("#calls", "90").await;
    browser.click("form[data-reveal] .primary").await;
    let first = take_key(&browser).await;
    browser.wait_for(".key", "render farm").await;
    browser.wait_for(".key dd", "list styles").await;
    assert_eq!(team_of(&server, &first).await.as_deref(), Some("Night Studio"));
    let keys = server.get("/api/admin/keys").await.json();
    assert_eq!(keys["items"][0]["scopes"], serde_json::json!(["styles:read"]));
    assert_eq!(keys["items"][0]["calls_per_minute"], 90);
    browser.click(".key form[data-act$='/rotate'] button").await;
    let second = take_key(&browser).await;
    assert_ne!(first, second);
    for key in [&first, &second] {
        assert!(team_of(&server, key).await.is_some(), "the old one goes on for a day");
    }
    let keys = server.get("/api/admin/keys").await.json();
    let is_second = |key: &&Value| second.starts_with(key["prefix"].as_str().expect("text"));
    let made = keys["items"].as_array().expect("a list").iter().find(is_second).expect("listed");
    browser
        .click(&format!("[data-act='POST /api/admin/keys/{}/revoke']", made["id"].as_str().expect("an id")))
        .await;
    browser.click("#ask-yes").await;
    browser.wait_for(".key .state", "revoked").await;
    assert_eq!(team_of(&server, &second).await, None);
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_s_version_is_pinned_and_let_go_and_the_team_deleted() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    server.registry.create_team("Night Studio").await.expect("made");
    browser.open("/teams").await;
    browser.click("tbody .name").await;
    for (chosen, pinned) in [("2026-05-15", Value::from("2026-05-15")), ("", Value::Null)] {
        browser.choose("#version", chosen).await;
        browser.click("form[data-act^='PATCH'] button").await;
        let path = "/api/admin/teams/Night%20Studio";
        server.wait_for(path, |team| team["pinned_version"] == pinned).await;
    }
    browser.click(".top .danger").await;
    browser.click("#ask-yes").await;
    browser.wait_for(".empty", "There is no team yet").await;
    assert_quiet(&browser).await;
    browser.close().await;
}
