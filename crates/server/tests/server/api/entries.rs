//! The list of entries at size: words, filters, orders, pages, counts; and what users say of entries.

use http::Method;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::harness::TestServer;

/// Entries of several kinds; the last differs from the others in everything.
fn library() -> Value {
    json!([
        {"name": "Soft Ink", "file": "soft_ink_v2.safetensors", "dest": "loras/sdxl", "base_model": "Pony",
            "tags": ["style", "Ink"], "civitai_tags": ["watercolor"], "trainedWords": ["sft1nk"], "author": "Mira",
            "source": "civitai", "size_bytes": 300},
        {"name": "ink wash", "file": "wash.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0",
            "tags": ["ink"], "source": "civitai", "size_bytes": 100, "id": "a field of somebody else"},
        {"name": "Runner", "file": "runner.safetensors", "dest": "loras/wan", "base_model": "Wan Video 2.2 T2V-A14B",
            "notes": "for watercolour scenes", "size_bytes": 200},
        {"name": "Übung", "file": "ae.safetensors", "dest": "vae", "hf_repo": "o/r", "hf_file": "ae.safetensors",
            "size_bytes": 400, "favorite": true}
    ])
}

async fn server() -> TestServer {
    let server = TestServer::start().await;
    assert_eq!(server.import(&library()).await.status, 200);
    server.put_file("vae/ae.safetensors", b"twelve bytes").await;
    server
}

