//! Asking for files, the queue and its jobs.

use http::{Method, StatusCode};
use lorakeep_standin::{FileSpec, HfRepo, LoraFamily, Options, Standin};
use serde_json::{Value, json};

use crate::client::{Answer, masked};
use crate::harness::TestServer;

const FILE: &str = "style.safetensors";

/// A stand-in with one small LoRA.
async fn upstream() -> Standin {
    let standin = Standin::start(Options::default()).await.expect("started");
    standin.add_repo(HfRepo::new("owner/repo").file(FileSpec::lora(FILE, LoraFamily::Sdxl, 4)));
    standin
}

fn entry(file: &str) -> Value {
    json!({"file": file, "dest": "loras", "name": "Style", "source": "huggingface", "hf_repo": "owner/repo", "hf_file": file})
}

/// A server whose queue does not move, with these files asked for.
async fn queue_of(files: &[&str]) -> (TestServer, Vec<String>) {
    let server = TestServer::start().await;
    server.import(&files.iter().map(|file| entry(file)).collect()).await;
    let mut ids = Vec::new();
    for file in files {
        let answer = server.post(&format!("/api/admin/models/download/{file}")).await.json();
        ids.push(answer["download_id"].as_str().expect("an id").to_owned());
    }
    (server, ids)
}

async fn act(server: &TestServer, id: &str, action: &str) -> Answer {
    server.post(&format!("/api/admin/downloads/{id}/{action}")).await
}

