//! Models, versions and files as CivitAI knows them. Fields are public: tests set what they need.

use crate::content::FileSpec;

/// A model with its versions, newest first.
#[derive(Debug, Clone)]
pub struct CivitModel {
    /// Model id.
    pub id: u64,
    /// Title.
    pub name: String,
    /// `LORA`, `Checkpoint`, `VAE`, …
    pub kind: String,
    /// HTML text.
    pub description: String,
    /// Depicts a real person: neither found nor downloadable.
    pub poi: bool,
    /// Mature.
    pub nsfw: bool,
    /// Archived: no files in answers, 410 at download.
    pub archived: bool,
    /// Deleted: 404 everywhere.
    pub deleted: bool,
    /// `models/{id}` answers `modelVersions: []` although there are some.
    pub hides_versions: bool,
    /// Tags.
    pub tags: Vec<String>,
    /// Who made it.
    pub creator: String,
    /// Versions, newest first.
    pub versions: Vec<CivitVersion>,
}

/// A version of a model.
#[derive(Debug, Clone)]
pub struct CivitVersion {
    /// Version id.
    pub id: u64,
    /// Title.
    pub name: String,
    /// `SDXL 1.0`, `Flux.1 D`, `Wan Video 2.2 I2V-A14B`, …
    pub base_model: String,
    /// HTML text, or none.
    pub description: Option<String>,
    /// Trigger words.
    pub trained_words: Vec<String>,
    /// `Published`, `Draft`, …: only published ones are found.
    pub status: String,
    /// `Public`, `EarlyAccess`, …
    pub availability: String,
    /// `Download`, `Generation`, …
    pub usage_control: String,
    /// Early access until this RFC 3339 moment: 403 at download.
    pub early_access_until: Option<String>,
    /// The creator wants downloaders to be signed in.
    pub require_auth: bool,
    /// Nobody was given access: 403 with a key, 401 without.
    pub no_access: bool,
    /// `downloadUrl`s name the host `undefined`, as a known error does.
    pub undefined_host: bool,
    /// RFC 3339.
    pub published_at: String,
    /// Files.
    pub files: Vec<CivitFile>,
}

/// A file of a version.
#[derive(Debug, Clone)]
pub struct CivitFile {
    /// File id.
    pub id: u64,
    /// Content, under the name that downloads get.
    pub spec: FileSpec,
    /// `Model`, `VAE`, `Training Data`, …
    pub kind: String,
    /// The file that a download without `fileId` gets.
    pub primary: bool,
    /// `SafeTensor`, `PickleTensor`, …
    pub format: String,
    /// `full` or `pruned`.
    pub size: Option<String>,
    /// `fp16`, `bf16`, …
    pub fp: Option<String>,
    /// The published hashes.
    pub hashes: PublishedHashes,
    /// `sizeKB` as published, when it is not the true one.
    pub size_kb: Option<f64>,
    /// Shown under this version but belonging to another: `?fileId=` does not find it here.
    pub linked: bool,
}

/// What the record says about a file's hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PublishedHashes {
    /// The truth.
    #[default]
    Right,
    /// This SHA-256 instead (AutoV2 follows it).
    Wrong(String),
    /// No hash at all.
    Absent,
}

impl CivitModel {
    /// A public model without versions.
    pub fn new(id: u64, name: impl Into<String>, kind: &str) -> Self {
        Self {
            id,
            name: name.into(),
            kind: kind.into(),
            description: "<p>Made for tests.</p>".into(),
            poi: false,
            nsfw: false,
            archived: false,
            deleted: false,
            hides_versions: false,
            tags: vec!["standin".into()],
            creator: "standin-artist".into(),
            versions: Vec::new(),
        }
    }

    /// Adds a version.
    #[must_use]
    pub fn version(mut self, version: CivitVersion) -> Self {
        self.versions.push(version);
        self
    }
}

impl CivitVersion {
    /// A published, downloadable version without files.
    pub fn new(id: u64, name: impl Into<String>, base_model: &str) -> Self {
        Self {
            id,
            name: name.into(),
            base_model: base_model.into(),
            description: None,
            trained_words: Vec::new(),
            status: "Published".into(),
            availability: "Public".into(),
            usage_control: "Download".into(),
            early_access_until: None,
            require_auth: false,
            no_access: false,
            undefined_host: false,
            published_at: "2026-07-01T12:00:00.000Z".into(),
            files: Vec::new(),
        }
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, file: CivitFile) -> Self {
        self.files.push(file);
        self
    }

    /// Sets the trigger words.
    #[must_use]
    pub fn words(mut self, words: &[&str]) -> Self {
        self.trained_words = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }
}

impl CivitFile {
    /// The primary model file of a version.
    pub fn new(id: u64, spec: FileSpec) -> Self {
        Self {
            id,
            spec,
            kind: "Model".into(),
            primary: true,
            format: "SafeTensor".into(),
            size: None,
            fp: Some("fp16".into()),
            hashes: PublishedHashes::Right,
            size_kb: None,
            linked: false,
        }
    }

    /// A further file that is not the primary one.
    #[must_use]
    pub fn secondary(mut self) -> Self {
        self.primary = false;
        self
    }

    /// Sets what the record says about the hashes.
    #[must_use]
    pub fn publishing(mut self, hashes: PublishedHashes) -> Self {
        self.hashes = hashes;
        self
    }

    /// SHA-256 as the record has it, upper case.
    pub(super) fn published_sha256(&self) -> Option<String> {
        match &self.hashes {
            PublishedHashes::Right => Some(self.spec.sha256().to_uppercase()),
            PublishedHashes::Wrong(sha256) => Some(sha256.to_uppercase()),
            PublishedHashes::Absent => None,
        }
    }
}
