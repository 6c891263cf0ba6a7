//! The library with ten thousand entries, on a desk and on a phone.

use lorakeep_standin::{Options, Standin};
use serde_json::{Value, json};

use super::pages::{DESKTOP, PHONE, assert_quiet, studio_with};

const ENTRIES: usize = 10_000;

fn large_catalog() -> Value {
    let entry = |index: usize| {
        json!({
            "file": format!("style_{index:05}.safetensors"), "dest": "loras", "name": format!("Style {index:05}"),
            "base_model": if index.is_multiple_of(4) { "SDXL 1.0" } else { "Flux.1 D" },
            "tags": [format!("tag {}", index % 50)], "trigger_words": [format!("word{index}")],
            "source": "huggingface", "hf_repo": "owner/repo", "hf_file": format!("{index}.safetensors"),
        })
    };
    (0..ENTRIES).map(entry).collect()
}

async fn walk_through(width: u32) {
    let standin = Standin::start(Options::default()).await.expect("started");
    let (server, browser) = studio_with(&standin, width).await;
    assert_eq!(server.import(&large_catalog()).await.json()["total_added"], json!(ENTRIES));
    browser.open("/").await;
    browser.wait_for("#results [role=status]", "10000 entries").await;
    // Three pages, by scrolling alone.
    let cards = |count: usize| {
        format!(
            "scrollTo(0, document.body.scrollHeight); return document.querySelectorAll('.card').length >= {count}"
        )
    };
    browser.wait_until(&cards(180)).await;
    browser.script("scrollTo(0, 0); return null").await;
    browser.type_into("#q", "word777").await;
    browser.wait_for("#results [role=status]", "11 entries").await;
    browser.clear("#q").await;
    browser
        .script(
            "document.querySelector('#q').dispatchEvent(new Event('input', { bubbles: true })); return null",
        )
        .await;
    browser.wait_for("#results [role=status]", "10000 entries").await;
    if width == PHONE {
        browser.click("#facets-box summary").await;
    }
    browser.click("#facets input[value='SDXL 1.0']").await;
    browser.wait_for("#results [role=status]", "2500 entries").await;
    browser.open("/?base_model=SDXL+1.0&view=list&sort=-added").await;
    browser.wait_for("#results [role=status]", "2500 entries").await;
    browser.press("\u{e014}").await;
    let first = browser.script("return document.activeElement.innerText").await;
    browser.press("\u{e015}").await;
    browser.wait_until(&format!("return document.activeElement.innerText !== {first}")).await;
    let second = browser.script("return document.activeElement.innerText").await;
    browser.press("\u{e007}").await;
    browser.wait_for("h1", second.as_str().expect("text")).await;
    let wide = browser.script("return document.documentElement.scrollWidth > innerWidth").await;
    assert_eq!(wide, json!(false), "wider than its window");
    assert_quiet(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_are_walked_through_at_a_desk() {
    walk_through(DESKTOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_are_walked_through_on_a_phone() {
    walk_through(PHONE).await;
}
