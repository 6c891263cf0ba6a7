//! Every page for those who do not see it or use no mouse: names of controls, headings, unique ids, a visible focus.

use serde_json::json;

use super::pages::{DESKTOP, PAGES, studio};

/// Controls that a screen reader could not name, pictures without a text, ids that are there twice.
const NAMELESS: &str = "
    const name = (one) => (one.labels?.length ? [...one.labels].map((label) => label.textContent).join(' ') : '')
        + (one.getAttribute('aria-label') ?? '') + (one.matches('button, a, summary') ? one.textContent : '');
    const controls = [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a[href], summary')];
    const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
    return [
        ...controls.filter((one) => !one.closest('[hidden]') && !one.hidden && name(one).trim() === ''),
        ...document.querySelectorAll('img:not([alt]), svg:not([aria-hidden=true], [role=img])'),
    ].map((one) => one.outerHTML).concat(ids.filter((id, at) => ids.indexOf(id) !== at));";
/// Steps through the page by the tab key land on things that are seen, from the top to the bottom of each column.
const FOCUSED: &str = "
    const one = document.activeElement;
    const style = getComputedStyle(one);
    return one === document.body || (one.checkVisibility() && (style.outlineStyle !== 'none' || one.matches('.skip')));";

#[tokio::test(flavor = "multi_thread")]
async fn every_control_has_a_name_and_every_page_one_heading() {
    let (_standin, server, browser) = studio(DESKTOP).await;
    server.post("/api/admin/models/import-builtin").await;
    let list = server.get("/api/admin/entries?limit=1").await.json();
    let entry = format!("/entries/{}", list["items"][0]["id"].as_str().expect("an id"));
    let paths = PAGES.iter().map(|(path, _)| *path).chain([entry.as_str(), "/?view=list"]);
    for path in paths {
        browser.open(path).await;
        assert_eq!(browser.script(NAMELESS).await, json!([]), "{path}");
        assert_eq!(browser.script("return document.querySelectorAll('h1').length").await, 1, "{path}");
        assert_eq!(browser.script("return document.documentElement.lang").await, "en", "{path}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tab_key_walks_over_what_is_seen_and_the_focus_shows() {
    let (_standin, server, browser) = studio(DESKTOP).await;
    server.post("/api/admin/models/import-builtin").await;
    for path in ["/", "/add", "/settings"] {
        browser.open(path).await;
        for _ in 0..25 {
            browser.press("\u{e004}").await;
            let shown = browser.script("return document.activeElement.outerHTML.slice(0, 200)").await;
            assert_eq!(browser.script(FOCUSED).await, true, "{path}: {shown}");
        }
    }
    // The first stop leads past the menu.
    browser.open("/").await;
    browser.press("\u{e004}").await;
    assert_eq!(browser.script("return document.activeElement.hash").await, "#content");
    browser.close().await;
}
