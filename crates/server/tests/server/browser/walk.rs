//! One person's whole way: from the login over a download, the bin and back to a style, at a desk and on a phone.

use lorakeep_standin::{
    CivitFile, CivitImage, CivitModel, CivitVersion, Fault, FileSpec, LoraFamily, Options, Standin, Times,
};
use serde_json::json;

use super::driver::Browser;
use super::pages::{DESKTOP, PHONE, assert_quiet, log_in};
use crate::harness::TestServer;

const FILE: &str = "ink_wash.safetensors";

fn publish(standin: &Standin) {
    let file = CivitFile::new(1, FileSpec::lora(FILE, LoraFamily::Sdxl, 64));
    let version = CivitVersion::new(70, "v2", "SDXL 1.0").file(file).words(&["ink wash"]);
    standin.add_model(CivitModel::new(7, "Ink Wash", "LORA").version(version));
    standin.add_image(CivitImage::new(1234, 384, 512).of_version(70));
}

/// Goes to a page by the menu.
async fn go_to(browser: &Browser, page: &str, width: u32) {
    if width == PHONE {
        browser.click("#menu-toggle").await;
    }
    browser.click(&format!("#menu a[href='{page}']")).await;
    browser.wait_until(&format!("return location.pathname === '{page}'")).await;
}

async fn walk(width: u32) {
    let standin = Standin::start(Options::default()).await.expect("started");
    publish(&standin);
    standin.fault(FILE, Fault::DripRate(50_000), Times::Always);
    let server = TestServer::start_downloading(&standin).await;
    let browser = Browser::start(server.address, width).await;
    log_in(&browser).await;
    add_from_link(&browser, &standin, width).await;
    watch_pause_and_resume(&browser, &standin, width).await;
    go_to(&browser, "/", width).await;
    browser.wait_until("return document.querySelector('.card img')?.naturalWidth > 0").await;
    browser.click(".card .name").await;
    browser.wait_for("h1", "Ink Wash").await;
    let entry = browser.path().await;
    evaluate(&browser).await;
    browser.open(&entry).await;
    delete_and_restore(&browser, width).await;
    browser.open(&entry).await;
    make_a_style(&browser).await;
    let wide = browser.script("return document.documentElement.scrollWidth > innerWidth").await;
    assert_eq!(wide, json!(false), "wider than its window");
    assert_quiet(&browser).await;
    browser.close().await;
}

async fn add_from_link(browser: &Browser, standin: &Standin, width: u32) {
    go_to(browser, "/add", width).await;
    browser.type_into("#q", &format!("{}/models/7", standin.civitai_url())).await;
    browser.press("\u{e007}").await;
    browser.wait_for("#preview", "Ink Wash").await;
    browser.click("#preview button.primary").await;
    browser.wait_until("return location.pathname.startsWith('/entries/')").await;
    browser.wait_for(".top .state", "Missing").await;
    browser.click("[data-act*='/models/download/']").await;
    browser.wait_for(".top .state", "Downloading").await;
}

async fn watch_pause_and_resume(browser: &Browser, standin: &Standin, width: u32) {
    go_to(browser, "/downloads", width).await;
    browser.wait_for(".job [data-live=speed]", "/s").await;
    browser.wait_until("return document.querySelectorAll('.job .segments rect').length === 64").await;
    browser.click(".job [data-act$='/pause']").await;
    browser.wait_for(".job .state", "paused").await;
    browser.click(".job [data-act$='/resume']").await;
    browser.wait_for(".job .state", "downloading").await;
    standin.clear_faults();
    browser.wait_for(".job .state", "done").await;
}

async fn evaluate(browser: &Browser) {
    browser.wait_for(".state.verified", "verified").await;
    browser.click("[data-act='POST /api/admin/evaluations']").await;
    browser.wait_for(".top .state", "completed").await;
    browser.wait_for("#evaluation h3", "In numbers").await;
}

async fn delete_and_restore(browser: &Browser, width: u32) {
    browser.click(".top button.danger").await;
    browser.click("#ask-yes").await;
    browser.wait_for(".top .state", "Missing").await;
    go_to(browser, "/bin", width).await;
    browser.wait_for("tbody", FILE).await;
    browser.click("[data-act$='/restore']").await;
    browser.wait_for(".empty", "The bin is empty").await;
    go_to(browser, "/", width).await;
    browser.wait_for(".card .state", "Present").await;
}

async fn make_a_style(browser: &Browser) {
    browser.click("a[href^='/styles/new']").await;
    browser.wait_for("h1", "New style").await;
    browser.type_into("#template", "{trigger_words}, {prompt}").await;
    browser.wait_for("#template-shown", "ink wash, a lighthouse").await;
    browser.click("form[data-act='POST /api/admin/styles'] .primary").await;
    browser.wait_until("return /^\\/styles\\/lora_/.test(location.pathname)").await;
    browser.wait_for("h1", "Ink Wash").await;
    browser.wait_for(".top .state", "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_walks_from_the_login_to_a_style_at_a_desk() {
    walk(DESKTOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_walks_from_the_login_to_a_style_on_a_phone() {
    walk(PHONE).await;
}
