//! The library's filters: chips, filters that are kept, searches that are too long.

use lorakeep_standin::{Options, Standin};
use serde_json::{Value, json};

use super::driver::Browser;
use super::pages::{DESKTOP, assert_quiet, entry, studio_with};
use crate::harness::TestServer;

async fn with_entries() -> (Standin, TestServer, Browser) {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    let entries = (0..12).map(|index| {
        let mut entry = entry(&format!("style_{index}.safetensors"), &format!("Style {index}"));
        entry["base_model"] = json!(if index % 3 == 0 { "SDXL 1.0" } else { "Flux.1 D" });
        entry["tags"] = json!([if index % 2 == 0 { "ink" } else { "film" }]);
        entry
    });
    server.import(&Value::Array(entries.collect())).await;
    (standin, server, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_in_force_is_a_chip_that_takes_it_away() {
    let (_standin, _server, browser) = with_entries().await;
    browser.open("/?q=style").await;
    browser.click("#facets input[value='SDXL 1.0']").await;
    browser.click("#facets input[value='ink']").await;
    browser.wait_for("#results [role=status]", "2 entries").await;
    assert_eq!(browser.script("return document.querySelectorAll('.found .chips a').length").await, 2);
    browser.click("[aria-label='Take away the filter Base model: SDXL 1.0']").await;
    browser.wait_for("#results [role=status]", "6 entries").await;
    assert_eq!(browser.path().await, "/?q=style&tag=ink");
    let boxes =
        "return [...document.querySelectorAll('#facets input:checked')].map((box) => box.value).join()";
    assert_eq!(browser.script(boxes).await, "ink");
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_kept_under_a_name_and_forgotten_again() {
    let (_standin, _server, browser) = with_entries().await;
    browser.open("/").await;
    browser.click("#facets input[value='film']").await;
    browser.click("[data-keep-filter]").await;
    browser.type_into("#filter-name", "<b>Film</b> looks").await;
    browser.click("#filter-dialog .primary").await;
    browser.wait_for("#kept a", "<b>Film</b> looks").await;
    browser.open("/").await;
    browser.wait_for("#results [role=status]", "12 entries").await;
    browser.click("#kept a").await;
    browser.wait_for("#results [role=status]", "6 entries").await;
    assert_eq!(browser.path().await, "/?tag=film");
    browser.click("#kept button").await;
    browser.wait_until("return document.querySelector('#kept').hidden").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_is_too_long_is_cut_and_says_so() {
    let (_standin, _server, browser) = with_entries().await;
    let words: Vec<String> = (0..30).map(|word| format!("style{word}")).collect();
    browser.open("/?q=style").await;
    browser.type_into("#q", &format!(" {}", words.join(" "))).await;
    browser.wait_for("#results .notice", "16 words").await;
    browser.wait_for("#results [role=status]", "0 entries").await;
    browser.open("/?q=style+style+style+style+style+style+style+style+style+style+style+style+style+style+style+style+style").await;
    browser.wait_for("#results [role=status]", "12 entries").await;
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_fetched_by_wish_and_what_is_typed_meanwhile_stays() {
    let standin = Standin::with_demo(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, DESKTOP).await;
    let reference = format!("{}/models/51001", standin.civitai_url());
    let call = server.admin(http::Method::POST, "/api/admin/entries");
    let added = call.json(&json!({ "reference": reference })).send().await.json();
    browser.open(&format!("/entries/{}", added["entry"]["id"].as_str().expect("added"))).await;
    browser.type_into("#notes", "half a thought").await;
    browser.click("#gallery-options summary").await;
    browser.click("#gallery-options .primary").await;
    browser.wait_for("#gallery [role=status]", "new pictures came").await;
    browser.wait_until("return document.querySelectorAll('.gallery img').length > 2").await;
    browser.click(".gallery [data-act$='/star']").await;
    browser.wait_until("return document.querySelector('.gallery [aria-pressed=true]') !== null").await;
    assert_eq!(browser.script("return document.querySelector('#notes').value").await, "half a thought");
    browser.open("/").await;
    browser.wait_until("return document.querySelector('.card img')?.naturalWidth > 0").await;
    assert_quiet(&browser).await;
    browser.close().await;
}
