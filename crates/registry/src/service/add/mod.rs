//! Adding an entry from a reference: a CivitAI or Hugging Face link or id, an AIR, or a plain address.

mod candidates;
mod describe;
mod free_path;

use std::sync::Arc;

use lorakeep_transfer::TransferError;

use super::{EntryState, Registry, civitai};
use crate::domain::{CatalogName, Entry, Origin};
use crate::error::{Error, Result};
use crate::library::Library;
use crate::upstream::civitai::{Version, VersionFile, choose_file};
use crate::upstream::huggingface::HubFile;
use crate::upstream::reference::{Reference, RepoFile};
use crate::upstream::{UpstreamError, Upstreams};
use describe::{Draft, Name};

pub use candidates::{CandidateFile, CandidateVersion, Candidates};
pub(in crate::service) use free_path::{Place, Wish, free_path, judged_name};

/// What to add, and what the user wants other than the defaults that follow from the upstream's type.
#[derive(Debug, Clone, Default)]
pub struct AddRequest {
    /// `https://civitai.com/models/1?modelVersionId=2`, `civitai:2`, `urn:air:…`, `https://huggingface.co/o/r/blob/main/f`,
    /// `hf:o/r/f`, `o/r:f`, `o/r@rev:f`, or any `http(s)` address of a file.
    pub reference: String,
    /// Default: `models`.
    pub catalog: Option<CatalogName>,
    /// Default by type.
    pub category: Option<String>,
    /// Folder below the models root; default by type.
    pub dest: Option<String>,
    /// Local file name; default: the upstream's.
    pub file: Option<String>,
    /// Shown name; default: the upstream's.
    pub name: Option<String>,
    /// Default: the upstream's.
    pub base_model: Option<String>,
    /// SHA-256 that the user knows, for a plain address.
    pub sha256: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Added {
    /// A new entry.
    New(EntryState),
    /// The catalog had it.
    AlreadyExists(EntryState),
    /// The upstream does not give it out; the reason says why.
    Restricted {
        /// For people.
        reason: String,
    },
}

/// How a reference was understood.
enum Found {
    Version(Box<(Version, VersionFile, Draft)>),
    Other(Box<Draft>),
    Restricted { reason: String },
}

impl Registry {
    /// Resolves the reference, fills name, folder, size, hash and base model, and adds the entry. Downloads nothing.
    pub async fn add(&self, request: AddRequest) -> Result<Added> {
        let upstreams = &self.inner.jobs.upstreams;
        let reference = Reference::parse(&request.reference, &upstreams.endpoints)?;
        if let Some(known) = self.known(&reference) {
            return Ok(Added::AlreadyExists(self.state_of(&known)));
        }
        let found = self.find_source(reference, &request).await?;
        let catalog = request.catalog.unwrap_or(CatalogName::Models);
        // A name may be taken between choosing it and adding the entry; then it is chosen again.
        loop {
            let (draft, place) = match &found {
                Found::Restricted { reason } => return Ok(Added::Restricted { reason: reason.clone() }),
                Found::Version(found) => (&found.2, self.place_of_version(&found.0, &found.1, &found.2)?),
                Found::Other(draft) => (&**draft, self.place_of(draft)?),
            };
            let path = match place {
                Place::Taken(entry) => return Ok(Added::AlreadyExists(self.state_of(&entry))),
                Place::Free(path) => path,
            };
            let mut document = draft.document.clone();
            document.set("file", path.file.as_str());
            match self.insert_entry(catalog, &draft.category, document).await {
                Err(Error::Conflict { code: "exists", .. }) => {}
                other => return other.map(|entry| Added::New(self.state_of(&entry))),
            }
        }
    }

    /// The entry that has this reference's source already; spares the question to the upstream.
    fn known(&self, reference: &Reference) -> Option<Arc<Entry>> {
        let origin = match reference {
            Reference::CivitaiVersion { version_id, file_id, .. } => {
                return self.entry_of_version(*version_id, *file_id);
            }
            Reference::HuggingFaceFile(RepoFile { repo, revision, path }) => {
                Origin::HuggingFace { repo: repo.clone(), file: path.clone(), revision: revision.clone() }
            }
            Reference::Url(url) => Origin::Url(url.to_string()),
            Reference::CivitaiModel { .. } | Reference::HuggingFaceFolder { .. } => return None,
        };
        entry_of_origin(&self.library(), &origin)
    }

    /// What a model or a folder stood for is known only when it was resolved.
    fn place_of_version(&self, version: &Version, file: &VersionFile, draft: &Draft) -> Result<Place> {
        if let Some(entry) = self.entry_of_version(version.id, file.id) {
            return Ok(Place::Taken(entry));
        }
        match &draft.name {
            Name::Chosen(_) => self.place_of(draft),
            Name::Upstream(name) => civitai::place(&self.library(), version, file, &draft.folder, name),
        }
    }

    fn place_of(&self, draft: &Draft) -> Result<Place> {
        let library = self.library();
        let known = draft.document.origin().and_then(|origin| entry_of_origin(&library, &origin));
        if let Some(entry) = known {
            return Ok(Place::Taken(entry));
        }
        let suffix = [draft.suffix.clone()];
        let (name, suffixes) = match &draft.name {
            Name::Chosen(name) => (name.clone(), &[][..]),
            Name::Upstream(name) => (judged_name(name, "model.safetensors")?, &suffix[..]),
        };
        let wish = Wish { folder: &draft.folder, name: &name, suffixes, sha256: draft.document.sha256() };
        free_path(&library, &wish, |_| false)
    }

