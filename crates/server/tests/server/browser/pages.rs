//! What a person does on the pages, from the login to the bin.

use lorakeep_standin::{Fault, FileSpec, HfRepo, Options, Standin, Times};
use serde_json::{Value, json};

use super::driver::Browser;
use crate::harness::{KEY, Setup, TestServer};

pub(super) const DESKTOP: u32 = 1280;
pub(super) const PHONE: u32 = 360;
const ENTER: &str = "\u{e007}";

/// Pages that are in the menu or one click away, with what each shows.
pub(super) const PAGES: [(&str, &str); 15] = [
    ("/", "entr"),
    ("/add", "From CivitAI or Hugging Face"),
    ("/downloads", "Downloads"),
    ("/generation", "Generation data"),
    ("/bin", "Bin"),
    ("/quarantine", "Quarantine"),
    ("/activity", "Activity"),
    ("/disk", "Disk"),
    ("/settings", "Settings"),
    ("/settings/adoption", "Nothing was taken over yet"),
    ("/settings/repository", "Nothing was fetched yet"),
    ("/duplicates", "Nothing is here twice"),
    ("/teams", "Teams and keys"),
    ("/styles", "Styles"),
    ("/styles/new", "New style"),
];

/// A server that works with the stand-in's world, and a browser in which somebody is logged in.
pub(super) async fn studio(width: u32) -> (Standin, TestServer, Browser) {
    let standin = Standin::with_demo(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, width).await;
    (standin, server, browser)
}

pub(super) async fn studio_with(standin: &Standin, width: u32) -> (TestServer, Browser) {
    let server = TestServer::start_downloading(standin).await;
    let browser = Browser::start(server.address, width).await;
    log_in(&browser).await;
    (server, browser)
}

pub(super) async fn log_in(browser: &Browser) {
    browser.open("/login").await;
    browser.type_into("input[type=password]", KEY).await;
    browser.type_into("input[type=password]", ENTER).await;
    browser.wait_until("return location.pathname === '/'").await;
}

/// Nothing failed in the page and nothing was forbidden by its policy.
pub(super) async fn assert_quiet(browser: &Browser) {
    let complaints = browser.console().await;
    assert!(complaints.is_empty(), "on {}: {complaints:#?}", browser.path().await);
}

