//! The pictures of the documentation, made from the pages as they are: `scripts/pictures`.

use std::path::Path;

use serde_json::json;

use super::driver::Browser;
use super::pages::{DESKTOP, PHONE, log_in, studio};

/// Models of the stand-in that are added and fetched.
const MODELS: [u64; 4] = [51_001, 51_002, 51_003, 51_004];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images; run scripts/pictures"]
async fn pictures_of_the_pages() {
    let (standin, server, browser) = studio(DESKTOP).await;
    for model in MODELS {
        let reference = format!("{}/models/{model}", standin.civitai_url());
        let call = server.admin(http::Method::POST, "/api/admin/entries");
        let added = call.json(&json!({ "reference": reference })).send().await.json();
        let file = added["file"].as_str().expect("added").to_owned();
        server.post(&format!("/api/admin/models/download/{file}")).await;
        server
            .wait_for(&format!("/api/admin/entries/by-file/{file}"), |entry| entry["status"] == "present")
            .await;
        let call = server.admin(http::Method::POST, &format!("/api/admin/loras/{model}/gallery"));
        call.json(&json!({ "action": "start" })).send().await;
        server
            .wait_for(&format!("/api/admin/loras/{model}/gallery"), |gallery| {
                gallery["status"] != "downloading"
            })
            .await;
    }
    server.post("/api/admin/models/import-builtin").await;
    let pages = [
        ("library", "/"),
        ("list", "/?view=list"),
        ("entry", "/entries/by-file/sunset_sketch.safetensors"),
        ("disk", "/disk"),
        ("downloads", "/downloads"),
        ("settings", "/settings"),
        ("add", "/add"),
    ];
    for (name, path) in pages {
        keep(&browser, name, path).await;
    }
    browser.close().await;
    let browser = Browser::start(server.address, PHONE).await;
    log_in(&browser).await;
    keep(&browser, "library-phone", "/").await;
    browser.close().await;
}

async fn keep(browser: &Browser, name: &str, path: &str) {
    browser.open(path).await;
    browser.wait_until("return document.readyState === 'complete' && [...document.images].every((image) => image.complete || image.loading === 'lazy')").await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join(format!("{name}.png")), browser.picture().await).expect("written");
}