    /// Asks the upstream what the reference names.
    async fn find_source(&self, reference: Reference, request: &AddRequest) -> Result<Found> {
        let upstreams = &self.inner.jobs.upstreams;
        let draft = match reference {
            Reference::CivitaiVersion { version_id, file_id, model_id } => {
                let version = upstreams.civitai.version(version_id, model_id).await?;
                return self.of_version(version, file_id, request);
            }
            Reference::CivitaiModel { model_id } => {
                let version = newest_version(upstreams, model_id).await?;
                return self.of_version(version, None, request);
            }
            Reference::HuggingFaceFile(file) => of_repo_file(upstreams, file, request).await?,
            Reference::HuggingFaceFolder { repo, revision, folder } => {
                let path = only_model(upstreams, &repo, revision.as_deref(), &folder).await?;
                of_repo_file(upstreams, RepoFile { repo, revision, path }, request).await?
            }
            Reference::Url(url) => {
                let refused = |error: TransferError| {
                    Error::invalid("forbidden_address", "reference", error.to_string())
                };
                upstreams.hosts.check(&url).map_err(refused)?;
                describe::url(request, &url)?
            }
        };
        Ok(Found::Other(Box::new(draft)))
    }

    fn of_version(&self, version: Version, file_id: Option<u64>, request: &AddRequest) -> Result<Found> {
        // Whoever adds by a link may have bought early access; the download says so otherwise.
        if let Some(reason) = civitai::restriction(&version, true, self.now()) {
            return Ok(Found::Restricted { reason });
        }
        let file =
            choose_file(&version, file_id).ok_or_else(|| civitai::no_file(version.id, file_id))?.clone();
        let draft = describe::civitai(request, &version, &file)?;
        Ok(Found::Version(Box::new((version, file, draft))))
    }
}

/// The entry of that source, in both catalogs, `models` first (decision 12).
fn entry_of_origin(library: &Library, origin: &Origin) -> Option<Arc<Entry>> {
    if let Origin::Civitai { version_id, .. } = origin {
        return library
            .entries_of_version(*version_id)
            .iter()
            .find(|entry| entry.document.origin().as_ref() == Some(origin))
            .cloned();
    }
    let mut all = CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
    all.find(|entry| entry.document.origin().is_some_and(|own| is_same(&own, origin))).cloned()
}

/// `main` and no revision are the same.
fn is_same(one: &Origin, other: &Origin) -> bool {
    let Origin::HuggingFace { repo, file, revision } = one else { return one == other };
    let Origin::HuggingFace { repo: other_repo, file: other_file, revision: other_revision } = other else {
        return false;
    };
    let usual = |revision: &Option<String>| revision.clone().unwrap_or_else(|| "main".to_owned());
    repo.eq_ignore_ascii_case(other_repo) && file == other_file && usual(revision) == usual(other_revision)
}

async fn newest_version(upstreams: &Upstreams, model_id: u64) -> Result<Version> {
    let model = upstreams.civitai.model(model_id).await?;
    let newest = model.versions.into_iter().next().ok_or_else(|| {
        UpstreamError::refused(
            "no_version",
            None,
            format!("CivitAI shows no version of model {model_id}; give the link with `?modelVersionId=` or `civitai:VERSION`"),
        )
    })?;
    // The list within a model leaves things out that the version itself says.
    Ok(upstreams.civitai.version(newest.id, Some(model_id)).await.unwrap_or(newest))
}

async fn of_repo_file(upstreams: &Upstreams, file: RepoFile, request: &AddRequest) -> Result<Draft> {
    let RepoFile { repo, revision, path } = file;
    let info = upstreams.huggingface.repo(&repo, revision.as_deref()).await?;
    let at = revision.as_deref().unwrap_or("main");
    let file = upstreams.huggingface.file(&info.id, at, &path).await?;
    // `main` is what everybody means; another revision is kept.
    describe::huggingface(request, &info, revision.as_deref().filter(|revision| *revision != "main"), &file)
}

/// The model file of a folder when there is exactly one; else the text names those to choose from.
async fn only_model(
    upstreams: &Upstreams,
    repo: &str,
    revision: Option<&str>,
    folder: &str,
) -> Result<String> {
    let at = revision.unwrap_or("main");
    let files = upstreams.huggingface.files(repo, at, folder).await?;
    let models: Vec<&HubFile> = files.iter().filter(|file| is_model(&file.path)).collect();
    let place = if folder.is_empty() { format!("`{repo}`") } else { format!("`{folder}` of `{repo}`") };
    match models.as_slice() {
        [only] => Ok(only.path.clone()),
        [] => {
            Err(UpstreamError::refused("no_file", None, format!("there is no model file in {place}")).into())
        }
        several => {
            let shown: Vec<String> =
                several.iter().take(5).map(|file| format!("`{repo}:{}`", file.path)).collect();
            let more =
                if several.len() > 5 { format!(" and {} more", several.len() - 5) } else { String::new() };
            let message =
                format!("there are several model files in {place}; choose one: {}{more}", shown.join(", "));
            Err(Error::invalid("several_files", "reference", message))
        }
    }
}

fn is_model(path: &str) -> bool {
    const ENDINGS: [&str; 8] = ["safetensors", "sft", "gguf", "ckpt", "pt", "pth", "bin", "onnx"];
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
