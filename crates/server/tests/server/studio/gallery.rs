//! The gallery.

use http::{Method, StatusCode};
use lorakeep_registry::domain::CatalogName;
use lorakeep_standin::{CivitImage, Fault, Options, Standin, Times};
use serde_json::{Value, json};

use crate::harness::Studio;

async fn studio(environment: &[(&str, &str)]) -> (Studio, Value) {
    let studio = Studio::start_with(environment).await;
    let entry =
        json!([{"file": "a.safetensors", "dest": "loras", "civitai_version_id": 70, "civitai_model_id": 7}]);
    studio.import(CatalogName::Loras, entry).await;
    studio.standin.add_image(CivitImage::new(12_345_678, 64, 48).of_version(70));
    let (status, row) = studio.post("/api/admin/loras/gallery/download-single/12345678").await;
    assert_eq!(status, 200, "{row}");
    (studio, row)
}

#[tokio::test]
async fn download_single_answers_status_id_and_the_whole_row() {
    let (studio, mut row) = studio(&[]).await;
    for varies in ["file_size", "thumb_size"] {
        assert!(row[varies].take().as_u64().is_some_and(|bytes| bytes > 0), "{varies}");
    }
    let expected = json!({
        "status": "downloaded", "civitai_id": "12345678", "file_uuid": "5da4d1e0-0000-4000-8000-000000bc614e",
        "type": "image", "ext": ".png", "file_path": "media/123/456/12345678.png",
        "thumb_path": "media/123/456/12345678.thumb.jpg", "meta_path": "media/123/456/12345678.json", "model_id": 7,
        "post_id": 1_234_567, "post_title": null, "username": "standin-artist", "base_model": "SDXL 1.0", "width": 64,
        "height": 48, "duration": null, "audio": 0, "file_size": null, "created_at": "2026-07-02T09:00:00.000Z",
        "downloaded_at": "2026-03-23T12:00:00.000Z", "reactions": 32, "comments": 0, "collected": 0, "has_meta": 1,
        "has_gen_data": 0, "source": "community", "search_mode": "fixed", "starred": 0,
        "prompt": "a lighthouse above a quiet sea, evening light", "thumb_size": null,
    });
    assert_eq!(row, expected);
    let (status, body) = studio.post("/api/admin/loras/gallery/download-single/9").await;
    let detail = body["detail"].as_str().expect("a text");
    assert!(
        status == 502 && detail.starts_with("Failed to download image from CivitAI: "),
        "{status} {body}"
    );
    assert_eq!(studio.post("/api/admin/loras/gallery/download-single/x").await.0, 422);
}

#[tokio::test]
async fn media_are_sent_by_range_and_cached_for_good() {
    let (studio, _) = studio(&[]).await;
    let get = |path: &str| studio.request(Method::GET, path);
    let whole = get("/api/admin/loras/gallery/media/12345678.jpeg").send().await;
    assert_eq!(whole.header("content-type"), "image/png", "told by its bytes, not by the name");
    assert_eq!(whole.header("cache-control"), "public, max-age=86400, immutable");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    let etag = whole.header("etag");
    let bytes = &whole.body;
    let part = get("/api/admin/loras/gallery/media/12345678").header("range", "bytes=1-3").send().await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.header("content-range"), format!("bytes 1-3/{}", bytes.len()));
    assert_eq!(part.body, bytes.slice(1..4));
    let beyond =
        get("/api/admin/loras/gallery/media/12345678").header("range", "bytes=99999999-").send().await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let known = get("/api/admin/loras/gallery/media/12345678").header("if-none-match", etag).send().await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let thumb = get("/api/admin/loras/gallery/thumb/12345678").send().await;
    assert_eq!(thumb.header("content-type"), "image/jpeg");
    let missing = json!({"detail": "Image not found"});
    assert_eq!(studio.get("/api/admin/loras/gallery/media/9").await, (404, missing));
    let invalid = json!({"detail": "Invalid id"});
    assert_eq!(studio.get("/api/admin/loras/gallery/thumb/..%2e").await, (400, invalid));
}

