//! `/api/v1/images`, the images of a version, and the image host.

use super::image::{CivitImage, PG};
use super::{page, picture};
use crate::content::FileSpec;
use crate::shared::Shared;
use crate::wire::{Answer, FileAnswer, Request, Response};
use serde_json::{Value, json};

/// First path part of the image host.
pub(crate) const CDN: &str = "xStandinImageBucket000";
/// The same on the real site; clients that know an image by its UUID alone build addresses with it.
pub(crate) const SITE_CDN: &str = "xG1nkqKTMzGDvpLrqFT7WA";
/// Images in a version's answer.
const MOST_OF_VERSION: usize = 10;

/// `GET /api/v1/images`.
pub(super) fn list(shared: &Shared, request: &Request) -> Response {
    let Some(levels) = levels(request) else {
        let issue = json!({"code": "invalid_union", "path": ["nsfw"], "message": "Invalid input"});
        return Response::json(400, &json!({"error": {"issues": [issue], "name": "ZodError"}}));
    };
    let world = shared.world();
    let found =
        world.images.iter().filter(|image| !image.hidden && !image.site_only && image.level & levels != 0);
    let items: Vec<Value> =
        found.filter(|image| is_wanted(request, image)).map(|image| item(shared, request, image)).collect();
    Response::json(200, &page(shared, request, &items, 100))
}

/// The images of a version: with no id field, at most ten.
pub(super) fn of_version(shared: &Shared, version: u64, with_meta: bool) -> Vec<Value> {
    let world = shared.world();
    let own = world.images.iter().filter(|image| !image.hidden && image.model_version_ids.contains(&version));
    own.take(MOST_OF_VERSION).map(|image| view_in_version(shared, image, with_meta)).collect()
}

fn view_in_version(shared: &Shared, image: &CivitImage, with_meta: bool) -> Value {
    let mut view = json!({
        "url": url(shared, image, &image.id.to_string()),
        "nsfwLevel": image.level,
        "width": image.width,
        "height": image.height,
        "hash": BLURHASH,
        "type": image.kind,
        "metadata": {"hash": BLURHASH, "size": 100_000, "width": image.width, "height": image.height},
        "minor": false,
        "poi": false,
        "availability": "Public",
        "hasMeta": image.meta.is_some(),
        "hasPositivePrompt": image.meta.is_some(),
        "onSite": false,
        "remixOfId": null,
    });
    if with_meta {
        view["meta"] = json!(image.meta);
    }
    view
}

const BLURHASH: &str = "U6PZfSi_.AyE_3t7t7R**0o#DgR4_3R*D%xt";

fn item(shared: &Shared, request: &Request, image: &CivitImage) -> Value {
    let uuid = image.uuid();
    json!({
        "id": image.id,
        "url": url(shared, image, &uuid),
        "hash": BLURHASH,
        "width": image.width,
        "height": image.height,
        "nsfwLevel": level_name(image.level),
        "type": image.kind,
        "nsfw": image.level > PG,
        "browsingLevel": image.level,
        "createdAt": "2026-07-02T09:00:00.000Z",
        "postId": image.post_id,
        "stats": {"cryCount": 0, "laughCount": 1, "likeCount": 23, "dislikeCount": 0, "heartCount": 9, "commentCount": 0},
        "meta": meta(request, image),
        "username": image.username,
        "baseModel": image.base_model,
        "modelVersionIds": image.model_version_ids,
    })
}

/// Only when asked for; in a look-up by id it is wrapped once more unless `flatMeta` is given.
fn meta(request: &Request, image: &CivitImage) -> Value {
    match &image.meta {
        Some(meta) if !request.flag("withMeta") => {
            debug_assert!(meta.is_object());
            Value::Null
        }
        Some(meta) if request.param("imageId").is_some() && !request.flag("flatMeta") => {
            json!({"id": image.id, "meta": meta})
        }
        other => json!(other),
    }
}