async fn order(server: &TestServer) -> Vec<String> {
    let page = server.get("/api/admin/downloads").await.json();
    let items = page["items"].as_array().expect("a list").iter();
    items.map(|item| item["file"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_file_is_asked_for_and_comes() {
    let standin = upstream().await;
    let server = TestServer::start_downloading(&standin).await;
    server.import(&json!([entry(FILE)])).await;
    let asked = server.post(&format!("/api/admin/models/download/{FILE}")).await;
    insta::assert_json_snapshot!("asked", asked.shown());
    let path = format!("/api/admin/entries/by-file/{FILE}");
    let entry = server.wait_for(&path, |entry| entry["status"] == "present").await;
    let size = std::fs::metadata(server.models_dir().join("loras").join(FILE)).expect("it is there").len();
    assert_eq!((&entry["on_disk_bytes"], &entry["expected_bytes"]), (&json!(size), &json!(size)));
    let state =
        ["status", "state", "progress", "speed", "error", "verification"].map(|field| (field, &entry[field]));
    insta::assert_json_snapshot!("a_file_that_came", std::collections::BTreeMap::from(state));
    assert_eq!(entry["sha256_on_disk"].as_str().map(str::len), Some(64));
    let download = server
        .get(&format!("/api/admin/downloads/{}", asked.json()["download_id"].as_str().expect("an id")))
        .await;
    assert_eq!((&download.json()["status"], &download.json()["percent"]), (&json!("done"), &json!(100.0)));
}

#[tokio::test]
async fn a_present_file_is_fetched_again_only_by_force() {
    let server = TestServer::start().await;
    server.import(&json!([entry(FILE)])).await;
    server.put_file(&format!("loras/{FILE}"), b"here").await;
    let path = format!("/api/admin/models/download/{FILE}");
    insta::assert_json_snapshot!("present", server.post(&path).await.shown());
    insta::assert_json_snapshot!("forced", server.post(&format!("{path}?force=true")).await.shown());
    let unclear = server.post(&format!("{path}?force=maybe")).await;
    insta::assert_json_snapshot!("unclear_force", unclear.shown());
}

#[tokio::test]
async fn asking_twice_names_the_one_job() {
    let (server, ids) = queue_of(&["a.safetensors"]).await;
    let again = server.post("/api/admin/models/download/a.safetensors").await.json();
    assert_eq!(again, json!({"status": "queued", "file": "a.safetensors", "download_id": ids[0]}));
}

#[tokio::test]
async fn an_unknown_file_and_one_without_a_source_are_refused() {
    let server = TestServer::start().await;
    server.import(&json!([{"file": "mine.safetensors", "dest": "loras"}])).await;
    insta::assert_json_snapshot!(
        "unknown_file",
        server.post("/api/admin/models/download/no%20such.pt").await.shown()
    );
    insta::assert_json_snapshot!(
        "no_source",
        server.post("/api/admin/models/download/mine.safetensors").await.shown()
    );
}

#[tokio::test]
async fn a_batch_says_what_it_skipped_and_why() {
    let (server, _) = queue_of(&["queued.safetensors"]).await;
    let more = json!([entry("new.safetensors"), entry("here.safetensors"), {"file": "mine.safetensors", "dest": "loras"}]);
    server.import(&more).await;
    server.put_file("loras/here.safetensors", b"here").await;
    let names = ["new", "queued", "here", "mine", "none", "new"].map(|name| format!("{name}.safetensors"));
    let call =
        server.admin(Method::POST, "/api/admin/models/download-batch").json(&json!({"filenames": names}));
    insta::assert_json_snapshot!(call.send().await.shown());
}

#[tokio::test]
async fn a_job_is_paused_resumed_cancelled_and_tried_again() {
    let (server, ids) = queue_of(&["a.safetensors"]).await;
    let id = &ids[0];
    for (action, status, state) in [
        ("pause", "queued", "paused"),
        ("resume", "queued", "queued"),
        ("cancel", "not_downloaded", "cancelled"),
        ("retry", "queued", "queued"),
    ] {
        let answer = act(&server, id, action).await;
        assert_eq!(answer.status, 200, "{action}: {}", answer.text());
        assert_eq!(
            (&answer.json()["status"], &answer.json()["state"]),
            (&json!(status), &json!(state)),
            "{action}"
        );
    }
    insta::assert_json_snapshot!("a_job", server.get(&format!("/api/admin/downloads/{id}")).await.shown());
    insta::assert_json_snapshot!("a_forbidden_step", act(&server, id, "resume").await.shown());
}

#[tokio::test]
async fn a_job_that_does_not_exist_is_not_found() {
    let server = TestServer::start().await;
    let unknown = "01900000000070008000000000000000";
    insta::assert_json_snapshot!(act(&server, unknown, "pause").await.shown());
    assert_eq!(act(&server, "7", "pause").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/admin/downloads/7").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn jobs_are_moved_within_the_queue() {
    let (server, ids) = queue_of(&["a.pt", "b.pt", "c.pt"]).await;
    assert_eq!(order(&server).await, ["a.pt", "b.pt", "c.pt"]);
    for (id, body, expected) in [
        (&ids[2], json!({"to": "top"}), ["c.pt", "a.pt", "b.pt"]),
        (&ids[2], json!({"to": "bottom"}), ["a.pt", "b.pt", "c.pt"]),
        (&ids[0], json!({"after": ids[1]}), ["b.pt", "a.pt", "c.pt"]),
        (&ids[2], json!({"before": ids[0]}), ["b.pt", "c.pt", "a.pt"]),
        (&ids[0], json!({"priority": 5}), ["a.pt", "b.pt", "c.pt"]),
    ] {
        let call = server.admin(Method::POST, &format!("/api/admin/downloads/{id}/move")).json(&body);
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(order(&server).await, expected, "{body}");
    }
}

#[tokio::test]
async fn a_move_says_exactly_one_place() {
    let (server, ids) = queue_of(&["a.pt"]).await;
    let path = format!("/api/admin/downloads/{}/move", ids[0]);
    for body in
        [json!({}), json!({"to": "left"}), json!({"to": "top", "priority": 1}), json!({"before": "x"})]
    {
        let answer = server.admin(Method::POST, &path).json(&body).send().await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_whole_queue_is_paused_and_resumed() {
    let (server, ids) = queue_of(&["a.pt", "b.pt", "c.pt"]).await;
    act(&server, &ids[0], "cancel").await;
    assert_eq!(server.post("/api/admin/downloads/pause-all").await.json(), json!({"changed": 2}));
    assert_eq!(server.post("/api/admin/downloads/resume-all").await.json(), json!({"changed": 2}));
}

#[tokio::test]
async fn the_queue_is_listed_by_state_and_page() {
    let (server, ids) = queue_of(&["a.pt", "b.pt", "c.pt"]).await;
    act(&server, &ids[1], "pause").await;
    let paused = server.get("/api/admin/downloads?state=paused").await;
    insta::assert_json_snapshot!("paused_jobs", paused.shown());
    let first = server.get("/api/admin/downloads?limit=2").await.json();
    assert_eq!((first["items"].as_array().map(Vec::len), &first["total"]), (Some(2), &json!(3)));
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = server.get(&format!("/api/admin/downloads?limit=2&cursor={cursor}")).await.json();
    assert_eq!((second["items"].as_array().map(Vec::len), &second["next_cursor"]), (Some(1), &Value::Null));
    insta::assert_json_snapshot!(
        "unknown_state",
        server.get("/api/admin/downloads?state=lost").await.shown()
    );
    insta::assert_json_snapshot!("bad_limit", server.get("/api/admin/downloads?limit=many").await.shown());
    assert_eq!(server.get("/api/admin/downloads?cursor=nonsense").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_download_that_failed_says_what_to_do() {
    let standin = upstream().await;
    let server = TestServer::start_downloading(&standin).await;
    server.import(&json!([entry("missing.safetensors")])).await;
    server.post("/api/admin/models/download/missing.safetensors").await;
    let path = "/api/admin/entries/by-file/missing.safetensors";
    let entry = server.wait_for(path, |entry| entry["status"] == "error").await;
    assert!(entry["error"].as_str().is_some_and(|text| !text.is_empty()), "{entry}");
    let failed = server.get("/api/admin/downloads?state=error").await.json();
    assert!(failed["items"][0]["error_code"].is_string(), "{}", masked(failed));
}