#[tokio::test]
async fn media_need_a_key() {
    let (studio, _) = studio(&[]).await;
    let path = "/api/admin/loras/gallery/media/12345678";
    let answer = studio.server.anonymous(Method::GET, path).send().await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_model_s_gallery_has_the_form_of_the_contract() {
    let (studio, row) = studio(&[]).await;
    assert_eq!(studio.post("/api/admin/loras/gallery/12345678/star").await, (200, json!({"starred": true})));
    assert_eq!(studio.post("/api/admin/loras/gallery/9/star").await, (200, json!({"starred": false})));
    let chosen = json!({"status": "ok", "model_id": 7, "civitai_id": "12345678"});
    assert_eq!(studio.post("/api/admin/loras/gallery/12345678/set-preview").await, (200, chosen));
    let (status, mut body) = studio.get("/api/admin/loras/7/gallery?starred=true").await;
    assert_eq!(status, 200, "{body}");
    let shown = body["gallery_community"][0].take();
    assert_eq!((&shown["civitai_id"], &shown["starred"]), (&json!("12345678"), &json!(1)));
    let expected = json!({
        "status": "idle", "downloaded": 0, "skipped": 0, "total": 0, "pages_fetched": 0, "error": null, "counted": 1, "gallery_card": [],
        "gallery_card_bytes": 0, "gallery_community": [null], "gallery_community_bytes": row["file_size"],
        "default_preview": "12345678", "custom_preview": "12345678",
    });
    assert_eq!(body, expected);
    let (_, meta) = studio.get("/api/admin/loras/gallery/12345678/meta").await;
    assert_eq!(meta["meta"]["steps"], 28);
    let kept = studio.send(studio.request(Method::DELETE, "/api/admin/loras/7/gallery")).await;
    assert_eq!(kept, (200, json!({"deleted": 0})), "starred images stay");
    let deleted = json!({"status": "deleted", "civitai_id": "12345678"});
    let answer = studio.send(studio.request(Method::DELETE, "/api/admin/loras/gallery/12345678")).await;
    assert_eq!(answer, (200, deleted));
    let missing = json!({"detail": "Metadata not found"});
    assert_eq!(studio.get("/api/admin/loras/gallery/12345678/meta").await, (404, missing));
}

#[tokio::test]
async fn to_input_answers_the_name_in_comfyui_s_input_folder() {
    let comfyui = tempfile::tempdir().expect("a folder");
    let (studio, _) = studio(&[("COMFYUI_DIR", comfyui.path().to_str().expect("text"))]).await;
    let copied = studio.post("/api/admin/loras/gallery/to-input/12345678").await;
    assert_eq!(copied, (200, json!({"filename": "gallery_12345678.png"})));
    assert!(comfyui.path().join("input/gallery_12345678.png").is_file());
    let missing = json!({"detail": "Image not found in gallery"});
    assert_eq!(studio.post("/api/admin/loras/gallery/to-input/9").await, (404, missing));
}

#[tokio::test]
async fn to_input_without_comfyui_is_503_with_what_to_configure() {
    let (studio, _) = studio(&[]).await;
    let (status, body) = studio.post("/api/admin/loras/gallery/to-input/12345678").await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test]
async fn a_gallery_run_is_started_stopped_and_told_of() {
    let (studio, _) = studio(&[]).await;
    let act = async |action: &str| {
        let call = studio.request(Method::POST, "/api/admin/loras/7/gallery");
        studio.send(call.json(&json!({"action": action}))).await
    };
    assert_eq!(act("start:5").await, (200, json!({"status": "downloading"})));
    for _ in 0..500 {
        let (_, body) = studio.get("/api/admin/loras/7/gallery").await;
        if body["status"] == "done" {
            assert_eq!((&body["downloaded"], &body["skipped"]), (&json!(0), &json!(1)));
            assert_eq!(act("stop").await, (200, json!({"status": "stopping"})));
            let refused = json!({"detail": "action must be 'start' or 'stop'"});
            assert_eq!(act("dance").await, (400, refused));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the run never ended");
}

#[tokio::test]
async fn with_comfyui_s_address_alone_an_image_is_uploaded_under_the_name_that_it_chose() {
    let standin = Standin::start(Options::default()).await.expect("a stand-in");
    let (studio, row) = studio(&[("COMFYUI_URL", &standin.comfyui_url())]).await;
    let uploaded = studio.post("/api/admin/loras/gallery/to-input/12345678").await;
    assert_eq!(uploaded, (200, json!({"filename": "gallery_12345678.png"})));
    let kept = standin.comfyui_input("gallery_12345678.png").expect("kept");
    assert_eq!(Some(kept.len() as u64), row["file_size"].as_u64());
    standin.fault("/upload/image", Fault::status(413), Times::Once);
    let (status, body) = studio.post("/api/admin/loras/gallery/to-input/12345678").await;
    let detail = "Upload to ComfyUI failed: ComfyUI at `127.0.0.1` answered 413";
    assert_eq!(status, 502, "{body}");
    assert!(body["detail"].as_str().is_some_and(|text| text.starts_with(detail)), "{body}");
    drop(standin);
    let (status, body) = studio.post("/api/admin/loras/gallery/to-input/12345678").await;
    assert_eq!(status, 502, "{body}");
}

#[tokio::test]
async fn styles_in_the_list_show_what_is_in_their_gallery() {
    let (studio, row) = studio(&[]).await;
    let other = json!([{"file": "b.safetensors", "dest": "loras"}]);
    studio.import(CatalogName::Loras, other).await;
    assert_eq!(studio.post("/api/admin/loras/gallery/12345678/set-preview").await.0, 200);
    let shown = async || {
        let (_, list) = studio.get("/api/admin/loras").await;
        let models = list["categories"][0]["models"].as_array().expect("entries").clone();
        let gallery = |entry: &Value| {
            let fields = entry.as_object().expect("an entry").iter();
            let own = fields.filter(|(field, _)| field.starts_with("gallery_"));
            Value::Object(own.map(|(field, value)| (field.clone(), value.clone())).collect())
        };
        models.iter().map(gallery).collect::<Vec<Value>>()
    };
    let of_a = json!({
        "gallery_count": 1, "gallery_thumb": "12345678", "gallery_thumb_default": "12345678",
        "gallery_thumb_custom": "12345678", "gallery_orig_count": 0, "gallery_orig_bytes": 0, "gallery_comm_count": 1,
        "gallery_comm_bytes": row["file_size"], "gallery_dl": null,
    });
    let of_b = json!({
        "gallery_count": 0, "gallery_thumb": null, "gallery_thumb_default": null, "gallery_thumb_custom": null,
        "gallery_orig_count": 0, "gallery_orig_bytes": 0, "gallery_comm_count": 0, "gallery_comm_bytes": 0,
        "gallery_dl": null,
    });
    assert_eq!(shown().await, [of_a, of_b]);
    run_to_the_end(&studio, &json!({"action": "start"})).await;
    let run = json!({"status": "done", "downloaded": 0, "skipped": 1, "total": 1});
    assert_eq!(shown().await[0]["gallery_dl"], run);
    let (_, models) = studio.get("/api/admin/models").await;
    assert!(!models.to_string().contains("gallery_"), "only styles show it");
}

/// Starts a run of model 7 and waits for its end; answers the gallery then.
async fn run_to_the_end(studio: &Studio, body: &Value) -> Value {
    let started = studio.send(studio.request(Method::POST, "/api/admin/loras/7/gallery").json(body)).await;
    assert_eq!(started, (200, json!({"status": "downloading"})), "{body}");
    let is_over = |gallery: &Value| gallery["status"] == "done" || gallery["status"] == "error";
    studio.server.wait_for("/api/admin/loras/7/gallery", is_over).await
}

#[tokio::test]
async fn a_run_takes_every_wish_of_the_contract_in_the_forms_that_clients_send() {
    let (studio, _) = studio(&[("CIVITAI_API_KEY", "civitai_standin_key")]).await;
    studio.standin.add_image(CivitImage { level: 16, ..CivitImage::new(99, 8, 8).of_version(70) });
    let wishes = json!({
        "action": "start:50", "mode": "trpc", "nsfw": false, "sort": "Newest", "period": "AllTime", "version_id": 70,
        "types": "image,video", "with_meta": true, "from_platform": false, "is_remix": false, "workers": 8,
        "unknown": [1],
    });
    let gallery = run_to_the_end(&studio, &wishes).await;
    assert_eq!(
        (&gallery["downloaded"], &gallery["skipped"], &gallery["total"]),
        (&json!(0), &json!(1), &json!(1))
    );
    let asked: Vec<String> = studio.standin.requests().into_iter().map(|seen| seen.query).collect();
    let feed = asked.iter().find(|query| query.contains("sort=Newest")).expect("the feed was asked");
    for part in ["modelVersionId=70", "period=AllTime", "browsingLevel=1&", "requiringMeta=true"] {
        assert!(feed.contains(part), "{part} in {feed}");
    }
    let adult = json!({"action": "start", "nsfw": "X", "types": ["image"], "mode": "rest"});
    assert_eq!(run_to_the_end(&studio, &adult).await["downloaded"], 1);
    let row = &studio.get("/api/admin/loras/7/gallery").await.1["gallery_community"][0];
    assert_eq!((&row["civitai_id"], &row["search_mode"]), (&json!("99"), &json!("rest")));
    let refused = [
        (json!({"action": "start", "mode": "magic"}), 422),
        (json!({"action": "start", "nsfw": 3}), 422),
        (json!({"action": "start", "types": 3}), 422),
        (json!({"action": "start", "types": ["audio"]}), 400),
        (json!({"action": "start", "workers": 21}), 400),
        (json!({"action": "start:1001"}), 400),
        (json!({"action": "start", "sort": "Best"}), 400),
    ];
    for (body, status) in refused {
        let call = studio.request(Method::POST, "/api/admin/loras/7/gallery").json(&body);
        assert_eq!(studio.send(call).await.0, status, "{body}");
    }
}

#[tokio::test]
async fn missing_thumbnails_are_made_while_events_tell_it() {
    let (studio, row) = studio(&[]).await;
    let thumb = studio.server.data_dir().join("gallery").join(row["thumb_path"].as_str().expect("a path"));
    std::fs::remove_file(&thumb).expect("removed");
    let path = "/api/admin/loras/gallery/backfill-thumbs";
    let answer = studio.server.get(path).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let done = "event: done\ndata: {\"total\":1,\"done\":1,\"made\":1,\"failed\":0,\"cancelled\":false}\n\n";
    assert!(
        answer.text().starts_with("event: progress\ndata: ") || answer.text() == done,
        "{}",
        answer.text()
    );
    assert!(answer.text().ends_with(done), "{}", answer.text());
    assert!(thumb.is_file());
    assert_eq!(studio.post(&format!("{path}/cancel")).await, (200, json!({"status": "idle"})));
}

#[tokio::test]
async fn an_image_that_only_the_site_shows_is_fetched_with_a_key() {
    let (studio, _) = studio(&[("CIVITAI_API_KEY", "civitai_standin_key")]).await;
    studio.standin.add_image(CivitImage { site_only: true, ..CivitImage::new(4321, 64, 48) });
    let (status, row) = studio.post("/api/admin/loras/gallery/download-single/4321").await;
    assert_eq!(status, 200, "{row}");
    assert_eq!((&row["post_title"], &row["collected"]), (&json!("A post"), &json!(4)));
}
