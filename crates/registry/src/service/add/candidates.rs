//! What a reference stands for, before anything is added: versions and files to choose from.

use std::sync::Arc;

use super::{Reference, RepoFile, entry_of_origin, is_model};
use crate::domain::{Entry, Origin};
use crate::error::Result;
use crate::service::{Registry, civitai};
use crate::upstream::civitai::{Model, Version, VersionFile, choose_file, is_weights};
use crate::upstream::huggingface::HubFile;

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// The model's or the repository's name.
    pub name: String,
    /// Who made it.
    pub creator: Option<String>,
    /// As the source calls it: `LORA`, `Checkpoint`, …
    pub kind: Option<String>,
    /// Newest first; the one that was asked for stands first.
    pub versions: Vec<CandidateVersion>,
}

/// One version of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateVersion {
    /// Its name.
    pub name: String,
    /// The base model as the source names it.
    pub base_model: Option<String>,
    /// Why it cannot be had at all.
    pub restriction: Option<String>,
    /// Who may have it for now, when that is not everybody.
    pub early_access: Option<String>,
    /// What can be added.
    pub files: Vec<CandidateFile>,
}

/// One file that can be added.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateFile {
    /// What [`Registry::add`] takes it by.
    pub reference: String,
    /// The source's name for it; hostile until it is added.
    pub name: String,
    /// Length in bytes; an estimate for CivitAI.
    pub size_bytes: Option<u64>,
    /// Form and precision, when they are known.
    pub details: Vec<String>,
    /// Whether it is what the source means when no file is named.
    pub is_usual: bool,
    /// Its entry, when a catalog has it.
    pub entry: Option<Arc<Entry>>,
}

impl Registry {
    /// Asks the upstream what a reference names; adds nothing.
    pub async fn candidates(&self, reference: &str) -> Result<Candidates> {
        let upstreams = &self.inner.jobs.upstreams;
        match Reference::parse(reference, &upstreams.endpoints)? {
            Reference::CivitaiModel { model_id } => {
                let model = upstreams.civitai.model(model_id).await?;
                Ok(self.of_model(model, None))
            }
            Reference::CivitaiVersion { version_id, file_id, model_id } => {
                self.of_version_id(version_id, file_id, model_id).await
            }
            Reference::HuggingFaceFile(file) => self.of_repo(file, true).await,
            Reference::HuggingFaceFolder { repo, revision, folder } => {
                self.of_repo(RepoFile { repo, revision, path: folder }, false).await
            }
            Reference::Url(url) => Ok(self.of_address(url.as_str())),
        }
    }

    async fn of_version_id(
        &self,
        version_id: u64,
        file_id: Option<u64>,
        model_id: Option<u64>,
    ) -> Result<Candidates> {
        let upstreams = &self.inner.jobs.upstreams;
        let version = upstreams.civitai.version(version_id, model_id).await?;
        // The other versions are an extra: without them the one asked for is shown alone.
        let model = match version.model_id {
            Some(model_id) => upstreams.civitai.model(model_id).await.ok(),
            None => None,
        };
        let model = model.unwrap_or_else(|| Model {
            id: version.model_id.unwrap_or_default(),
            head: version.model.clone(),
            versions: vec![version.clone()],
        });
        let mut candidates = self.of_model(model, Some(version));
        if let (Some(file_id), Some(first)) = (file_id, candidates.versions.first_mut()) {
            let suffix = format!("+{file_id}");
            first.files.iter_mut().for_each(|file| file.is_usual = file.reference.ends_with(&suffix));
        }
        Ok(candidates)
    }

    fn of_model(&self, model: Model, asked: Option<Version>) -> Candidates {
        let asked_id = asked.as_ref().map(|version| version.id);
        let others = model.versions.into_iter().filter(|version| Some(version.id) != asked_id);
        let versions = asked.into_iter().chain(others).map(|version| self.of_version_record(&version));
        Candidates {
            name: model.head.name.unwrap_or_else(|| format!("model {}", model.id)),
            creator: model.head.creator,
            kind: model.head.kind,
            versions: versions.collect(),
        }
    }

