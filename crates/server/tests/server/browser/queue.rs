//! The order of the queue, changed by mouse, keys and buttons, while somebody watches.

use lorakeep_standin::{Options, Standin};
use serde_json::{Value, json};

use super::driver::Browser;
use super::pages::{DESKTOP, assert_quiet, entry, log_in};
use crate::harness::{Setup, TestServer};

const FILES: [&str; 4] = ["a.safetensors", "b.safetensors", "c.safetensors", "d.safetensors"];

/// A queue in which nothing moves by itself.
async fn waiting_queue() -> (Standin, TestServer, Browser) {
    let standin = Standin::start(Options::default()).await.expect("started");
    let server = TestServer::start_with(Setup { standin: Some(&standin), ..Setup::default() }).await;
    server.import(&Value::Array(FILES.iter().map(|file| entry(file, &file[..1])).collect())).await;
    let call = server.admin(http::Method::POST, "/api/admin/models/download-batch");
    assert_eq!(call.json(&json!({ "filenames": FILES })).send().await.status, 200);
    let browser = Browser::start(server.address, DESKTOP).await;
    log_in(&browser).await;
    browser.open("/downloads").await;
    (standin, server, browser)
}

/// Waits until page and server have that order.
async fn wait_for_order(server: &TestServer, browser: &Browser, order: &str) {
    let is_it = |jobs: &Value| {
        let names = jobs["items"].as_array().expect("a list").iter();
        names.map(|job| &job["file"].as_str().expect("a name")[..1]).collect::<String>() == order
    };
    server.wait_for("/api/admin/downloads", is_it).await;
    let shown = "[...document.querySelectorAll('.job .head a')].map((name) => name.innerText).join('')";
    browser.wait_until(&format!("return {shown} === '{order}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_dragged_to_another_place() {
    let (_standin, server, browser) = waiting_queue().await;
    wait_for_order(&server, &browser, "abcd").await;
    browser.drag(".job:nth-child(4) [data-grip]", ".job:nth-child(2) .state").await;
    wait_for_order(&server, &browser, "adbc").await;
    browser.drag(".job:nth-child(1) [data-grip]", ".job:nth-child(4) .figures").await;
    wait_for_order(&server, &browser, "dbca").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_moved_by_keys_and_buttons_and_the_focus_stays() {
    let (_standin, server, browser) = waiting_queue().await;
    browser.script("document.querySelector('.job:nth-child(2) [data-grip]').focus(); return null").await;
    browser.press("\u{e015}").await;
    wait_for_order(&server, &browser, "acbd").await;
    browser
        .wait_until("return document.activeElement.closest('.job')?.innerText.includes('b') === true")
        .await;
    browser.press("\u{e011}").await;
    wait_for_order(&server, &browser, "bacd").await;
    browser.click("[aria-label='Move c up']").await;
    wait_for_order(&server, &browser, "bcad").await;
    browser.click("[aria-label='Move b down']").await;
    wait_for_order(&server, &browser, "cbad").await;
    browser.click("[aria-label='Move d to the top']").await;
    wait_for_order(&server, &browser, "dcba").await;
    assert_quiet(&browser).await;
    browser.close().await;
}
