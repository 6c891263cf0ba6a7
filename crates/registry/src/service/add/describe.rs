//! From what an upstream knows of a file to the fields of its entry.

use serde_json::Value;
use url::Url;

use super::AddRequest;
use crate::domain::{
    CatalogName, Category, EntryDocument, ModelFolder, ModelHome, SafeName, Sha256, StyleCategory,
    category_of_folder,
};
use crate::error::{Error, Result};
use crate::service::civitai::entry_of;
use crate::upstream::civitai::{Version, VersionFile};
use crate::upstream::huggingface::{HubFile, RepoInfo};

/// An entry that is about to be added; its file name is not settled yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Where its file goes.
    pub(super) folder: ModelFolder,
    /// The name that the caller chose, which must not change; else the upstream's, hostile until judged.
    pub(super) name: Name,
    /// What it is listed under.
    pub(super) category: Category,
    /// Everything but `file`.
    pub(super) document: EntryDocument,
    /// Put before the ending when another file has the path; always the same for the same source.
    pub(super) suffix: String,
}

/// Who named the file.
#[derive(Debug, Clone)]
pub(super) enum Name {
    Chosen(SafeName),
    Upstream(String),
}

/// What a repository or an address says, before the caller's wishes.
struct Facts {
    file: String,
    suffix: String,
    base_model: String,
    home: ModelHome,
    sha256: Option<Sha256>,
    size_bytes: Option<u64>,
    /// What only this kind of source has.
    own: Vec<(&'static str, Value)>,
    /// Listed after the common fields.
    extra: Vec<(&'static str, Value)>,
}

/// An entry for a file of a version on CivitAI.
pub(super) fn civitai(request: &AddRequest, version: &Version, file: &VersionFile) -> Result<Draft> {
    let (home, document) = entry_of(version, file);
    let name = file.name.clone().unwrap_or_default();
    with_wishes(request, home, document, name, version.id.to_string())
}

/// An entry for a file of a repository on Hugging Face.
pub(super) fn huggingface(
    request: &AddRequest,
    info: &RepoInfo,
    revision: Option<&str>,
    file: &HubFile,
) -> Result<Draft> {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let words: Vec<String> = info.trigger_word.iter().cloned().collect();
    draft(
        request,
        Facts {
            file: name.to_owned(),
            suffix: short(&format!("{}/{}", info.id, file.path)),
            base_model: info.base_model.clone().unwrap_or_default(),
            home: ModelHome::of_repo_file(&info.id, &file.path),
            sha256: file.sha256.as_deref().and_then(|text| text.parse().ok()),
            size_bytes: file.size,
            own: vec![
                ("source", Value::from("huggingface")),
                ("hf_repo", info.id.clone().into()),
                ("hf_file", file.path.clone().into()),
                ("hf_revision", revision.into()),
            ],
            extra: vec![
                ("trigger_words", words.into()),
                ("author", info.author.clone().unwrap_or_default().into()),
            ],
        },
    )
}

/// An entry for a plain address.
pub(super) fn url(request: &AddRequest, url: &Url) -> Result<Draft> {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    let file = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
    if request.file.is_none() && !file.contains('.') {
        let message = "the address does not end in a file name; say under which name to keep it";
        return Err(Error::invalid("file_missing", "file", message));
    }
    draft(
        request,
        Facts {
            suffix: short(url.as_str()),
            base_model: String::new(),
            home: ModelHome::of_file_name(request.file.as_deref().unwrap_or(&file)),
            sha256: None,
            size_bytes: None,
            file,
            own: vec![("source", Value::from("url")), ("url", url.as_str().into())],
            extra: Vec::new(),
        },
    )
}

fn draft(request: &AddRequest, facts: Facts) -> Result<Draft> {
    let mut document = EntryDocument::default();
    document.set("name", readable_stem(&facts.file));
    document.set("file", "");
    document.set("dest", facts.home.dest);
    set_all(&mut document, facts.own);
    document.set("size_gb", facts.size_bytes.map_or(0.0, |bytes| (bytes as f64 / 1e6).round() / 1e3));
    if let Some(bytes) = facts.size_bytes {
        document.set("size_bytes", bytes);
    }
    document.set("base_model", facts.base_model);
    document.set("tags", Vec::<String>::new());
    if let Some(sha256) = facts.sha256 {
        document.set("sha256", sha256.to_string());
    }
    set_all(&mut document, facts.extra);
    with_wishes(request, facts.home, document, facts.file, facts.suffix)
}

/// Puts the caller's wishes over what upstream says.
fn with_wishes(
    request: &AddRequest,
    home: ModelHome,
    mut document: EntryDocument,
    upstream_name: String,
    suffix: String,
) -> Result<Draft> {
    let folder = ModelFolder::parse("dest", request.dest.as_deref().unwrap_or(home.dest))?;
    document.set("dest", folder.as_str());
    let wished = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    if let Some(name) = wished(&request.name) {
        document.set("name", name);
    }
    if let Some(base_model) = wished(&request.base_model) {
        document.set("base_model", base_model);
    }
    if let Some(sha256) = wished(&request.sha256) {
        let sha256 = agreed_hash(&sha256, document.sha256())?;
        document.set("sha256", sha256.to_string());
    }
    let name = match &request.file {
        Some(chosen) => Name::Chosen(SafeName::parse("file", chosen)?),
        None => Name::Upstream(upstream_name),
    };
    let category = category(request, home, folder.as_str(), document.base_model());
    Ok(Draft { folder, name, category, document, suffix })
}

/// The caller's, else the usual one of the folder; style LoRAs are listed by family.
fn category(request: &AddRequest, home: ModelHome, dest: &str, base_model: &str) -> Category {
    if let Some(id) = request.category.as_deref().filter(|id| !id.trim().is_empty()) {
        return Category::named_after_id(id);
    }
    if request.catalog == Some(CatalogName::Loras) {
        let style = StyleCategory::of(base_model);
        return Category::new(style.id, style.name);
    }
    let usual = if dest == home.dest { home.category } else { category_of_folder(dest) };
    Category::named_after_id(if usual.is_empty() { "other" } else { usual })
}

/// The caller's hash and the source's must not contradict each other.
fn agreed_hash(text: &str, published: Option<Sha256>) -> Result<Sha256> {
    let own: Sha256 = text.trim().parse().map_err(|_| {
        Error::invalid("malformed_sha256", "sha256", "a SHA-256 has 64 hexadecimal digits; copy all of them")
    })?;
    match published {
        Some(published) if published != own => {
            let message = format!(
                "the source publishes the sha-256 `{published}` and not `{own}`; it is another file than you want"
            );
            Err(Error::conflict("hash_mismatch", message))
        }
        _ => Ok(own),
    }
}

fn set_all(document: &mut EntryDocument, fields: Vec<(&'static str, Value)>) {
    for (field, value) in fields {
        let is_blank = value.is_null() || value.as_str() == Some("");
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        if !is_blank && !is_empty {
            document.set(field, value);
        }
    }
}

/// A short text that is always the same for the same source.
fn short(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_string()[..8].to_owned()
}

/// A file name as a name for people.
fn readable_stem(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.replace('_', " ").trim().to_owned()
}