fn names(page: &Value) -> Vec<&str> {
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

async fn found(server: &TestServer, query: &str) -> Vec<String> {
    let answer = server.get(&format!("/api/admin/entries?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    names(&answer.json()).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_page_has_whole_entries_with_id_catalog_and_category() {
    let server = server().await;
    insta::assert_json_snapshot!(server.get("/api/admin/entries?q=ink&limit=1").await.shown());
}

#[tokio::test]
async fn words_are_found_in_every_text_whatever_the_case_and_with_typos() {
    let server = server().await;
    for (text, expected) in [
        ("INK", &["ink wash", "Soft Ink"][..]),
        ("soft+ink", &["Soft Ink"]),
        ("watrecolor", &["Runner", "Soft Ink"]),
        ("sft1nk", &["Soft Ink"]),
        ("mira", &["Soft Ink"]),
        ("%C3%BCbung", &["Übung"]),
        ("un", &["Runner", "Übung"]),
        ("nothing-like-it", &[]),
    ] {
        assert_eq!(found(&server, &format!("q={text}")).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_text_is_never_a_pattern() {
    let server = server().await;
    for text in [".*", "%25", "%5E.%2B%24", "_", "%28%28%28", "%5C", "%27%3B--", "%00"] {
        assert_eq!(found(&server, &format!("q={text}")).await, [] as [&str; 0], "{text}");
    }
    assert_eq!(found(&server, "q=z.k").await.len(), 0, "a dot is no letter");
    assert_eq!(found(&server, "q=(i%2B)%2B%24").await, found(&server, "q=i").await, "signs part words");
}

#[tokio::test]
async fn filters_want_any_all_or_none_of_the_values() {
    let server = server().await;
    for (query, expected) in [
        ("tag=ink", &["ink wash", "Soft Ink"][..]),
        ("tag=INK&tag=watercolor", &["ink wash", "Soft Ink"]),
        ("tag_all=ink&tag_all=style", &["Soft Ink"]),
        ("tag=ink&tag_not=style", &["ink wash"]),
        ("folder=loras", &["ink wash", "Runner", "Soft Ink"]),
        ("folder_not=loras/sdxl", &["Runner", "Übung"]),
        ("base_model=pony", &["Soft Ink"]),
        ("family=sdxl", &["ink wash", "Soft Ink"]),
        ("status=present", &["Übung"]),
        ("status_not=present&source=civitai", &["ink wash", "Soft Ink"]),
        ("source=huggingface", &["Übung"]),
        ("kind=lora&creator=mira", &["Soft Ink"]),
        ("favorite=true", &["Übung"]),
        ("catalog=loras", &[]),
        ("category=vae", &["Übung"]),
        ("q=ink&sort=-size", &["Soft Ink", "ink wash"]),
        ("sort=-name", &["Übung", "Soft Ink", "Runner", "ink wash"]),
        ("sort=size", &["Übung", "ink wash", "Runner", "Soft Ink"]),
        ("sort=place", &["Soft Ink", "ink wash", "Runner", "Übung"]),
    ] {
        assert_eq!(found(&server, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn counts_say_what_another_value_would_show() {
    let server = server().await;
    let answer = server.get("/api/admin/entries?facets=true&tag=style&limit=1").await.json();
    insta::assert_json_snapshot!(answer["facets"]);
    assert_eq!(server.get("/api/admin/entries").await.json()["facets"], Value::Null);
}

#[tokio::test]
async fn pages_follow_each_other_while_entries_come_and_go() {
    let server = server().await;
    let first = server.get("/api/admin/entries?limit=2").await.json();
    assert_eq!(names(&first), ["ink wash", "Runner"]);
    assert_eq!(first["total"], 4);
    let more = json!([
        {"name": "aaa", "file": "a.pt", "dest": "vae"}, {"name": "sand", "file": "s.pt", "dest": "vae"},
    ]);
    server.import(&more).await;
    server.delete("/api/admin/models/runner.safetensors/catalog").await;
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = server.get(&format!("/api/admin/entries?limit=2&cursor={cursor}")).await.json();
    assert_eq!(names(&second), ["sand", "Soft Ink"]);
    let cursor = second["next_cursor"].as_str().expect("there is more");
    let third = server.get(&format!("/api/admin/entries?limit=2&cursor={cursor}")).await.json();
    assert_eq!((names(&third), &third["next_cursor"]), (vec!["Übung"], &Value::Null));
    let other = server.get(&format!("/api/admin/entries?limit=2&q=ink&cursor={cursor}")).await;
    insta::assert_json_snapshot!("a_cursor_of_another_search", other.shown());
}

#[tokio::test]
async fn what_is_too_much_is_capped_or_refused() {
    let server = server().await;
    assert_eq!(found(&server, "limit=1000000000").await.len(), 4);
    assert_eq!(found(&server, "limit=99999999999999999999").await.len(), 4);
    let long = server.get(&format!("/api/admin/entries?q={}", "a".repeat(600))).await;
    insta::assert_json_snapshot!("a_long_search", long.shown());
    let words = (0..17).map(|word| format!("w{word}")).collect::<Vec<_>>().join("+");
    assert_eq!(server.get(&format!("/api/admin/entries?q={words}")).await.status, 400);
    let values = "tag=a&".repeat(201);
    assert_eq!(server.get(&format!("/api/admin/entries?{values}")).await.status, 400);
    for query in ["cursor=x", "cursor=WzEsMiwzXQ"] {
        assert_eq!(server.get(&format!("/api/admin/entries?{query}")).await.status, 400, "{query}");
    }
    insta::assert_json_snapshot!("an_unknown_filter", server.get("/api/admin/entries?tags=a").await.shown());
    assert_eq!(server.get("/api/admin/entries?sort=date").await.status, 422);
    assert_eq!(server.get("/api/admin/entries?limit=-1").await.status, 422);
}

#[tokio::test]
async fn a_query_of_a_megabyte_is_refused_before_it_is_read() {
    let server = server().await;
    let request = format!(
        "GET /api/admin/entries?q={} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n",
        "a".repeat(1 << 20),
        crate::harness::KEY
    );
    let answer = crate::client::raw(server.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(found(&server, "q=ink").await.len(), 2, "and the server goes on");
}

/// The id of the entry of that file.
async fn id_of(server: &TestServer, file: &str) -> String {
    let entry = server.get(&format!("/api/admin/entries/by-file/{file}")).await.json();
    entry["id"].as_str().expect("an id").to_owned()
}

async fn patch(server: &TestServer, path: &str, body: &Value) -> Answer {
    server.admin(Method::PATCH, path).json(body).send().await
}

#[tokio::test]
async fn an_edit_answers_the_entry_with_origins_and_what_was_before() {
    let server = server().await;
    let path = format!("/api/admin/entries/{}", id_of(&server, "wash.safetensors").await);
    let wish = json!({"name": "Wash", "notes": "soft\nlight", "add_tags": ["soft"], "usage_tips": {"strength": 0.7}});
    let edited = patch(&server, &path, &wish).await;
    insta::assert_json_snapshot!("edited", edited.shown());
    assert_eq!(server.get(&path).await.json(), edited.json()["entry"]);
    let history = server.get(&format!("{path}/history")).await;
    insta::assert_json_snapshot!("history", history.shown());
    let edit = edited.json()["edit"].as_str().expect("an edit").to_owned();
    let undo = format!("/api/admin/edits/{edit}/revert");
    insta::assert_json_snapshot!("undone", server.post(&undo).await.shown());
    assert_eq!(server.get(&path).await.json()["name"], "ink wash");
    insta::assert_json_snapshot!("undone_twice", server.post(&undo).await.shown());
}

#[tokio::test]
async fn an_edit_is_found_by_the_next_search_and_stands_in_the_exported_catalog() {
    let server = server().await;
    assert_eq!(found(&server, "q=moonlight").await, [] as [&str; 0]);
    let path = format!("/api/admin/entries/{}", id_of(&server, "runner.safetensors").await);
    assert_eq!(patch(&server, &path, &json!({"notes": "Moonlight", "favorite": true})).await.status, 200);
    assert_eq!(found(&server, "q=monlight").await, ["Runner"]);
    assert_eq!(found(&server, "q=watercolour").await, ["Soft Ink"], "the old note is gone");
    assert_eq!(found(&server, "favorite=true&sort=file").await, ["Übung", "Runner"]);
    let export = server.get("/api/admin/models/export").await;
    assert!(export.text().contains("\"notes\": \"Moonlight\""), "{}", export.text());
}

#[tokio::test]
async fn many_are_edited_by_a_filter_and_undone_at_once() {
    let server = server().await;
    let wish = json!({"filter": {"q": "ink", "tag_not": ["style"]}, "add_tags": ["wet"], "favorite": true});
    let edited = patch(&server, "/api/admin/entries", &wish).await;
    insta::assert_json_snapshot!("edited_many", edited.shown());
    assert_eq!(found(&server, "tag=WET").await, ["ink wash"]);
    let ids = [id_of(&server, "wash.safetensors").await, id_of(&server, "ae.safetensors").await];
    let all = patch(&server, "/api/admin/entries", &json!({"ids": ids, "remove_tags": ["wet"]})).await.json();
    assert_eq!((&all["changed"], &all["unchanged"]), (&json!(1), &json!(1)));
    let edit = all["edit"].as_str().expect("an edit");
    assert_eq!(server.post(&format!("/api/admin/edits/{edit}/revert")).await.status, 200);
    assert_eq!(found(&server, "tag=wet").await, ["ink wash"]);
}

#[tokio::test]
async fn an_edit_that_cannot_be_meant_is_refused_and_says_why() {
    let server = server().await;
    let path = format!("/api/admin/entries/{}", id_of(&server, "runner.safetensors").await);
    insta::assert_json_snapshot!(
        "a_field_that_stays",
        patch(&server, &path, &json!({"file": "b.pt"})).await.shown()
    );
    for (body, status) in [
        (json!({"notes": "a".repeat(30_000)}), 400),
        (json!({"tags": "a"}), 400),
        (json!([]), 422),
        (json!({"favorite": 1}), 400),
    ] {
        assert_eq!(patch(&server, &path, &body).await.status, status, "{body}");
    }
    for body in [
        json!({"favorite": true}),
        json!({"ids": [], "filter": {}, "favorite": true}),
        json!({"ids": ["x"], "favorite": true}),
        json!({"filter": {"tags": "a"}, "favorite": true}),
        json!({"filter": {"tag": 1}, "favorite": true}),
    ] {
        assert_eq!(patch(&server, "/api/admin/entries", &body).await.status, 422, "{body}");
    }
    let nobody = "/api/admin/entries/00000000000000000000000000000000";
    assert_eq!(patch(&server, nobody, &json!({"notes": "x"})).await.status, 404);
    assert_eq!(server.get(nobody).await.status, 404);
    assert_eq!(server.get("/api/admin/entries/not-an-id").await.status, 404);
    assert_eq!(server.post("/api/admin/edits/00000000000000000000000000000000/revert").await.status, 404);
}
