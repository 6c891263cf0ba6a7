//! Styles of the public API by the admin's routes.

use http::Method;
use lorakeep_registry::domain::CatalogName;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::harness::TestServer;

async fn stocked() -> TestServer {
    let server = TestServer::start().await;
    let entries = json!([
        {"file": "ink.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0", "trigger_words": ["sumi ink"]},
        {"file": "fog.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0", "pair_id": "fog"},
    ]);
    server.registry.import(CatalogName::Loras, entries.to_string().as_bytes()).await.expect("imported");
    server.put_file("loras/sdxl/ink.safetensors", b"ink").await;
    server.admin(Method::POST, "/api/admin/teams").json(&json!({"name": "Northlight"})).send().await;
    server
}

async fn post(server: &TestServer, body: &Value) -> Answer {
    server.admin(Method::POST, "/api/admin/styles").json(body).send().await
}

async fn patch(server: &TestServer, style: &str, body: &Value) -> Answer {
    server.admin(Method::PATCH, &format!("/api/admin/styles/{style}")).json(body).send().await
}

fn masked(mut style: Value) -> Value {
    style["id"] = "[id]".into();
    if !style["team_id"].is_null() {
        style["team_id"] = "[team_id]".into();
    }
    for file in style["files"].as_array_mut().expect("files") {
        file["entry_id"] = "[entry_id]".into();
        file["sha256"] = "[sha256]".into();
    }
    style
}

#[tokio::test]
async fn a_style_is_answered_whole() {
    let server = stocked().await;
    let made = post(
        &server,
        &json!({
            "name": " Black Ink ", "entry": "ink.safetensors", "team": "Northlight", "description": "Brush on paper",
            "default_denoise_strength": 0.8, "default_guidance_scale": 7.5, "default_steps": 30.0,
            "template": "{prompt}, {trigger_words}", "strength": 0.9,
        }),
    )
    .await;
    let expected = json!({
        "id": "[id]", "slug": "black-ink", "old_slugs": [], "name": "Black Ink", "description": "Brush on paper",
        "is_public": false, "team": "Northlight", "team_id": "[team_id]", "pair_id": null, "base_model": "SDXL 1.0",
        "trigger_words": ["sumi ink"], "preview_image_url": null, "default_denoise_strength": 0.8,
        "default_guidance_scale": 7.5, "default_steps": 30, "template": "{prompt}, {trigger_words}", "ready": true,
        "files": [{
            "role": "both", "file": "ink.safetensors", "dest": "loras/sdxl", "entry_id": "[entry_id]", "present": true,
            "strength": 0.9, "sha256": "[sha256]", "size_bytes": 3,
        }],
        "created_at": "2026-03-23T12:00:00.000Z", "updated_at": "2026-03-23T12:00:00.000Z", "deleted_at": null,
    });
    assert_eq!((made.status.as_u16(), masked(made.json())), (200, expected.clone()));
    assert_eq!(masked(server.get("/api/admin/styles/black-ink").await.json()), expected);
    let list = server.get("/api/admin/styles?team=Northlight&q=ink&public=false").await.json();
    assert_eq!((masked(list["items"][0].clone()), &list["total"]), (expected, &json!(1)));
    assert_eq!(server.get("/api/admin/styles?public=true").await.json()["total"], 0);
}

#[tokio::test]
async fn a_style_is_changed_deleted_restored_and_purged() {
    let server = stocked().await;
    post(
        &server,
        &json!({"name": "Ink", "entry": "ink.safetensors", "team": "Northlight", "default_steps": 8}),
    )
    .await;
    let change = json!({"is_public": true, "default_steps": null, "slug": "sumi", "pair": "fog", "strengths": {"both": 0.5}});
    let changed = patch(&server, "ink", &change).await.json();
    assert_eq!(
        (&changed["is_public"], &changed["team"], &changed["default_steps"]),
        (&json!(true), &json!(null), &json!(null))
    );
    assert_eq!((&changed["old_slugs"], &changed["pair_id"]), (&json!(["ink"]), &json!("fog")));
    let file = &changed["files"][0];
    assert_eq!(
        (&file["file"], &file["strength"], &file["present"]),
        (&json!("fog.safetensors"), &json!(0.5), &json!(false))
    );
    assert_eq!(changed["ready"], false);
    assert_eq!(
        server.delete("/api/admin/styles/sumi").await.json()["deleted_at"],
        "2026-03-23T12:00:00.000Z"
    );
    assert_eq!(server.get("/api/admin/styles").await.json()["total"], 0);
    assert_eq!(server.get("/api/admin/styles?deleted=true").await.json()["items"][0]["slug"], "sumi");
    assert_eq!(server.post("/api/admin/styles/ink/restore").await.json()["deleted_at"], json!(null));
    assert_eq!(server.delete("/api/admin/styles/sumi?purge=true").await.status, 200);
    let gone = server.get("/api/admin/styles/sumi").await;
    assert_eq!((gone.status.as_u16(), gone.text()), (404, r#"{"detail":"style `sumi` was not found"}"#));
}

#[tokio::test]
async fn what_is_wrong_with_a_style_is_named() {
    let server = stocked().await;
    let style = |more: Value| {
        let mut body = json!({"name": "Ink", "entry": "ink.safetensors", "is_public": true});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    for (more, status, code) in [
        (json!({"entry": null}), 400, "source"),
        (json!({"pair": "fog"}), 400, "source"),
        (json!({"entry": null, "high": "ink.safetensors"}), 400, "source"),
        (json!({"entry": "nobody.safetensors"}), 404, "not_found"),
        (json!({"is_public": null}), 400, "audience"),
        (json!({"is_public": false}), 400, "audience"),
        (json!({"team": "Northlight"}), 400, "audience"),
        (json!({"is_public": null, "team": "Nobody"}), 404, "not_found"),
        (json!({"name": ""}), 400, "bad_name"),
        (json!({"slug": "Ink"}), 400, "bad_slug"),
        (json!({"template": "{x}"}), 400, "bad_template"),
        (json!({"default_steps": 101}), 400, "out_of_bounds"),
        (json!({"default_steps": 1.5}), 422, "unreadable"),
        (json!({"strength": 11}), 400, "out_of_bounds"),
        (json!({"gallery_image": "x"}), 422, "unreadable"),
        (json!({"gallery_image": 1}), 404, "not_found"),
        (json!({"steps": 30}), 422, "unreadable"),
    ] {
        let refused = post(&server, &style(more.clone())).await;
        assert_eq!(
            (refused.status.as_u16(), refused.header("x-error-code")),
            (status, code),
            "{more}: {}",
            refused.text()
        );
    }
    assert_eq!(post(&server, &style(json!({}))).await.status, 200);
    let taken = post(&server, &style(json!({"slug": "ink"}))).await;
    assert_eq!((taken.status.as_u16(), taken.header("x-error-code")), (409, "slug_taken"));
    let busy = server.delete("/api/admin/teams/Northlight").await;
    assert_eq!(busy.status, 200, "no style is for it alone");
}
