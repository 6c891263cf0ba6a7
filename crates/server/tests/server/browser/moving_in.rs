//! Taking over what others made: the folder of another program, the catalog of a repository; and copies found afterwards.

use std::fs;
use std::path::Path;

use lorakeep_standin::{Options, Standin};
use serde_json::json;

use super::pages::{DESKTOP, assert_quiet, studio_with};

/// A picture of one pixel.
const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("below a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_s_folder_is_looked_at_and_then_taken_over_with_its_pictures() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    let studio = server.root().join("other-studio");
    let catalog = json!({"version": 3, "date": "2026-03-01 10:00", "categories": [
        {"id": "vae", "name": "VAE", "models": [{"file": "a.pt", "dest": "vae"}, {"file": "../b.pt", "dest": "vae"}]},
    ]});
    write(&studio.join("catalogs/models.json"), catalog.to_string().as_bytes());
    server.put_file("loras/own.safetensors", b"own").await;
    server.put_file("loras/own.json", br#"{"activation text": "ink wash"}"#).await;
    server.put_file("loras/own.preview.gif", GIF).await;
    browser.open("/settings").await;
    browser.click("a[href='/settings/adoption']").await;
    browser.type_into("#path", &studio.display().to_string()).await;
    browser.click("input[name=unlisted]").await;
    browser.click("form .primary").await;
    browser.wait_for("#adoption", "This is what would be taken over").await;
    browser.wait_for("#adoption", "Cannot be used").await;
    assert_eq!(server.get("/api/admin/entries").await.json()["total"], 0, "a look changes nothing");
    browser.click("#adoption .primary").await;
    browser.wait_for("#adoption .state", "Taken over").await;
    assert_eq!(server.get("/api/admin/entries").await.json()["total"], 2);
    browser.open("/?q=ink").await;
    browser.wait_until("return document.querySelector('.card img')?.naturalWidth > 0").await;
    browser.open("/settings/adoption").await;
    browser.clear("#path").await;
    browser.type_into("#path", "/nowhere/at/all").await;
    browser.click("form .primary").await;
    browser.wait_for(".toast.bad", "/nowhere/at/all").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_says_what_it_would_do_before_it_does() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    let repository = server.data_dir().join(".repo/catalogs/models.json");
    let catalog = |name: &str| {
        json!({"version": 7, "date": "2026-03-01 10:00", "categories": [
            {"id": "vae", "name": "VAE", "models": [{"name": name, "file": "a.pt", "dest": "vae"}]},
        ]})
        .to_string()
    };
    write(&repository, catalog("First").as_bytes());
    browser.open("/settings/repository").await;
    browser.wait_for("#sync .panel", "What would change").await;
    browser.wait_for("#sync details", "a.pt").await;
    browser.click("#sync .primary").await;
    browser.wait_for(".toast", "1 added, 0 updated").await;
    browser.wait_for("#sync .empty", "Up to date").await;
    // Both sides give it another name.
    let list = server.get("/api/admin/entries").await.json();
    let path = format!("/api/admin/entries/{}", list["items"][0]["id"].as_str().expect("an id"));
    let edit = server.admin(http::Method::PATCH, &path).json(&json!({ "name": "Ours" })).send().await;
    assert_eq!(edit.status, 200, "{}", edit.text());
    write(&repository, catalog("Theirs").as_bytes());
    browser.open("/settings/repository").await;
    browser.wait_for("#sync td", "Ours").await;
    browser.wait_for("#sync td", "Theirs").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_to_the_bin_but_never_the_last_one() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    for name in ["loras/a.safetensors", "loras/b.safetensors"] {
        server.put_file(name, &crate::harness::sdxl_lora()).await;
    }
    server.wait_for("/api/admin/duplicates", |report| report["total"] == 1).await;
    browser.open("/disk").await;
    browser.click("a[href='/duplicates']").await;
    browser.wait_for("#duplicates h2", "The same file").await;
    browser.click("#duplicates li:nth-child(2) .danger").await;
    browser.wait_for("#duplicates .empty", "Nothing is here twice").await;
    browser.click(".toast .quiet").await;
    browser.wait_for("#duplicates h2", "The same file").await;
    let left = fs::read_dir(server.models_dir().join("loras")).expect("read").count();
    assert_eq!(left, 2, "it came back");
    assert_quiet(&browser).await;
    browser.close().await;
}
