//! One parser for every way in which people name a model file: links, ids, AIR, repository paths, plain addresses.
//!
//! What it answers holds only ids and judged names, so that a key pasted along with a link goes no further.

mod civitai;
mod huggingface;

use url::Url;

use crate::error::Invalid;

/// The longest reference that is looked at, in bytes.
const MAX_BYTES: usize = 4096;

/// Where the two upstreams are; their hosts' links count as theirs.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    /// `https://civitai.com` unless configured.
    pub(crate) civitai: Url,
    /// `https://huggingface.co` unless configured; may have a path.
    pub(crate) huggingface: Url,
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A version on CivitAI, and perhaps one of its files.
    CivitaiVersion {
        /// Version id.
        version_id: u64,
        /// File id.
        file_id: Option<u64>,
        /// Model id, if it was named.
        model_id: Option<u64>,
    },
    /// A model on CivitAI without a version: its newest one is meant.
    CivitaiModel {
        /// Model id.
        model_id: u64,
    },
    /// A file of a Hugging Face repository.
    HuggingFaceFile(RepoFile),
    /// A repository, or a folder of one: its only model file is meant.
    HuggingFaceFolder {
        /// `owner/name` or a bare `name`.
        repo: String,
        /// Branch, tag or commit.
        revision: Option<String>,
        /// Folder within the repository; empty for all of it.
        folder: String,
    },
    /// The plain address of a file.
    Url(Url),
}

/// A file within a Hugging Face repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepoFile {
    /// `owner/name` or a bare `name`.
    pub(crate) repo: String,
    /// Branch, tag or commit; the default branch when absent.
    pub(crate) revision: Option<String>,
    /// Path within the repository, `/` between parts.
    pub(crate) path: String,
}

impl Reference {
    /// Reads a reference; a refusal says what would be understood.
    pub(crate) fn parse(text: &str, endpoints: &Endpoints) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(refused(
                "unknown_reference",
                format!("the reference is longer than {MAX_BYTES} bytes"),
            ));
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(not_understood(text));
        }
        if let Some(reference) = civitai::short_form(text) {
            return reference;
        }
        if let Some(reference) = huggingface::short_form(text) {
            return reference;
        }
        match Url::parse(text) {
            Ok(url) if is_web(&url) => Self::from_url(url, endpoints),
            _ => Err(not_understood(text)),
        }
    }

    fn from_url(mut url: Url, endpoints: &Endpoints) -> Result<Self, Invalid> {
        if !url.username().is_empty() || url.password().is_some() {
            let message = "addresses with a user name or password are not accepted; leave out what stands before the `@`";
            return Err(refused("unsafe_reference", message));
        }
        url.set_fragment(None);
        if civitai::is_image_host(&url) {
            return Err(civitai::image(&url));
        }
        if let Some(path) = path_below(&url, &endpoints.civitai, &civitai::HOSTS) {
            return civitai::link(&url, &path);
        }
        if let Some(path) = path_below(&url, &endpoints.huggingface, &huggingface::HOSTS) {
            return huggingface::link(&path);
        }
        Ok(Self::Url(url))
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.host().is_some()
}

/// The path of `url` below an upstream, when it is of its configured endpoint or of one of its public hosts.
fn path_below(url: &Url, endpoint: &Url, public_hosts: &[&str]) -> Option<String> {
    if same_host(url, endpoint) {
        return strip_base(url.path(), endpoint.path());
    }
    let host = url.host_str()?.trim_end_matches('.');
    public_hosts.contains(&host).then(|| url.path().to_owned())
}

fn same_host(url: &Url, endpoint: &Url) -> bool {
    url.host_str() == endpoint.host_str() && url.port_or_known_default() == endpoint.port_or_known_default()
}

/// `path` without the base that a configured endpoint has, such as `/hf`.
fn strip_base(path: &str, base: &str) -> Option<String> {
    let rest = path.strip_prefix(base.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
}

/// An id as the upstreams write it: digits, not zero.
fn id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().filter(|&id| id > 0) } else { None }
}

fn refused(code: &'static str, message: impl Into<String>) -> Invalid {
    Invalid { code, field: "reference".to_owned(), message: message.into(), suggestion: None }
}

fn not_understood(text: &str) -> Invalid {
    let mut refusal = refused(
        "unknown_reference",
        format!(
            "`{}` is not a reference to a model file; give a CivitAI or Hugging Face link, `civitai:VERSION`, an AIR, \
             `owner/repo:path` or the http(s) address of a file",
            shown(text)
        ),
    );
    refusal.suggestion = id(text).map(|id| format!("civitai:{id}"));
    refusal
}

/// A hostile text, cut and escaped for a message.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().count() > 80 { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests;
