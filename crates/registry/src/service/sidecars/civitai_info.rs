//! `<stem>.civitai.info`: CivitAI's answer to `GET /model-versions/{id}`, kept by Civitai Helper (both forks).
//!
//! | field | becomes | written from |
//! |---|---|---|
//! | `id`, `modelId` | `civitai_version_id`, `civitai_model_id` | the same |
//! | `name` | `civitai_version` | the same |
//! | `trainedWords[]` | `trainedWords` | `trainedWords`, else `trigger_words` |
//! | `baseModel` | `civitai_base_model`, `base_model` | `civitai_base_model`, else `base_model` |
//! | `description` | `description` | the same |
//! | `model{name,type,nsfw,tags}` | `civitai_model_name`, `civitai_type`, tag `nsfw`, `civitai_tags` | the same |
//! | `creator{username}` | `author` | the same |
//! | `files[]{id,name,sizeKB,metadata{fp},hashes{SHA256}}` | `civitai_file_id`, `civitai_fp`, `hash`, when name and length fit the file | one file, primary |
//! | `extensions.sd_civitai_helper`, `skeleton_file` | nothing: an empty `id` says that CivitAI knows nothing | – |

use serde_json::{Map, Value, json};

use super::Said;
use crate::domain::{Entry, EntryDocument};
use crate::service::metadata::{facts_of_version, file_of};
use crate::upstream::civitai::Version;
use crate::upstream::lenient::text;

/// What a version says of the file of an entry, which has that many bytes.
pub(super) fn read(value: &Value, entry: &Entry, size_bytes: u64) -> Said {
    let Some(version) = Version::read(value).filter(|version| version.id > 0) else { return Said::default() };
    let mut said = of_version(&version, entry, size_bytes);
    let creator = value.get("creator").and_then(|creator| text(creator, "username"));
    said.facts.author = creator.or(said.facts.author);
    said.description = text(value, "description").or(said.description);
    said
}

/// The same of a version that was read from elsewhere.
pub(super) fn of_version(version: &Version, entry: &Entry, size_bytes: u64) -> Said {
    let mut facts = facts_of_version(entry, version);
    let is_this_file = file_of(entry, version).is_some_and(|file| file.estimated_bytes() == Some(size_bytes));
    if !is_this_file {
        // The sidecar may be about another file of the version: its hash would accuse this one.
        (facts.file_id, facts.sha256, facts.precision) = (None, None, None);
    }
    facts.version_id = Some(version.id);
    Said { facts, description: version.model.description.clone(), ..Said::default() }
}

/// The object for an entry that CivitAI knows; `None` for others.
pub(super) fn written(
    document: &EntryDocument,
    file: &str,
    size_bytes: u64,
    sha256: Option<&str>,
) -> Option<Map<String, Value>> {
    let version_id = document.id("civitai_version_id")?;
    let value = json!({
        "id": version_id,
        "modelId": document.id("civitai_model_id"),
        "name": document.some_text("civitai_version"),
        "trainedWords": super::write::words(document),
        "baseModel": super::write::base_model(document),
        "description": document.some_text("description"),
        "model": {
            "name": document.some_text("civitai_model_name").unwrap_or_else(|| document.name()),
            "type": document.some_text("civitai_type"),
            "nsfw": document.texts("tags").any(|tag| tag.eq_ignore_ascii_case("nsfw")),
            "tags": document.texts("civitai_tags").collect::<Vec<_>>(),
        },
        "creator": { "username": document.some_text("author") },
        "files": [{
            "id": document.id("civitai_file_id"),
            "name": file,
            "type": "Model",
            "sizeKB": size_bytes as f64 / 1024.0,
            "primary": true,
            "metadata": { "fp": document.some_text("civitai_fp") },
            "hashes": { "SHA256": sha256.map(str::to_ascii_uppercase) },
        }],
        "images": [],
        "downloadUrl": format!("https://civitai.com/api/download/models/{version_id}"),
    });
    super::write::object(value)
}