fn url(shared: &Shared, image: &CivitImage, name: &str) -> String {
    let extension = if image.kind == "video" { "mp4" } else { "jpeg" };
    format!("{}/{CDN}/{}/original=true/{name}.{extension}", shared.addresses.storage, image.uuid())
}

fn level_name(level: u32) -> &'static str {
    match level {
        1 => "None",
        2 => "Soft",
        4 => "Mature",
        32 => "Blocked",
        _ => "X",
    }
}

/// The levels asked for: PG alone when neither `browsingLevel` nor `nsfw` is given; `nsfw=true` means
/// mature ones only.
fn levels(request: &Request) -> Option<u32> {
    if let Some(level) = request.param("browsingLevel") {
        return level.parse().ok();
    }
    match request.param("nsfw").as_deref() {
        None | Some("false" | "None") => Some(1),
        Some("Soft") => Some(3),
        Some("Mature") => Some(7),
        Some("X") => Some(31),
        Some("true") => Some(28),
        Some("Blocked") => Some(32),
        Some(_) => None,
    }
}

/// Parameters that are not known are ignored without a word.
fn is_wanted(request: &Request, image: &CivitImage) -> bool {
    let is = |name: &str, test: &dyn Fn(&str) -> bool| request.param(name).is_none_or(|value| test(&value));
    is("imageId", &|id| id == image.id.to_string())
        && is("postId", &|id| id == image.post_id.to_string())
        && is("modelVersionId", &|id| image.model_version_ids.iter().any(|own| own.to_string() == id))
        && is("username", &|name| image.username.as_deref() == Some(name))
        && (!request.flag("requiringMeta") || image.meta.is_some())
        && is("type", &|kind| image.kind == kind)
        && is("baseModels", &|list| list.split(',').any(|base| base == image.base_model))
}

/// `/{bucket}/{uuid}/{params}/{name}`: the original redirects once more, sizes are made on the spot.
pub(crate) fn picture(shared: &Shared, uuid: &str, params: &str) -> Answer {
    let Some(image) = by_uuid(shared, uuid) else { return Response::text(404, "not found").into() };
    if params.split(',').any(|param| param == "original=true") {
        let location = format!("{}/image-originals/{uuid}", shared.addresses.storage);
        return Response::redirect(301, &location).into();
    }
    let width = params.split(',').find_map(|param| param.strip_prefix("width=")?.parse().ok());
    let width: u32 = width.unwrap_or(image.width).clamp(1, image.width.max(1));
    let height = (u64::from(image.height) * u64::from(width) / u64::from(image.width.max(1))) as u32;
    served(&image, picture::png(image.id, width, height.max(1), None), "image/png").into()
}

/// The file as uploaded: a PNG whatever the address ends in, with the generation data inside.
pub(crate) fn original(shared: &Shared, uuid: &str) -> Answer {
    let Some(image) = by_uuid(shared, uuid) else { return Response::text(404, "not found").into() };
    if image.kind == "video" {
        return served(&image, picture::mp4(), "video/mp4").into();
    }
    let text = image.meta.as_ref().map(picture::parameters);
    served(&image, picture::png(image.id, image.width, image.height, text.as_deref()), "image/png").into()
}

fn by_uuid(shared: &Shared, uuid: &str) -> Option<CivitImage> {
    shared.world().images.iter().find(|image| image.uuid() == uuid).cloned()
}

fn served(image: &CivitImage, bytes: Vec<u8>, content_type: &str) -> FileAnswer {
    let spec = FileSpec::of_bytes(format!("images/{}", image.id), bytes);
    FileAnswer {
        label: spec.name().to_owned(),
        etag: spec.sha256()[..32].to_owned(),
        content_type: content_type.to_owned(),
        headers: vec![("cache-control".into(), "public, max-age=31536000, immutable".into())],
        signed: None,
        spec,
    }
}
