//! Adding a version of CivitAI to the catalog, without fetching its bytes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::{
    CatalogName, Category, Entry, EntryDocument, ModelFolder, ModelHome, Sha256, added_name,
};
use crate::error::{Error, Result};
use crate::library::Library;
use crate::service::add::{Place, Wish, free_path, judged_name};
use crate::service::{Added, Registry};
use crate::upstream::civitai::{Version, VersionFile, archived, choose_file, taken_down};

/// Which version, and which of its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddVersion {
    /// Version id on CivitAI.
    pub version_id: u64,
    /// File id; the primary file when absent.
    pub file_id: Option<u64>,
    /// Add it although only those who paid for early access can download it now.
    pub early_access: bool,
}

impl Registry {
    /// Adds a version to the catalog `models`: category and folder follow from its type (see [`ModelHome`]).
    pub async fn add_version(&self, wanted: AddVersion) -> Result<Added> {
        let AddVersion { version_id, file_id, .. } = wanted;
        if let Some(entry) = self.entry_of_version(version_id, file_id) {
            return Ok(Added::AlreadyExists(self.state_of(&entry)));
        }
        let civitai = &self.inner.jobs.upstreams.civitai;
        let version = civitai.version(version_id, None).await?;
        if let Some(reason) = restriction(&version, wanted.early_access, self.now()) {
            return Ok(Added::Restricted { reason });
        }
        let file = choose_file(&version, file_id).ok_or_else(|| no_file(version_id, file_id))?;
        self.add_file_of_version(&version, file).await
    }

    async fn add_file_of_version(&self, version: &Version, file: &VersionFile) -> Result<Added> {
        let (home, mut document) = entry_of(version, file);
        let folder = ModelFolder::parse("dest", home.dest)?;
        // The name may be taken between choosing it and adding the entry; then it is chosen again.
        loop {
            let name = file.name.as_deref().unwrap_or_default();
            match place(&self.library(), version, file, &folder, name)? {
                Place::Taken(entry) => return Ok(Added::AlreadyExists(self.state_of(&entry))),
                Place::Free(path) => document.set("file", path.file.as_str()),
            }
            let document = document.clone();
            let category = Category::named_after_id(home.category);
            match self.insert_entry(CatalogName::Models, &category, document).await {
                Err(Error::Conflict { code: "exists", .. }) => {}
                other => return other.map(|entry| Added::New(self.state_of(&entry))),
            }
        }
    }

    /// The entry of a version, or of one of its files, in either catalog.
    pub(in crate::service) fn entry_of_version(
        &self,
        version_id: u64,
        file_id: Option<u64>,
    ) -> Option<Arc<Entry>> {
        let library = self.library();
        let of_file = |entry: &&Arc<Entry>| match (file_id, entry.document.id("civitai_file_id")) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        library.entries_of_version(version_id).iter().find(of_file).cloned()
    }
}

/// Why a version cannot be downloaded, in the contract's words where it has some.
pub(in crate::service) fn restriction(
    version: &Version,
    early_access: bool,
    now: DateTime<Utc>,
) -> Option<String> {
    let name = format!("version {} on CivitAI", version.id);
    match version.usage_control.as_deref() {
        None | Some("Download") => {}
        Some(usage) => {
            return Some(format!("This model is '{usage}' only — download not allowed by the creator"));
        }
    }
    match version.model.mode.as_deref() {
        Some("Archived") => return Some(archived(&name).message),
        Some("TakenDown") => return Some(taken_down(&name).message),
        _ => {}
    }
    let early = version.early_access.as_ref().filter(|early| !early_access && early.holds_at(now))?;
    let until =
        early.ends_at.map_or_else(String::new, |end| format!(" until {}", end.format("%Y-%m-%d %H:%M UTC")));
    Some(format!("This model is in early access{until} — only accounts that bought access can download it"))
}

pub(in crate::service) fn no_file(version_id: u64, file_id: Option<u64>) -> Error {
    let (what, hint) = match file_id {
        Some(file_id) => (format!("no file {file_id}"), "leave `file_id` out to take its primary file"),
        None => ("no model file".to_owned(), "open it on CivitAI and choose another version"),
    };
    let message = format!("version {version_id} on CivitAI has {what}; {hint}");
    Error::Upstream { code: "no_file", status: Some(404), message }
}

/// The entry of one file of a version as the contract describes it; its `file` is not judged yet.
pub(crate) fn entry_of(version: &Version, file: &VersionFile) -> (ModelHome, EntryDocument) {
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let (model, base_model) = (&version.model, some(&version.base_model));
    let home = ModelHome::of(&some(&model.kind), &some(&file.kind), &base_model);
    let model_name = some(&model.name);
    let name = added_name(&model_name, &some(&version.name), &base_model, &some(&file.precision));
    let mut document = EntryDocument::default();
    document.set("name", name);
    document.set("file", some(&file.name));
    document.set("dest", home.dest);
    document.set("source", "civitai");
    document.set("civitai_version_id", version.id);
    let mut optional = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            document.set(field, value);
        }
    };
    optional("civitai_model_id", version.model_id.map(Value::from));
    optional("civitai_model_name", model.name.clone().map(Value::from));
    optional("civitai_version", version.name.clone().map(Value::from));
    optional("civitai_file_id", file.id.map(Value::from));
    optional("size_gb", file.estimated_bytes().map(|bytes| gigabytes(bytes).into()));
    document.set("base_model", base_model);
    document.set("tags", Vec::<String>::new());
    let mut optional = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            document.set(field, value);
        }
    };
    let words = &version.trained_words;
    optional("trigger_words", (!words.is_empty()).then(|| words.clone().into()));
    optional("downloads", version.downloads.map(Value::from));
    optional("hash", file.sha256.clone().map(Value::from));
    optional("civitai_type", model.kind.clone().map(Value::from));
    optional("civitai_fp", file.precision.clone().map(Value::from));
    (home, document)
}

/// Units of 1e9 bytes, three decimals.
fn gigabytes(bytes: u64) -> f64 {
    (bytes as f64 / 1e6).round() / 1e3
}

/// Chooses a path that no other model has: the file's own name, else with the ids as a suffix (decision 1).
pub(in crate::service) fn place(
    library: &Library,
    version: &Version,
    file: &VersionFile,
    folder: &ModelFolder,
    name: &str,
) -> Result<Place> {
    let name = judged_name(name, &format!("civitai_{}.safetensors", version.id))?;
    let mut suffixes = vec![version.id.to_string()];
    suffixes.extend(file.id.map(|id| format!("{}.{id}", version.id)));
    let wish = Wish { folder, name: &name, suffixes: &suffixes, sha256: sha256_of(file) };
    free_path(library, &wish, |entry| is_same(entry, version, file))
}

/// Whether an entry at the same path is the same file: by file id, by version, or by content.
fn is_same(entry: &Entry, version: &Version, file: &VersionFile) -> bool {
    let document = &entry.document;
    let same_hash = document.sha256().is_some_and(|own| Some(own) == sha256_of(file));
    match (document.id("civitai_version_id"), document.id("civitai_file_id"), file.id) {
        (Some(own), Some(own_file), Some(file)) => own == version.id && own_file == file || same_hash,
        (Some(own), ..) => own == version.id || same_hash,
        (None, ..) => same_hash,
    }
}

fn sha256_of(file: &VersionFile) -> Option<Sha256> {
    file.sha256.as_deref()?.parse().ok()
}
