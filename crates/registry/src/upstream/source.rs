//! From an entry's origin to an address with size and hash, asked for anew each time: signed addresses expire and
//! records change.

use lorakeep_transfer::{Credential, Refusal, Sha256Digest};
use url::Url;

use super::huggingface::Asked;
use super::{UpstreamError, Upstreams, civitai, huggingface};
use crate::domain::Origin;

/// Where a file's bytes are and what is known of them beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The first-party address.
    pub(crate) url: Url,
    /// Other first-party addresses to try, in order, while the one before says 404.
    pub(crate) other_urls: Vec<Url>,
    pub(crate) credential: Option<Credential>,
    /// Exact bytes.
    pub(crate) size: Option<u64>,
    /// Bytes for people and for the look at free space, when there is no exact size.
    pub(crate) estimated_size: Option<u64>,
    /// The hash that the source publishes.
    pub(crate) sha256: Option<Sha256Digest>,
    subject: Subject,
}

/// What a refusal is about.
#[derive(Debug, Clone)]
enum Subject {
    Civitai { name: String },
    HuggingFace { repo: String, revision: String, path: String },
    Url,
}

impl Upstreams {
    /// Asks the upstream where the bytes of `origin` are now.
    pub(crate) async fn resolve(&self, origin: &Origin) -> Result<Source, UpstreamError> {
        match origin {
            Origin::Civitai { version_id, file_id, model_id } => {
                self.resolve_civitai(*version_id, *file_id, *model_id).await
            }
            Origin::HuggingFace { repo, file, revision } => {
                self.resolve_huggingface(repo, revision.as_deref(), file).await
            }
            Origin::Url(text) => self.resolve_url(text),
        }
    }

    async fn resolve_civitai(
        &self,
        version_id: u64,
        file_id: Option<u64>,
        model_id: Option<u64>,
    ) -> Result<Source, UpstreamError> {
        let version = self.civitai.version(version_id, model_id).await?;
        let name = format!("version {version_id} on CivitAI");
        refuse_closed(&version, &name)?;
        let file = civitai::choose_file(&version, file_id);
        if file.is_none() && file_id.is_none() {
            let message = format!("{name} has no model file; open it on CivitAI and choose another version");
            return Err(UpstreamError::refused("no_file", None, message));
        }
        let file_id = file_id.or_else(|| file.and_then(|file| file.id));
        Ok(Source {
            url: self.civitai.download_url(version_id, file_id),
            other_urls: file
                .map(|file| self.civitai.other_download_urls(version_id, file))
                .unwrap_or_default(),
            credential: self.civitai.credential(),
            size: None,
            estimated_size: file.and_then(civitai::VersionFile::estimated_bytes),
            sha256: file.and_then(|file| file.sha256.as_deref()).and_then(|text| text.parse().ok()),
            subject: Subject::Civitai { name },
        })
    }

    async fn resolve_huggingface(
        &self,
        repo: &str,
        revision: Option<&str>,
        path: &str,
    ) -> Result<Source, UpstreamError> {
        let info = self.huggingface.repo(repo, revision).await?;
        // From here on the commit counts, so that nobody's push mixes two files.
        let wanted = revision.unwrap_or("main");
        let commit = if info.commit.is_empty() { wanted.to_owned() } else { info.commit };
        let file = self.huggingface.file(&info.id, &commit, path).await.map_err(|error| {
            let asked = Asked { repo, revision: wanted, path };
            if error.code == "entry_not_found" { huggingface::entry_missing(asked, 404) } else { error }
        })?;
        Ok(Source {
            url: self.huggingface.resolve_url(&info.id, &commit, path),
            other_urls: Vec::new(),
            credential: self.huggingface.credential(),
            size: file.size,
            estimated_size: None,
            sha256: file.sha256.and_then(|text| text.parse().ok()),
            subject: Subject::HuggingFace {
                repo: repo.to_owned(),
                revision: wanted.to_owned(),
                path: path.to_owned(),
            },
        })
    }

    /// A plain address; one of an upstream's own host gets the key of that upstream.
    fn resolve_url(&self, text: &str) -> Result<Source, UpstreamError> {
        let url = Url::parse(text).map_err(|error| {
            UpstreamError::refused(
                "malformed_url",
                None,
                format!("the entry's `url` is not an address: {error}"),
            )
        })?;
        self.hosts.check(&url).map_err(|error| super::http::from_transfer(&error))?;
        let of = |base: &Url| url.origin() == base.origin();
        let credential = if of(&self.endpoints.civitai) {
            self.civitai.credential()
        } else if of(&self.endpoints.huggingface) {
            self.huggingface.credential()
        } else {
            None
        };
        Ok(Source {
            url,
            other_urls: Vec::new(),
            credential,
            size: None,
            estimated_size: None,
            sha256: None,
            subject: Subject::Url,
        })
    }
}

impl Source {
    /// Says what a refusal of the bytes means for the user.
    pub(crate) fn explain(&self, refusal: &Refusal) -> UpstreamError {
        if !refusal.first_party {
            return storage_refused(refusal);
        }
        match &self.subject {
            Subject::Civitai { name } => civitai::explain(refusal, name),
            Subject::HuggingFace { repo, revision, path } => {
                huggingface::explain(refusal, Asked { repo, revision, path })
            }
            Subject::Url => plain(refusal),
        }
    }
}

/// What is known to be closed before anything is asked for.
pub(crate) fn refuse_closed(version: &civitai::Version, name: &str) -> Result<(), UpstreamError> {
    if version.usage_control.as_deref().is_some_and(|usage| usage != "Download") {
        return Err(civitai::generation_only(name));
    }
    match version.model.mode.as_deref() {
        Some("Archived") => Err(civitai::archived(name)),
        Some("TakenDown") => Err(civitai::taken_down(name)),
        _ => Ok(()),
    }
}

/// The site gave a signed address and its storage does not honour it.
fn storage_refused(refusal: &Refusal) -> UpstreamError {
    UpstreamError::passing(
        "storage_refused",
        refusal.status,
        format!(
            "the storage at `{}` answered {}; retry, it gets a fresh address then",
            refusal.url, refusal.status
        ),
    )
}

fn plain(refusal: &Refusal) -> UpstreamError {
    let code = match refusal.status {
        401 => "login_required",
        403 => "no_access",
        404 => "not_found",
        410 => "archived",
        429 => "rate_limited",
        _ => "upstream",
    };
    UpstreamError::refused(code, refusal.status, refusal.to_string())
}
