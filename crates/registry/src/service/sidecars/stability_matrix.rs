//! `<stem>.cm-info.json`: what Stability Matrix keeps of a model that it knows the source of.
//!
//! | field | becomes | written from |
//! |---|---|---|
//! | `Source` | CivitAI's ids count only when it is `Civitai` or absent | `Civitai` |
//! | `ModelId`, `VersionId`, `RemoteFileId` | `civitai_model_id`, `civitai_version_id`, – | the same |
//! | `ModelName`, `VersionName` | `civitai_model_name`, `civitai_version`, `name` | the same |
//! | `UserTitle` | `name` | – |
//! | `VersionDescription`, `ModelDescription` | `description`, the first that is there | `ModelDescription` |
//! | `BaseModel`, `ModelType`, `FileMetadata{fp}` | `civitai_base_model`, `civitai_type`, – | the same |
//! | `Tags[]`, `TrainedWords[]` | `civitai_tags`, `trainedWords` | the same |
//! | `Nsfw` | the tag `nsfw` | the same |
//! | `AuthorUsername` | `author` | the same |
//! | `Hashes{SHA256}` | nothing: it is of the file as it came | the known hash |
//! | `Stats`, `ImportedAt`, `ThumbnailImageUrl`, `InferenceDefaults`, `SourceUrl` | nothing | `ImportedAt` |

use serde_json::{Map, Value, json};

use super::{Own, Said};
use crate::domain::{EntryDocument, Facts, cleaned_name};
use crate::upstream::lenient::{flag, text, texts, whole};

pub(super) fn read(value: &Value) -> Said {
    let is_civitai = text(value, "Source").is_none_or(|source| source.eq_ignore_ascii_case("civitai"));
    let id = |field: &str| whole(value, field).filter(|id| is_civitai && *id > 0);
    let (model, version, base) =
        (text(value, "ModelName"), text(value, "VersionName"), text(value, "BaseModel"));
    let name = model.as_deref().map(|model| {
        cleaned_name(model, version.as_deref().unwrap_or_default(), base.as_deref().unwrap_or_default(), "")
    });
    Said {
        facts: Facts {
            name,
            civitai_base_model: base,
            tags: texts(value, "Tags"),
            trained_words: texts(value, "TrainedWords"),
            version,
            version_id: id("VersionId"),
            model_id: id("ModelId"),
            model_name: model,
            kind: text(value, "ModelType"),
            author: text(value, "AuthorUsername"),
            is_nsfw: flag(value, "Nsfw"),
            ..Facts::default()
        },
        description: text(value, "VersionDescription").or_else(|| text(value, "ModelDescription")),
        own: Own { name: text(value, "UserTitle"), ..Own::default() },
    }
}

/// The object for an entry that CivitAI knows; `None` for others, since the program reads it as CivitAI's word.
pub(super) fn written(
    document: &EntryDocument,
    sha256: Option<&str>,
    imported_at: &str,
) -> Option<Map<String, Value>> {
    let value = json!({
        "ModelId": document.id("civitai_model_id")?,
        "ModelName": document.some_text("civitai_model_name").unwrap_or_else(|| document.name()),
        "ModelDescription": document.text("description"),
        "Nsfw": document.texts("tags").any(|tag| tag.eq_ignore_ascii_case("nsfw")),
        "Tags": document.texts("civitai_tags").collect::<Vec<_>>(),
        "ModelType": document.some_text("civitai_type"),
        "VersionId": document.id("civitai_version_id")?,
        "VersionName": document.text("civitai_version"),
        "BaseModel": super::write::base_model(document),
        "FileMetadata": { "fp": document.some_text("civitai_fp") },
        "ImportedAt": imported_at,
        "Hashes": { "SHA256": sha256.map(str::to_ascii_uppercase) },
        "TrainedWords": super::write::words(document),
        "AuthorUsername": document.some_text("author"),
        "Source": "Civitai",
    });
    super::write::object(value)
}
