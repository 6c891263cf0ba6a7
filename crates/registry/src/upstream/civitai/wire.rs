//! What CivitAI answers, read leniently: its shapes change over time and with the route.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::upstream::lenient::{amount, flag, list, sha256, text, texts, whole};

/// A model with its published versions, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) id: u64,
    pub(crate) head: ModelHead,
    pub(crate) versions: Vec<Version>,
}

/// What is the same for all versions of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ModelHead {
    pub(crate) name: Option<String>,
    /// `Checkpoint`, `LORA`, `LoCon`, …; new ones appear.
    pub(crate) kind: Option<String>,
    pub(crate) is_nsfw: bool,
    /// `Archived` or `TakenDown`.
    pub(crate) mode: Option<String>,
    pub(crate) creator: Option<String>,
    pub(crate) tags: Vec<String>,
    /// HTML text of a stranger.
    pub(crate) description: Option<String>,
    pub(crate) downloads: Option<u64>,
    pub(crate) thumbs_up: Option<u64>,
    /// Stars, on old records alone.
    pub(crate) rating: Option<f64>,
}

/// One version of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Version {
    pub(crate) id: u64,
    pub(crate) model_id: Option<u64>,
    pub(crate) name: Option<String>,
    pub(crate) base_model: Option<String>,
    pub(crate) trained_words: Vec<String>,
    /// `Download` when absent.
    pub(crate) usage_control: Option<String>,
    /// Only those who pay may have it, for now or for good.
    pub(crate) early_access: Option<EarlyAccess>,
    /// When it was last changed, else when it was published; as written.
    pub(crate) updated_at: Option<String>,
    /// As written.
    pub(crate) published_at: Option<String>,
    pub(crate) downloads: Option<u64>,
    pub(crate) model: ModelHead,
    pub(crate) files: Vec<VersionFile>,
    pub(crate) images: Vec<VersionImage>,
}

/// A picture or video that shows what a version does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct VersionImage {
    pub(crate) url: String,
    /// `image` or `video`.
    pub(crate) kind: Option<String>,
    pub(crate) width: Option<u64>,
    pub(crate) height: Option<u64>,
    /// Bits of levels.
    pub(crate) level: Option<u64>,
}

/// That a version is not free yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EarlyAccess {
    /// When it becomes free; never when absent.
    pub(crate) ends_at: Option<DateTime<Utc>>,
}

/// One file of a version. Its name is hostile until judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct VersionFile {
    pub(crate) id: Option<u64>,
    pub(crate) name: Option<String>,
    /// `Model`, `Pruned Model`, `VAE`, `Training Data`, …
    pub(crate) kind: Option<String>,
    pub(crate) is_primary: bool,
    /// Kibibytes, not rounded: `round(size_kb × 1024)` is exact when the record is right. An estimate.
    pub(crate) size_kb: Option<f64>,
    pub(crate) sha256: Option<String>,
    /// `SafeTensor`, `PickleTensor`, `GGUF`, …
    pub(crate) format: Option<String>,
    /// `full` or `pruned`.
    pub(crate) size: Option<String>,
    /// `fp16`, `bf16`, …
    pub(crate) precision: Option<String>,
    pub(crate) download_url: Option<String>,
}

impl Model {
    /// Reads `GET /models/{id}`; `None` when it is no model at all.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let id = whole(value, "id")?;
        let head = ModelHead::read(value);
        let versions = list(value, "modelVersions")
            .filter_map(Version::read)
            .map(|version| Version { model_id: Some(id), model: head.clone(), ..version })
            .collect();
        Some(Self { id, head, versions })
    }
}

impl ModelHead {
    fn read(value: &Value) -> Self {
        let stats = value.get("stats").unwrap_or(&Value::Null);
        Self {
            name: text(value, "name"),
            kind: text(value, "type"),
            is_nsfw: flag(value, "nsfw"),
            mode: text(value, "mode"),
            creator: value.get("creator").and_then(|creator| text(creator, "username")),
            tags: texts(value, "tags"),
            description: text(value, "description"),
            downloads: whole(stats, "downloadCount"),
            thumbs_up: whole(stats, "thumbsUpCount"),
            rating: amount(stats, "rating").filter(|stars| *stars > 0.0),
        }
    }
}

impl Version {
    /// Reads `GET /model-versions/{id}` or an element of `modelVersions`.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        Some(Self {
            id: whole(value, "id")?,
            model_id: whole(value, "modelId"),
            name: text(value, "name"),
            base_model: text(value, "baseModel"),
            trained_words: texts(value, "trainedWords"),
            usage_control: text(value, "usageControl"),
            early_access: EarlyAccess::read(value),
            updated_at: text(value, "updatedAt").or_else(|| text(value, "publishedAt")),
            published_at: text(value, "publishedAt").or_else(|| text(value, "createdAt")),
            downloads: value.get("stats").and_then(|stats| whole(stats, "downloadCount")),
            model: value.get("model").map(ModelHead::read).unwrap_or_default(),
            files: list(value, "files").filter(|file| file.is_object()).map(VersionFile::read).collect(),
            images: list(value, "images").filter_map(VersionImage::read).collect(),
        })
    }
}

