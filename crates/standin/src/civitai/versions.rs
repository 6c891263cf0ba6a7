//! `/api/v1/model-versions`: by id, by hash, in batches, and the short form.

use super::error;
use super::model::{CivitFile, CivitModel, CivitVersion};
use super::views::{self, Scan};
use crate::shared::Shared;
use crate::wire::{Request, Response};
use serde_json::{Value, json};

const MOST_HASHES: usize = 100;
const MOST_HASHES_FOR_IDS: usize = 10_000;

/// `GET /model-versions/{id}`.
pub(super) fn one(shared: &Shared, id: &str) -> Response {
    let world = shared.world();
    match find(&world.models, id) {
        Some((_, version)) if version.files.is_empty() => error(404, "Missing model file"),
        Some((model, version)) => Response::json(200, &views::version(shared, model, version, Scan::ById)),
        None => error(404, "Model not found"),
    }
}

/// `GET /model-versions/by-hash/{hash}`: any kind of hash in any case; the oldest version wins.
pub(super) fn by_hash(shared: &Shared, hash: &str) -> Response {
    let world = shared.world();
    let hash = hash.to_uppercase();
    let found = published(&world.models).filter(|(_, _, file)| all_hashes(file).contains(&hash));
    match found.min_by_key(|(_, version, _)| version.id) {
        Some((model, version, _)) => {
            Response::json(200, &views::version(shared, model, version, Scan::ByHash))
        }
        None => error(404, "Model not found"),
    }
}

/// `POST /model-versions/by-hash`: SHA-256 only, one entry for each matching file, misses missing.
pub(super) fn by_hashes(shared: &Shared, request: &Request) -> Response {
    let Some(wanted) = asked(request, MOST_HASHES) else {
        return error(400, "Request must include an array of SHA256 Hashes. Maximum of 100 hashes.");
    };
    let world = shared.world();
    let found = matching(&world.models, &wanted)
        .map(|(model, version, _, _)| views::version(shared, model, version, Scan::ByHash));
    Response::json(200, &found.collect())
}

/// `POST /model-versions/by-hash/ids`.
pub(super) fn ids_by_hashes(shared: &Shared, request: &Request) -> Response {
    let Some(wanted) = asked(request, MOST_HASHES_FOR_IDS) else {
        return error(400, "Request must include an array of SHA256 Hashes. Maximum of 10000 hashes.");
    };
    let world = shared.world();
    let found = matching(&world.models, &wanted).map(
        |(model, version, _, hash)| json!({"modelVersionId": version.id, "modelId": model.id, "hash": hash}),
    );
    Response::json(200, &found.collect())
}

/// `GET /model-versions/mini/{id}?modelFileId=`.
pub(super) fn mini(shared: &Shared, request: &Request, id: &str) -> Response {
    let world = shared.world();
    let Some((model, version)) = find(&world.models, id) else { return error(404, "Model not found") };
    let wanted: Option<u64> = request.param("modelFileId").and_then(|id| id.parse().ok());
    let file = match wanted {
        Some(id) => version.files.iter().find(|file| file.id == id),
        None => version.files.iter().find(|file| file.primary).or(version.files.first()),
    };
    let Some(file) = file else { return error(404, "Missing model file") };
    Response::json(200, &mini_view(shared, model, version, file))
}

fn mini_view(shared: &Shared, model: &CivitModel, version: &CivitVersion, file: &CivitFile) -> Value {
    json!({
        "air": views::air(model, version),
        "versionName": version.name,
        "modelName": model.name,
        "baseModel": version.base_model,
        "availability": version.availability,
        "publishedAt": version.published_at,
        "size": views::size_kb(file),
        "fileType": file.kind,
        "fileName": file.spec.name(),
        "hashes": views::hashes(file),
        "downloadUrls": [format!("{}?fileId={}", views::download_url(shared, version), file.id)],
        "format": file.format,
        "canGenerate": true,
        "isFeatured": false,
        "requireAuth": version.require_auth,
        "checkPermission": version.early_access_until.is_some(),
        "earlyAccessEndsAt": version.early_access_until,
        "freeTrialLimit": null,
        "additionalResourceCharge": false,
        "minor": false,
        "sfwOnly": false,
    })
}

fn find<'a>(models: &'a [CivitModel], id: &str) -> Option<(&'a CivitModel, &'a CivitVersion)> {
    let id: u64 = id.parse().ok()?;
    let all = models.iter().filter(|model| !model.deleted);
    all.flat_map(|model| model.versions.iter().map(move |version| (model, version)))
        .find(|(_, version)| version.id == id && version.status == "Published")
}

fn published(models: &[CivitModel]) -> impl Iterator<Item = (&CivitModel, &CivitVersion, &CivitFile)> {
    let all = models.iter().filter(|model| !model.deleted);
    all.flat_map(|model| model.versions.iter().map(move |version| (model, version)))
        .filter(|(_, version)| version.status == "Published")
        .flat_map(|(model, version)| version.files.iter().map(move |file| (model, version, file)))
}

fn matching<'a>(
    models: &'a [CivitModel],
    wanted: &'a [String],
) -> impl Iterator<Item = (&'a CivitModel, &'a CivitVersion, &'a CivitFile, String)> {
    published(models).filter_map(|(model, version, file)| {
        let hash = file.published_sha256().filter(|hash| wanted.contains(hash))?;
        Some((model, version, file, hash))
    })
}

/// AutoV1, AutoV2, AutoV3, SHA256, CRC32 of a record.
fn all_hashes(file: &CivitFile) -> Vec<String> {
    let hashes = views::hashes(file);
    let values = hashes.as_object().into_iter().flat_map(|map| map.values());
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// The hashes of a request, upper case; `None` when the body is anything but 1 to `most` SHA-256.
fn asked(request: &Request, most: usize) -> Option<Vec<String>> {
    let hashes: Vec<String> = serde_json::from_slice(&request.body).ok()?;
    let right = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    ((1..=most).contains(&hashes.len()) && hashes.iter().all(right))
        .then(|| hashes.iter().map(|hash| hash.to_uppercase()).collect())
}
