//! What happened: the list, its filters, the live stream.

use http::Method;
use lorakeep_registry::domain::CatalogName;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::read_until;
use crate::harness::{KEY, Studio};

/// A studio in which one entry was imported and removed again.
async fn eventful() -> Studio {
    let studio = Studio::start().await;
    studio.import(CatalogName::Models, json!([{"file": "a.pt", "dest": "vae"}])).await;
    let removed = studio.request(Method::DELETE, "/api/admin/models/a.pt/catalog");
    assert_eq!(studio.send(removed).await.0, 200);
    studio
}

/// The event without its id, which is told apart by form.
fn without_id(mut event: Value) -> Value {
    let id = event["id"].take();
    let digits = id.as_str().and_then(|id| id.strip_prefix("evt_")).expect("an id begins so").to_owned();
    assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    event
}

fn removed() -> Value {
    json!({
        "id": null, "type": "model.removed", "timestamp": "2026-03-23T12:00:00.000Z", "severity": "info",
        "message": "Removed a.pt from the catalog",
        "data": {"file": "a.pt", "dest": "vae", "catalog": "models"},
    })
}

#[tokio::test]
async fn events_are_listed_oldest_first_in_the_form_of_the_contract() {
    let studio = eventful().await;
    let (status, body) = studio.get("/api/admin/events").await;
    let events: Vec<Value> = body.as_array().expect("a list").iter().cloned().map(without_id).collect();
    let imported = json!({
        "id": null, "type": "model.imported", "timestamp": "2026-03-23T12:00:00.000Z", "severity": "success",
        "message": "Imported 1 into models", "data": {"catalog": "models", "added": 1, "skipped": 0},
    });
    assert_eq!((status, events), (200, vec![imported, removed()]));
}

#[tokio::test]
async fn events_are_filtered_by_type_severity_and_number() {
    let studio = eventful().await;
    let kinds = async |query: &str| {
        let (status, body) = studio.get(&format!("/api/admin/events{query}")).await;
        assert_eq!(status, 200, "{body}");
        let events = body.as_array().expect("a list").clone();
        events.into_iter().map(|event| event["type"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("?limit=1").await, ["model.removed"], "the newest");
    assert_eq!(kinds("?types=model.imported,model.deleted&severity=").await, ["model.imported"]);
    assert_eq!(kinds("?severity=info").await, ["model.removed"]);
    for query in ["?limit=0", "?limit=1001", "?limit=x", "?severity=bad"] {
        assert_eq!(studio.get(&format!("/api/admin/events{query}")).await.0, 422, "{query}");
    }
}

#[tokio::test]
async fn the_stream_tells_each_event_as_it_happens_and_goes_on_where_a_client_was() {
    let studio = Studio::start().await;
    let mut stream = TcpStream::connect(studio.server.address).await.expect("connected");
    let head = |more: &str| {
        format!("GET /api/admin/events/stream HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n{more}\r\n")
    };
    stream.write_all(head("").as_bytes()).await.expect("sent");
    let opened = read_until(&mut stream, ": watching\n\n").await;
    assert!(opened.contains("content-type: text/event-stream"), "{opened}");
    studio.import(CatalogName::Models, json!([{"file": "a.pt", "dest": "vae"}])).await;
    let frame = read_until(&mut stream, "\"skipped\":0}}\n\n").await;
    assert!(frame.contains("id: 1\ndata: {\"id\":\"evt_"), "{frame}");
    drop(stream);
    let removed = studio.request(Method::DELETE, "/api/admin/models/a.pt/catalog");
    assert_eq!(studio.send(removed).await.0, 200);
    let mut stream = TcpStream::connect(studio.server.address).await.expect("connected");
    stream.write_all(head("Last-Event-ID: 1\r\n").as_bytes()).await.expect("sent");
    let frame = read_until(&mut stream, "\"catalog\":\"models\"}}\n\n").await;
    assert!(frame.contains("id: 2\n") && !frame.contains("id: 1\n"), "{frame}");
}
