//! CivitAI: models, versions, their files and their download addresses.

mod choice;
mod images;
mod refusals;
mod search;
mod site;
mod tags;
mod wire;

use std::sync::Arc;

use lorakeep_transfer::Credential;
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::Keyring;
use super::error::UpstreamError;
use super::http::{Answer, ApiClient, ApiError};

pub(crate) use choice::{choose_file, is_weights};
pub(crate) use images::{Image, ImageFeed, ImagePage};
pub(crate) use refusals::{archived, explain, generation_only, taken_down};
pub(crate) use site::GenerationData;
pub(crate) use tags::{TAGS_A_PAGE, Tag};
pub(crate) use wire::{Model, Version, VersionFile, VersionImage};

/// Hashes that one batch may hold, by the site's rule.
const HASHES_A_BATCH: usize = 100;

/// A client of one CivitAI site.
#[derive(Debug, Clone)]
pub(crate) struct Civitai {
    api: Arc<ApiClient>,
    base: Url,
    pub(crate) keyring: Keyring,
}

impl Civitai {
    pub(crate) fn new(api: Arc<ApiClient>, base: Url, key: Option<SecretString>) -> Self {
        let keyring = Keyring::new(&base, key);
        Self { api, base, keyring }
    }

    /// The key in force, bound to the site.
    pub(crate) fn credential(&self) -> Option<Credential> {
        self.keyring.credential()
    }

    /// One version. When the site's cache has lost it, its model is asked, if that is known.
    pub(crate) async fn version(
        &self,
        version_id: u64,
        model_id: Option<u64>,
    ) -> Result<Version, UpstreamError> {
        let name = format!("version {version_id} on CivitAI");
        let answer = self.get(&format!("model-versions/{version_id}"), &name).await;
        let missing = match answer {
            Ok(answer) => match Version::read(&answer.json) {
                Some(version) => return Ok(self.with_mode(version).await),
                None => unreadable(&name),
            },
            Err(error) if matches!(error.code, "not_found" | "upstream_failed") => error,
            Err(error) => return Err(error),
        };
        let Some(model_id) = model_id else { return Err(missing) };
        let model = self.model(model_id).await.map_err(|_| missing.clone())?;
        model.versions.into_iter().find(|version| version.id == version_id).ok_or(missing)
    }

    /// An archived model's version has no files and not always says why: its model does.
    async fn with_mode(&self, mut version: Version) -> Version {
        if let (true, None, Some(model_id)) =
            (version.files.is_empty(), &version.model.mode, version.model_id)
        {
            version.model.mode = self.model(model_id).await.ok().and_then(|model| model.head.mode);
        }
        version
    }

    /// A model with its versions; the list can be empty although versions exist.
    pub(crate) async fn model(&self, model_id: u64) -> Result<Model, UpstreamError> {
        let name = format!("model {model_id} on CivitAI");
        let answer = self.get(&format!("models/{model_id}"), &name).await?;
        Model::read(&answer.json).ok_or_else(|| unreadable(&name))
    }

    /// The versions that hold files of these SHA-256 hashes; unknown hashes are left out, the order is the site's.
    pub(crate) async fn versions_by_hash(&self, hashes: &[String]) -> Result<Vec<Version>, UpstreamError> {
        let mut found = Vec::new();
        for batch in hashes.chunks(HASHES_A_BATCH) {
            let url = self.api_url("model-versions/by-hash");
            let answer = self.api.post(url, self.credential().as_ref(), json!(batch)).await;
            let answer = answer.map_err(|error| explained(error, "the files of these hashes on CivitAI"))?;
            found.extend(answer.json.as_array().into_iter().flatten().filter_map(Version::read));
        }
        Ok(found)
    }

    /// Where the bytes are asked for: by ids alone, so that no preference of an account chooses another file.
    pub(crate) fn download_url(&self, version_id: u64, file_id: Option<u64>) -> Url {
        let mut url = self.below(&format!("api/download/models/{version_id}"));
        if let Some(file_id) = file_id {
            url.query_pairs_mut().append_pair("fileId", &file_id.to_string());
        }
        url
    }

    /// Other addresses of a file, for when its own says 404: a linked VAE belongs to another version and is found here
    /// only by the address that the site gave, or by what it is.
    pub(crate) fn other_download_urls(&self, version_id: u64, file: &VersionFile) -> Vec<Url> {
        let mut by_kind = self.download_url(version_id, None);
        let parts =
            [("type", &file.kind), ("format", &file.format), ("size", &file.size), ("fp", &file.precision)];
        for (key, value) in parts {
            if let Some(value) = value {
                by_kind.query_pairs_mut().append_pair(key, value);
            }
        }
        let own = self.download_url(version_id, file.id);
        let mut others: Vec<Url> = self.returned_download_url(file).into_iter().collect();
        others.extend(file.kind.is_some().then_some(by_kind));
        others.retain(|url| *url != own);
        others
    }

    /// The address that the site gave, rebuilt on this site: answers may name an unusable host.
    fn returned_download_url(&self, file: &VersionFile) -> Option<Url> {
        let given = self.base.join(file.download_url.as_deref()?).ok()?;
        let version_id = given.path().strip_prefix("/api/download/models/")?.parse().ok()?;
        let mut url = self.download_url(version_id, None);
        for (key, value) in given.query_pairs().filter(|(key, _)| key != "token") {
            url.query_pairs_mut().append_pair(&key, &value);
        }
        Some(url)
    }

    async fn get(&self, path: &str, name: &str) -> Result<Answer, UpstreamError> {
        let answer = self.api.get(self.api_url(path), self.credential().as_ref()).await;
        answer.map_err(|error| explained(error, name))
    }

    fn api_url(&self, path: &str) -> Url {
        self.below(&format!("api/v1/{path}"))
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

fn explained(error: ApiError, name: &str) -> UpstreamError {
    match error {
        ApiError::Refused(refusal) if refusal.status == 500 && is_lost(&refusal.body_start) => {
            UpstreamError::refused(
                "not_found",
                404,
                format!("{name} was not found; it may have been deleted"),
            )
        }
        ApiError::Refused(refusal) => explain(&refusal, name),
        ApiError::Failed(failure) => failure,
    }
}

/// The site answers 500 with this text for versions that it cannot show.
fn is_lost(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|json| {
        json.get("error").and_then(Value::as_str) == Some("Failed to fetch model version details")
    })
}

fn unreadable(name: &str) -> UpstreamError {
    UpstreamError::passing(
        "not_json",
        200,
        format!("CivitAI's answer about {name} cannot be understood; try again later"),
    )
}
