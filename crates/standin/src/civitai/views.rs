//! JSON of models, versions and files.

use super::images;
use super::model::{CivitFile, CivitModel, CivitVersion, PublishedHashes};
use crate::content::FileSpec;
use crate::shared::Shared;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Above this CRC-32 is left out, as any hash may be.
const LARGEST_FOR_CRC: u64 = 16 * 1024 * 1024;

/// An item of `/models` and the answer of `/models/{id}`: empty keys are dropped.
pub(super) fn model(shared: &Shared, model: &CivitModel) -> Value {
    let published = model.versions.iter().filter(|version| version.status == "Published");
    let versions: Vec<Value> = published
        .enumerate()
        .filter(|_| !model.hides_versions)
        .map(|(index, version)| version_in_model(shared, model, version, index))
        .collect();
    let mut item = json!({
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "allowNoCredit": true,
        "allowCommercialUse": ["Image", "RentCivit"],
        "allowDerivatives": true,
        "allowDifferentLicense": true,
        "type": model.kind,
        "minor": false,
        "sfwOnly": false,
        "poi": model.poi,
        "nsfw": model.nsfw,
        "nsfwLevel": if model.nsfw { 28 } else { 1 },
        "availability": "Public",
        "supportsGeneration": true,
        "stats": {"downloadCount": 1234, "thumbsUpCount": 321, "thumbsDownCount": 2, "commentCount": 5, "tippedAmountCount": 0},
        "creator": {"username": model.creator},
        "tags": model.tags,
        "modelVersions": versions,
    });
    if model.archived {
        item["mode"] = json!("Archived");
    }
    item
}

fn version_in_model(shared: &Shared, model: &CivitModel, version: &CivitVersion, index: usize) -> Value {
    let mut item = json!({
        "id": version.id,
        "index": index,
        "name": version.name,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "createdAt": version.published_at,
        "publishedAt": version.published_at,
        "status": version.status,
        "availability": version.availability,
        "nsfwLevel": if model.nsfw { 28 } else { 1 },
        "trainedWords": version.trained_words,
        "covered": true,
        "supportsGeneration": true,
        "stats": {"downloadCount": 1234, "thumbsUpCount": 321, "thumbsDownCount": 2},
        "files": files(shared, model, version, Scan::InModel),
        "images": images::of_version(shared, version.id, false),
    });
    if let Some(description) = &version.description {
        item["description"] = json!(description);
    }
    if let Some(until) = &version.early_access_until {
        item["earlyAccessDeadline"] = json!(until);
        item["paidAccess"] = json!({"permanent": false, "endsAt": until});
    }
    if !model.archived {
        item["downloadUrl"] = json!(download_url(shared, version));
    }
    item
}

/// Where a version is asked for: the forms differ a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// `/model-versions/{id}`: times without a zone.
    ById,
    /// `/model-versions/by-hash`.
    ByHash,
    /// Inside a model: `primary` is true or absent.
    InModel,
}

/// The answer of `/model-versions/{id}` and its relatives.
pub(super) fn version(shared: &Shared, model: &CivitModel, version: &CivitVersion, scan: Scan) -> Value {
    let paid = version.early_access_until.as_ref().map(|until| json!({"permanent": false, "endsAt": until}));
    json!({
        "id": version.id,
        "modelId": model.id,
        "name": version.name,
        "nsfwLevel": if model.nsfw { 28 } else { 1 },
        "createdAt": version.published_at,
        "updatedAt": version.published_at,
        "status": version.status,
        "publishedAt": version.published_at,
        "trainedWords": version.trained_words,
        "trainingStatus": null,
        "trainingDetails": null,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "description": version.description,
        "uploadType": "Created",
        "usageControl": version.usage_control,
        "availability": version.availability,
        "paidAccess": paid,
        "earlyAccessEndsAt": version.early_access_until,
        "air": air(model, version),
        "stats": {"downloadCount": 1234, "thumbsUpCount": 321},
        "model": {"name": model.name, "type": model.kind, "nsfw": model.nsfw, "poi": model.poi},
        "files": files(shared, model, version, scan),
        "images": images::of_version(shared, version.id, true),
        "downloadUrl": download_url(shared, version),
    })
}

