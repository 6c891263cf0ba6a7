//! The site's own tRPC calls `image.get` and `image.getGenerationData`.

use super::image::CivitImage;
use super::signed_in;
use crate::shared::Shared;
use crate::wire::{Request, Response};
use serde_json::{Value, json};

pub(super) fn route(shared: &Shared, request: &Request, procedure: &str) -> Response {
    let known_origin = ["origin", "referer"]
        .iter()
        .any(|name| request.header(name).is_some_and(|value| value.starts_with(&shared.addresses.civitai)));
    if !known_origin && !signed_in(shared, request) {
        let text = "Please use the public API instead: https://developer.civitai.com/";
        return failure(401, -32001, "UNAUTHORIZED", procedure, text);
    }
    let Some(id) = asked_id(request) else {
        return failure(400, -32600, "BAD_REQUEST", procedure, "Invalid input");
    };
    let world = shared.world();
    let image = world.images.iter().find(|image| image.id == id && !image.hidden);
    match (procedure, image) {
        ("image.get", Some(image)) => success(&record(image)),
        ("image.getGenerationData", Some(image)) => success(&generation_data(image)),
        ("image.get" | "image.getGenerationData", None) => {
            failure(404, -32004, "NOT_FOUND", procedure, &format!("No image with id {id}"))
        }
        _ => {
            let text = format!("No \"query\"-procedure on path \"{procedure}\"");
            failure(404, -32004, "NOT_FOUND", procedure, &text)
        }
    }
}

/// `?input={"json":{"id":N}}`.
fn asked_id(request: &Request) -> Option<u64> {
    let input: Value = serde_json::from_str(&request.param("input")?).ok()?;
    input["json"]["id"].as_u64()
}

fn record(image: &CivitImage) -> Value {
    let mime = if image.kind == "video" { "video/mp4" } else { "image/png" };
    json!({
        "id": image.id,
        "url": image.uuid(),
        "name": format!("{}.png", image.id),
        "width": image.width,
        "height": image.height,
        "type": image.kind,
        "mimeType": mime,
        "metadata": {"width": image.width, "height": image.height, "duration": null, "audio": false},
        "nsfwLevel": image.level,
        "postId": image.post_id,
        "postTitle": "A post",
        "stats": {"heartCountAllTime": 9, "likeCountAllTime": 23, "commentCountAllTime": 1, "collectedCountAllTime": 4},
        "createdAt": "2026-07-02T09:00:00.000Z",
        "publishedAt": "2026-07-02T09:00:00.000Z",
        "hideMeta": image.meta.is_none(),
        "user": {"id": 4242, "username": image.username},
        "availability": "Public",
    })
}

fn generation_data(image: &CivitImage) -> Value {
    if let Some(data) = &image.generation_data {
        return data.clone();
    }
    let resource = |version: &u64| {
        json!({
            "imageId": image.id,
            "modelVersionId": version,
            "versionId": version,
            "strength": 80,
            "baseModel": image.base_model,
        })
    };
    let resources: Vec<Value> = image.model_version_ids.iter().map(resource).collect();
    json!({
        "type": image.kind,
        "onSite": false,
        "process": "txt2img",
        "meta": image.meta,
        "displayKeys": null,
        "resources": resources,
        "tools": [],
        "techniques": [],
        "external": null,
        "canRemix": true,
        "remixOfId": null,
    })
}

fn success(data: &Value) -> Response {
    Response::json(200, &json!({"result": {"data": {"json": data}}}))
}

fn failure(status: u16, code: i32, name: &str, path: &str, message: &str) -> Response {
    let data = json!({"code": name, "httpStatus": status, "path": path});
    Response::json(status, &json!({"error": {"json": {"message": message, "code": code, "data": data}}}))
}