    fn of_version_record(&self, version: &Version) -> CandidateVersion {
        let now = self.now();
        let restriction = civitai::restriction(version, true, now);
        let early_access =
            if restriction.is_some() { None } else { civitai::restriction(version, false, now) };
        let usual = choose_file(version, None).and_then(|file| file.id);
        let files = version.files.iter().filter(|file| is_weights(file) && file.id.is_some());
        CandidateVersion {
            name: version.name.clone().unwrap_or_else(|| format!("version {}", version.id)),
            base_model: version.base_model.clone(),
            restriction,
            early_access,
            files: files.map(|file| self.of_version_file(version, file, usual)).collect(),
        }
    }

    fn of_version_file(&self, version: &Version, file: &VersionFile, usual: Option<u64>) -> CandidateFile {
        let id = file.id.unwrap_or_default();
        let model = version.model_id.map(|model_id| format!("{model_id}@")).unwrap_or_default();
        let details = [&file.kind, &file.format, &file.size, &file.precision];
        CandidateFile {
            reference: format!("civitai:{model}{}+{id}", version.id),
            name: file.name.clone().unwrap_or_else(|| format!("file {id}")),
            size_bytes: file.size_kb.map(|kibibytes| (kibibytes * 1024.0).round() as u64),
            details: details.into_iter().flatten().cloned().collect(),
            is_usual: usual == Some(id),
            entry: self.entry_of_version(version.id, Some(id)),
        }
    }

    /// A repository's model files; only that one when a file was named.
    async fn of_repo(&self, asked: RepoFile, is_file: bool) -> Result<Candidates> {
        let hub = &self.inner.jobs.upstreams.huggingface;
        let info = hub.repo(&asked.repo, asked.revision.as_deref()).await?;
        let at = asked.revision.as_deref().unwrap_or("main");
        let files = if is_file {
            vec![hub.file(&info.id, at, &asked.path).await?]
        } else {
            hub.files(&info.id, at, &asked.path).await?
        };
        let shown = files.iter().filter(|file| is_file || is_model(&file.path));
        let files: Vec<_> =
            shown.map(|file| self.of_hub_file(&info.id, asked.revision.as_deref(), file)).collect();
        let has_one = files.len() == 1;
        let files = files.into_iter().map(|file| CandidateFile { is_usual: has_one, ..file }).collect();
        let version = CandidateVersion {
            name: at.to_owned(),
            base_model: info.base_model,
            restriction: None,
            early_access: info
                .is_gated
                .then(|| "This repository is gated — its owner lets accounts in one by one".to_owned()),
            files,
        };
        Ok(Candidates { name: info.id, creator: info.author, kind: None, versions: vec![version] })
    }

    fn of_hub_file(&self, repo: &str, revision: Option<&str>, file: &HubFile) -> CandidateFile {
        let at = revision.map(|revision| format!("@{revision}")).unwrap_or_default();
        let origin = Origin::HuggingFace {
            repo: repo.to_owned(),
            file: file.path.clone(),
            revision: revision.map(str::to_owned),
        };
        CandidateFile {
            reference: format!("{repo}{at}:{}", file.path),
            name: file.path.clone(),
            size_bytes: file.size,
            details: Vec::new(),
            is_usual: false,
            entry: entry_of_origin(&self.library(), &origin),
        }
    }

    fn of_address(&self, url: &str) -> Candidates {
        let name = url.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default();
        let file = CandidateFile {
            reference: url.to_owned(),
            name: name.to_owned(),
            size_bytes: None,
            details: Vec::new(),
            is_usual: true,
            entry: entry_of_origin(&self.library(), &Origin::Url(url.to_owned())),
        };
        let version = CandidateVersion {
            name: "as it is now".to_owned(),
            base_model: None,
            restriction: None,
            early_access: None,
            files: vec![file],
        };
        Candidates { name: name.to_owned(), creator: None, kind: None, versions: vec![version] }
    }
}
