//! The Hugging Face Hub: commits, files with size and SHA-256, and their download addresses.

mod refusals;

use std::sync::Arc;

use lorakeep_transfer::Credential;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::Keyring;
use super::error::UpstreamError;
use super::http::{ApiClient, ApiError, next_page};
use super::lenient::{sha256, text, texts, whole};

pub(crate) use refusals::{Asked, entry_missing, explain};

/// What is quoted within one part of a path.
const PART: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The default branch.
const MAIN: &str = "main";
/// Paths that one question may name; the Hub allows 2,000.
const PATHS_A_BATCH: usize = 1000;
/// Pages of a listing that are read; a page has up to 1,000 files.
const MAX_PAGES: usize = 50;

/// A client of one Hub.
#[derive(Debug, Clone)]
pub(crate) struct HuggingFace {
    api: Arc<ApiClient>,
    base: Url,
    pub(crate) keyring: Keyring,
}

/// A repository at one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RepoInfo {
    /// Its name now; an old name leads to it.
    pub(crate) id: String,
    /// The commit that the revision stands for; empty when the Hub does not say.
    pub(crate) commit: String,
    /// Whether conditions must be accepted before files are given out.
    pub(crate) is_gated: bool,
    /// The base model that its card names, a repository's name as a rule.
    pub(crate) base_model: Option<String>,
    /// The card's `instance_prompt`.
    pub(crate) trigger_word: Option<String>,
    pub(crate) author: Option<String>,
    /// When it was last changed, as written.
    pub(crate) last_modified: Option<String>,
}

/// A file at one commit. Its path is hostile until judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubFile {
    pub(crate) path: String,
    /// Exact bytes.
    pub(crate) size: Option<u64>,
    /// Of the content; small files that are not in LFS have none.
    pub(crate) sha256: Option<String>,
}

impl HuggingFace {
    pub(crate) fn new(api: Arc<ApiClient>, base: Url, token: Option<SecretString>) -> Self {
        let keyring = Keyring::new(&base, token);
        Self { api, base, keyring }
    }

    /// The token in force, bound to the Hub.
    pub(crate) fn credential(&self) -> Option<Credential> {
        self.keyring.credential()
    }

    /// The repository and the commit that `revision` stands for now.
    pub(crate) async fn repo(&self, repo: &str, revision: Option<&str>) -> Result<RepoInfo, UpstreamError> {
        let asked = Asked { repo, revision: revision.unwrap_or(MAIN), path: "" };
        let url = match revision {
            Some(revision) => self.below(&["api/models", &quoted(repo), "revision", &part(revision)]),
            None => self.below(&["api/models", &quoted(repo)]),
        };
        let json = self.get(url, asked).await?.0;
        Ok(RepoInfo {
            id: text(&json, "id").or_else(|| text(&json, "modelId")).unwrap_or_else(|| repo.to_owned()),
            commit: text(&json, "sha").filter(|sha| is_commit(sha)).unwrap_or_default(),
            is_gated: json.get("gated").is_some_and(|gated| gated.is_string() || gated == &Value::Bool(true)),
            base_model: base_model(&json),
            trigger_word: json.get("cardData").and_then(|card| text(card, "instance_prompt")),
            author: text(&json, "author"),
            last_modified: text(&json, "lastModified"),
        })
    }

    /// One file at a revision.
    pub(crate) async fn file(
        &self,
        repo: &str,
        revision: &str,
        path: &str,
    ) -> Result<HubFile, UpstreamError> {
        let asked = Asked { repo, revision, path };
        let url = self.below(&["api/models", &quoted(repo), "paths-info", &part(revision)]);
        let body = json!({ "paths": [path], "expand": false });
        let answer = self.api.post(url, self.credential().as_ref(), body).await;
        let answer = answer.map_err(|error| explained(error, asked))?;
        let files = answer.json.as_array().into_iter().flatten();
        // Missing paths are left out of the answer without a word.
        let file = files.filter_map(HubFile::read).find(|file| file.path == path);
        file.ok_or_else(|| entry_missing(asked, 404))
    }

    /// Files at a revision, many with one request; those that are not there are left out.
    pub(crate) async fn files_at(
        &self,
        repo: &str,
        revision: &str,
        paths: &[String],
    ) -> Result<Vec<HubFile>, UpstreamError> {
        let asked = Asked { repo, revision, path: "" };
        let mut files = Vec::new();
        for some in paths.chunks(PATHS_A_BATCH) {
            let url = self.below(&["api/models", &quoted(repo), "paths-info", &part(revision)]);
            let body = json!({ "paths": some, "expand": false });
            let answer = self.api.post(url, self.credential().as_ref(), body).await;
            let answer = answer.map_err(|error| explained(error, asked))?;
            files.extend(answer.json.as_array().into_iter().flatten().filter_map(HubFile::read));
        }
        Ok(files)
    }