pub(super) fn entry(file: &str, name: &str) -> Value {
    json!({"file": file, "dest": "loras", "name": name, "source": "huggingface", "hf_repo": "owner/repo", "hf_file": file})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_and_comes_back_to_the_page_they_wanted() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let server = TestServer::start_downloading(&standin).await;
    let browser = Browser::start(server.address, DESKTOP).await;
    browser.open("/disk?by=base").await;
    browser.type_into("input[type=password]", "wrong").await;
    browser.type_into("input[type=password]", ENTER).await;
    browser.wait_for("[role=alert]", "key").await;
    browser.type_into("input[type=password]", KEY).await;
    browser.type_into("input[type=password]", ENTER).await;
    browser.wait_until("return location.pathname + location.search === '/disk?by=base'").await;
    browser.click("#logout").await;
    browser.wait_until("return location.pathname === '/login'").await;
    browser.open("/bin").await;
    browser.wait_until("return location.pathname === '/login'").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_added_from_a_link_and_seen_arriving() {
    let (standin, _server, browser) = studio(DESKTOP).await;
    browser.open("/add").await;
    let link = format!("{}/models/51001", standin.civitai_url());
    browser.type_into("#q", &link).await;
    browser.type_into("#q", ENTER).await;
    browser.wait_for("#preview", "Sunset Sketch").await;
    browser.click("#preview button.primary").await;
    browser.wait_until("return location.pathname.startsWith('/entries/')").await;
    browser.wait_for("h1", "Sunset Sketch").await;
    browser.click("[data-act*='/models/download/']").await;
    // Nobody loads the page again: the live stream does.
    browser.wait_for(".top .state", "Present").await;
    browser.wait_for("dd", "SDXL 1.0").await;
    browser.wait_for(".words-list", "sunset sketch").await;
    browser.wait_for(".state.verified", "verified").await;
    browser.wait_for("dt", "Base model by its tensors").await;
    browser.click("[data-act='POST /api/admin/evaluations']").await;
    browser.wait_for(".top .state", "completed").await;
    browser.wait_for("#evaluation dd", "lora").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_paused_resumed_and_cancelled_from_the_queue() {
    let standin = Standin::start(Options::default()).await.expect("started");
    // Long enough that it never ends by itself, however slow the machine is.
    let file = FileSpec::new("style.safetensors", 64 << 20);
    standin.add_repo(HfRepo::new("owner/repo").file(file));
    standin.fault("style.safetensors", Fault::DripRate(200_000), Times::Always);
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    server.import(&json!([entry("style.safetensors", "Style")])).await;
    browser.open("/").await;
    browser.click(".card [data-act*='/download/']").await;
    browser.wait_for(".card .state", "Downloading").await;
    browser.open("/downloads").await;
    browser.wait_for(".job [data-live=speed]", "/s").await;
    browser.click("[aria-label='Pause Style']").await;
    browser.wait_for(".job .state", "paused").await;
    browser.click(".job [data-act$='/resume']").await;
    browser.wait_for(".job .state", "downloading").await;
    browser.click("[aria-label='Cancel Style']").await;
    browser.click("#ask-yes").await;
    browser.wait_for(".job .state", "cancelled").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_comes_back_by_undo_and_from_the_bin() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    server.import(&json!([entry("style.safetensors", "Style")])).await;
    server.put_file("loras/style.safetensors", b"weights").await;
    browser.open("/").await;
    browser.click(".card .name").await;
    for way_back in [".toast button", "/bin"] {
        browser.wait_for(".top .state", "Present").await;
        browser.click("button.danger").await;
        browser.click("#ask-yes").await;
        browser.wait_for(".top .state", "Missing").await;
        if way_back == "/bin" {
            let entry = browser.path().await;
            browser.open("/bin").await;
            browser.click("[data-act$='/restore']").await;
            browser.wait_for(".empty", "The bin is empty").await;
            browser.open(&entry).await;
        } else {
            browser.click(way_back).await;
        }
    }
    browser.wait_for(".top .state", "Present").await;
    let content = std::fs::read(server.models_dir().join("loras/style.safetensors")).expect("it is back");
    assert_eq!(content, b"weights");
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_is_searched_filtered_and_walked_with_keys() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    let entries: Vec<Value> = (0..300)
        .map(|index| {
            let mut entry = entry(&format!("style_{index:03}.safetensors"), &format!("Style {index:03}"));
            entry["base_model"] = json!(if index % 3 == 0 { "SDXL 1.0" } else { "Flux.1 D" });
            entry["tags"] = json!([if index % 2 == 0 { "ink" } else { "film" }]);
            entry
        })
        .collect();
    server.import(&Value::Array(entries)).await;
    browser.open("/").await;
    browser.wait_for("#results [role=status]", "300 entries").await;
    browser.press("/").await;
    browser.type_into("#q", "style 01").await;
    browser.wait_for("#results [role=status]", "13 entries").await;
    assert_eq!(browser.path().await, "/?q=style+01");
    browser.click("#facets input[value='SDXL 1.0']").await;
    browser.wait_for("#results [role=status]", "4 entries").await;
    assert_eq!(browser.path().await, "/?q=style+01&base_model=SDXL+1.0");
    // A bookmark shows the same, and the arrow keys walk over what is found.
    browser.open(&browser.path().await).await;
    browser.wait_for("#results [role=status]", "4 entries").await;
    browser.press("\u{e014}\u{e014}x").await;
    browser.wait_for("#bulk-count", "1 selected").await;
    assert_eq!(browser.script("return document.activeElement.innerText").await, "Style 015");
    // Further pages come when the end is seen.
    browser.open("/?view=list").await;
    browser.wait_until("window.scrollTo(0, document.body.scrollHeight); return document.querySelectorAll('.pick').length === 300").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone_and_complains_of_nothing() {
    let (_standin, server, browser) = studio(PHONE).await;
    server.post("/api/admin/models/import-builtin").await;
    server
        .put_file("loras/an_unlisted_file_with_a_rather_long_name_that_has_no_spaces.safetensors", b"x")
        .await;
    for (path, shown) in PAGES {
        browser.open(path).await;
        browser.wait_for("main", shown).await;
        let width = browser.script("return document.documentElement.scrollWidth").await;
        assert_eq!(width, json!(PHONE), "{path} is wider than the phone");
        assert_quiet(&browser).await;
    }
    browser.click("#menu-toggle").await;
    browser.click("#menu a[href='/disk']").await;
    browser.wait_until("return location.pathname === '/disk'").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_held_and_limits_are_set_on_the_settings_page() {
    let standin = Standin::start(Options::default()).await.expect("started");
    let server = TestServer::start_with(Setup { standin: Some(&standin), ..Setup::default() }).await;
    let browser = Browser::start(server.address, DESKTOP).await;
    log_in(&browser).await;
    browser.open("/settings").await;
    browser.clear("#max_concurrent").await;
    browser.type_into("#max_concurrent", "5").await;
    browser.type_into("#bandwidth", "2.5").await;
    browser.click("form[data-act='PUT /api/admin/settings'] button").await;
    browser.wait_for(".toast", "Saved").await;
    let settings = server.get("/api/admin/settings").await.json();
    assert_eq!((&settings["max_concurrent"], &settings["bandwidth"]), (&json!(5), &json!(2_621_440)));
    browser.open("/settings").await;
    assert_eq!(browser.script("return document.querySelector('#bandwidth').value").await, "2.5");
    browser.close().await;
}
