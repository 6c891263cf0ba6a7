//! The documentation as readers get it.

use std::collections::BTreeSet;

use http::Method;
use lorakeep_server::Surface;

use crate::harness::TestServer;

/// What stands between `start` and `end`, each time.
fn between<'a>(text: &'a str, start: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
}

#[tokio::test]
async fn everything_that_the_documentation_links_to_is_served_to_everybody() {
    let server = TestServer::start().await;
    let mut open: Vec<String> = vec!["/docs".to_owned(), "/llms.txt".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = server.anonymous(Method::GET, &path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        let text = answer.text();
        let is_index = matches!(path.as_str(), "/docs" | "/llms.txt")
            || Surface::ALL.iter().any(|own| path.ends_with(own.as_str()));
        if is_index {
            let links = between(text, "href=\"", '"').chain(between(text, "](", ')'));
            let own = links.filter(|link| {
                link.starts_with("/docs") || link.starts_with("/openapi") || link.starts_with("/llms")
            });
            open.extend(own.map(str::to_owned));
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[tokio::test]
async fn the_reference_shows_every_operation_under_the_policy_of_all_pages() {
    let server = TestServer::start().await;
    for surface in Surface::ALL {
        let answer = server.anonymous(Method::GET, &format!("/docs/{}", surface.as_str())).send().await;
        assert!(answer.header("content-security-policy").starts_with("default-src 'self'"));
        let page = answer.text();
        assert!(!page.contains("<script>") && !page.contains("style=\""), "nothing runs within the page");
        let document: serde_json::Value = serde_json::from_str(&surface.openapi()).expect("JSON");
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for operation in methods.as_object().expect("methods").values() {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(page.contains(&format!("id=\"{id}\"")), "{path}");
            }
        }
        // Every link within the page has its place.
        for target in between(page, "href=\"#", '"').filter(|target| *target != "content") {
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_is_404() {
    let server = TestServer::start().await;
    for path in [
        "/docs/nothing",
        "/docs/nothing.md",
        "/docs/..%2FREADME.md",
        "/openapi/nothing.json",
        "/openapi/studio",
    ] {
        assert_eq!(server.anonymous(Method::GET, path).send().await.status, 404, "{path}");
    }
}