impl VersionImage {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            url: text(value, "url")?,
            kind: text(value, "type"),
            width: whole(value, "width"),
            height: whole(value, "height"),
            level: whole(value, "nsfwLevel"),
        })
    }
}

impl EarlyAccess {
    /// The site says it in several ways, depending on its age and the route.
    fn read(value: &Value) -> Option<Self> {
        let moment = |value: &Value, field: &str| {
            let text = text(value, field)?;
            DateTime::parse_from_rfc3339(&text).ok().map(|moment| moment.to_utc())
        };
        let paid = value.get("paidAccess").filter(|paid| paid.is_object());
        let ends_at = paid
            .and_then(|paid| moment(paid, "endsAt"))
            .or_else(|| moment(value, "earlyAccessEndsAt"))
            .or_else(|| moment(value, "earlyAccessDeadline"));
        let is_early = paid.is_some() || ends_at.is_some() || text(value, "availability")? == "EarlyAccess";
        is_early.then_some(Self { ends_at })
    }

    /// Whether it is not free yet at that moment.
    pub(crate) fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.ends_at.is_none_or(|end| end > now)
    }
}

impl VersionFile {
    fn read(value: &Value) -> Self {
        let metadata = value.get("metadata").unwrap_or(&Value::Null);
        let hashes = value.get("hashes").unwrap_or(&Value::Null);
        Self {
            id: whole(value, "id"),
            name: text(value, "name"),
            kind: text(value, "type"),
            is_primary: flag(value, "primary"),
            size_kb: amount(value, "sizeKB"),
            sha256: sha256(hashes, "SHA256"),
            format: text(metadata, "format"),
            size: text(metadata, "size"),
            precision: text(metadata, "fp"),
            download_url: text(value, "downloadUrl"),
        }
    }

    /// Bytes as far as the record is right.
    pub(crate) fn estimated_bytes(&self) -> Option<u64> {
        self.size_kb.map(|kibibytes| (kibibytes * 1024.0).round() as u64).filter(|&bytes| bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_answered() {
        let version = Version::read(&json!({
            "id": 242_807, "modelId": "215485", "name": " v1-128dim ", "baseModel": "SDXL Turbo",
            "trainedWords": ["a", 7, "", "b"], "stats": {"downloadCount": 5},
            "model": {"name": "Turbo", "type": "LORA", "nsfw": false},
            "files": [{"id": 1, "sizeKB": 6_775_467.123_046_875, "name": "x.safetensors", "type": "Model", "primary": true,
                "metadata": {"fp": null, "format": "SafeTensor"},
                "hashes": {"SHA256": "A599C42A9F4F7494C7F410DBC0FD432CF0242720509E9D52FA41AAC7A88D1B69"}}],
        }))
        .unwrap();
        assert_eq!(version.model_id, Some(215_485));
        assert_eq!(version.name.as_deref(), Some("v1-128dim"));
        assert_eq!(version.trained_words, ["a", "b"]);
        let file = &version.files[0];
        assert_eq!(file.estimated_bytes(), Some(6_938_078_334));
        assert_eq!(
            file.sha256.as_deref(),
            Some("a599c42a9f4f7494c7f410dbc0fd432cf0242720509e9d52fa41aac7a88d1b69")
        );
        assert_eq!(file.precision, None);
    }

    #[test]
    fn wrong_types_count_as_absent() {
        let version = Version::read(&json!({
            "id": 1, "modelId": {}, "name": 7, "trainedWords": "x", "usageControl": [], "paidAccess": "x",
            "model": "x", "files": [null, 7, {"id": "x", "sizeKB": -1.0, "hashes": [], "metadata": 3, "primary": "yes"}],
        }))
        .unwrap();
        assert_eq!(version.files, [VersionFile::default()]);
        assert_eq!(Version { files: Vec::new(), ..version }, Version { id: 1, ..Version::default() });
        assert_eq!(Version::read(&json!([])), None);
        assert_eq!(Model::read(&json!({"error": "x"})), None);
    }

    #[test]
    fn versions_of_a_model_know_the_model() {
        let model = Model::read(&json!({
            "id": 9, "name": "M", "type": "Checkpoint", "mode": "Archived", "creator": {"username": "u"}, "tags": ["t"],
            "modelVersions": [{"id": 1, "files": []}, {"name": "no id"}],
        }))
        .unwrap();
        assert_eq!(model.versions.len(), 1);
        assert_eq!(model.versions[0].model_id, Some(9));
        assert_eq!(model.versions[0].model.mode.as_deref(), Some("Archived"));
    }
}