fn files(shared: &Shared, model: &CivitModel, version: &CivitVersion, scan: Scan) -> Vec<Value> {
    if model.archived {
        return Vec::new();
    }
    version.files.iter().map(|one| file(shared, version, one, scan)).collect()
}

fn file(shared: &Shared, version: &CivitVersion, file: &CivitFile, scan: Scan) -> Value {
    let scanned = if scan == Scan::ById { "2026-07-01T12:30:00.5" } else { "2026-07-01T12:30:00.500Z" };
    let mut item = json!({
        "id": file.id,
        "sizeKB": size_kb(file),
        "name": file.spec.name(),
        "type": file.kind,
        "pickleScanResult": "Success",
        "pickleScanMessage": "No Pickle imports",
        "virusScanResult": "Success",
        "virusScanMessage": null,
        "scannedAt": scanned,
        "metadata": {"format": file.format, "size": file.size, "fp": file.fp},
        "hashes": hashes(file),
        "downloadUrl": format!("{}?fileId={}", download_url(shared, version), file.id),
    });
    if scan != Scan::InModel || file.primary {
        item["primary"] = json!(file.primary);
    }
    item
}

pub(super) fn size_kb(file: &CivitFile) -> f64 {
    file.size_kb.unwrap_or(file.spec.size() as f64 / 1024.0)
}

/// Upper-case hex. BLAKE3 is left out, as any may be.
pub(super) fn hashes(file: &CivitFile) -> Value {
    let Some(sha256) = file.published_sha256() else { return json!({}) };
    let mut hashes = Map::new();
    hashes.insert("AutoV1".into(), json!(auto_v1(&file.spec)));
    hashes.insert("AutoV2".into(), json!(&sha256[..10.min(sha256.len())]));
    hashes.insert("SHA256".into(), json!(sha256));
    if file.spec.size() <= LARGEST_FOR_CRC && file.hashes == PublishedHashes::Right {
        hashes.insert("CRC32".into(), json!(format!("{:08X}", file.spec.crc32())));
        hashes.insert("AutoV3".into(), json!(auto_v3(&file.spec)));
    }
    hashes.into()
}

/// The first 12 digits over the tensor data.
pub(super) fn auto_v3(spec: &FileSpec) -> String {
    spec.sha256_of_tensors()[..12].to_uppercase()
}

/// The old hash of the field: SHA-256 over 64 KiB at 1 MiB, eight digits.
pub(super) fn auto_v1(spec: &FileSpec) -> String {
    let mut window = vec![0; 0x1_0000];
    let filled = spec.read_at(0x10_0000, &mut window);
    hex::encode(Sha256::digest(&window[..filled]))[..8].to_uppercase()
}

pub(super) fn download_url(shared: &Shared, version: &CivitVersion) -> String {
    let host = if version.undefined_host { "https://undefined" } else { &shared.addresses.civitai };
    format!("{host}/api/download/models/{}", version.id)
}

/// `urn:air:{ecosystem}:{type}:civitai:{model}@{version}`.
pub(super) fn air(model: &CivitModel, version: &CivitVersion) -> String {
    let base = version.base_model.to_lowercase();
    let ecosystem = ["flux", "sdxl", "wan", "pony"].iter().find(|known| base.starts_with(**known));
    let ecosystem = match ecosystem.copied() {
        Some("flux") => "flux1",
        Some("wan") => "wanvideo",
        Some(known) => known,
        None => "sd1",
    };
    let kind = match model.kind.as_str() {
        "LoCon" => "lycoris".to_owned(),
        "TextualInversion" => "embedding".to_owned(),
        kind => kind.to_lowercase(),
    };
    format!("urn:air:{ecosystem}:{kind}:civitai:{}@{}", model.id, version.id)
}