    /// All files below a folder at a revision; the whole repository when it is empty.
    pub(crate) async fn files(
        &self,
        repo: &str,
        revision: &str,
        folder: &str,
    ) -> Result<Vec<HubFile>, UpstreamError> {
        let asked = Asked { repo, revision, path: folder };
        let mut url = self.below(&["api/models", &quoted(repo), "tree", &part(revision), &quoted(folder)]);
        url.set_query(Some("recursive=true&expand=false"));
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let (json, next) = self.get(url, asked).await?;
            files.extend(json.as_array().into_iter().flatten().filter_map(HubFile::read));
            let Some(next) = next else { break };
            url = next;
        }
        Ok(files)
    }

    /// Where the bytes of a file are asked for.
    pub(crate) fn resolve_url(&self, repo: &str, revision: &str, path: &str) -> Url {
        self.below(&[&quoted(repo), "resolve", &part(revision), &quoted(path)])
    }

    async fn get(&self, url: Url, asked: Asked<'_>) -> Result<(Value, Option<Url>), UpstreamError> {
        let answer = self.api.get(url.clone(), self.credential().as_ref()).await;
        let answer = answer.map_err(|error| explained(error, asked))?;
        let next = next_page(&answer.headers, &url);
        Ok((answer.json, next))
    }

    /// An address below the endpoint; the parts are quoted already.
    fn below(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        let path = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

impl HubFile {
    fn read(value: &Value) -> Option<Self> {
        if text(value, "type").is_some_and(|kind| kind != "file") {
            return None;
        }
        let lfs = value.get("lfs").unwrap_or(&Value::Null);
        // `oid` is the content's SHA-256 within `lfs`, and the pointer's git hash outside of it.
        Some(Self {
            path: text(value, "path")?,
            size: whole(lfs, "size").or_else(|| whole(value, "size")),
            sha256: sha256(lfs, "oid").or_else(|| sha256(lfs, "sha256")),
        })
    }
}

fn explained(error: ApiError, asked: Asked<'_>) -> UpstreamError {
    match error {
        ApiError::Refused(refusal) => explain(&refusal, asked),
        ApiError::Failed(failure) => failure,
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One part of a path: a slash in it is quoted too, as revisions want.
fn part(text: &str) -> String {
    utf8_percent_encode(text, &PART).to_string()
}

/// A path, quoted part by part.
fn quoted(path: &str) -> String {
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What the card says, one or a list; else the tag `base_model:adapter:o/r` or `base_model:o/r`.
fn base_model(info: &Value) -> Option<String> {
    let card = info.get("cardData").unwrap_or(&Value::Null);
    let of_card = text(card, "base_model").or_else(|| texts(card, "base_model").into_iter().next());
    of_card.or_else(|| {
        let tags = texts(info, "tags");
        let tag = tags.iter().find_map(|tag| tag.strip_prefix("base_model:"))?;
        Some(tag.rsplit(':').next().unwrap_or(tag).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use lorakeep_transfer::HostPolicy;

    use super::*;
    use crate::upstream::http::ApiLimits;

    fn hub(base: &str) -> HuggingFace {
        let api = ApiClient::new(HostPolicy::public_only(), ApiLimits::default()).unwrap();
        HuggingFace::new(Arc::new(api), Url::parse(base).unwrap(), None)
    }

    #[test]
    fn addresses_are_quoted_part_by_part() {
        let url = hub("http://localhost:1/hf/").resolve_url("o/r", "refs/pr/1", "a b/ü#?%.pt");
        assert_eq!(url.as_str(), "http://localhost:1/hf/o/r/resolve/refs%2Fpr%2F1/a%20b/%C3%BC%23%3F%25.pt");
    }

    #[test]
    fn the_hash_is_read_from_lfs_and_never_from_the_pointer() {
        let sha = "70b640f8f60b1cf0dcc72f30caf3da9495eb2fb6509da48c53374ad6806e6a9c";
        let file = HubFile::read(&json!({
            "type": "file", "oid": "e7223117b4a22a9806853068e5bdbb24c4b4d7aa", "size": 6_230_011, "path": "a.pt",
            "lfs": {"oid": sha, "size": 6_230_011, "pointerSize": 132},
            "xetHash": "d1126adb762a2a935e6a9780395360ba6a223144ee012777342d4258180c3e93",
        }));
        assert_eq!(
            file,
            Some(HubFile { path: "a.pt".into(), size: Some(6_230_011), sha256: Some(sha.into()) })
        );
        let small = HubFile::read(&json!({"type": "file", "oid": sha, "size": 7, "path": "a.json"}));
        assert_eq!(small.and_then(|file| file.sha256), None);
        assert_eq!(HubFile::read(&json!({"type": "directory", "path": "a"})), None);
    }
}
