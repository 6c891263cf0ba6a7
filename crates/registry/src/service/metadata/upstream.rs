//! What CivitAI and Hugging Face say of a batch of entries: lists where there are lists, single questions for the rest.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Entry, Facts, ModelPath, cleaned_name};
use crate::service::Registry;
use crate::upstream::UpstreamError;
use crate::upstream::civitai::{Version, VersionFile, choose_file};
use crate::upstream::huggingface::{HubFile, RepoInfo};

/// What is known of one entry.
#[derive(Debug, Clone, Default)]
pub(in crate::service) struct Finding {
    pub(in crate::service) facts: Facts,
    /// The file told it; no upstream did.
    pub(in crate::service) is_local: bool,
}

/// What the lists said.
#[derive(Debug, Default)]
pub(super) struct Answers {
    versions: HashMap<u64, Version>,
    /// Versions by the hash of one of their files, lower-case hex.
    by_hash: HashMap<String, Version>,
    repositories: HashMap<(String, String), Result<Repository, UpstreamError>>,
}

#[derive(Debug, Clone)]
struct Repository {
    info: RepoInfo,
    files: Vec<HubFile>,
}

impl Registry {
    /// Asks for a whole batch. A list that fails leaves its entries to single questions, which tell what is wrong.
    pub(super) async fn ask_for(&self, entries: &[Arc<Entry>]) -> Answers {
        let mut answers = Answers::default();
        self.ask_for_versions(entries, &mut answers).await;
        self.ask_for_hashes(entries, &mut answers).await;
        self.ask_for_repositories(entries, &mut answers).await;
        answers
    }

    async fn ask_for_versions(&self, entries: &[Arc<Entry>], answers: &mut Answers) {
        let ids: Vec<u64> =
            entries.iter().filter_map(|entry| entry.document.id("civitai_version_id")).collect();
        if ids.len() < 2 {
            return;
        }
        match self.inner.jobs.upstreams.civitai.models_of_versions(&ids).await {
            Ok(models) => {
                let versions = models.into_iter().flat_map(|model| model.versions);
                answers.versions = versions.map(|version| (version.id, version)).collect();
            }
            Err(error) => tracing::info!(%error, "versions are asked for one by one"),
        }
    }

    async fn ask_for_hashes(&self, entries: &[Arc<Entry>], answers: &mut Answers) {
        let is_nameless = |entry: &&Arc<Entry>| {
            entry.document.id("civitai_version_id").is_none() && entry.document.some_text("hf_repo").is_none()
        };
        let hashes: Vec<String> =
            entries.iter().filter(is_nameless).filter_map(|entry| self.hash_of(entry)).collect();
        if hashes.is_empty() {
            return;
        }
        match self.inner.jobs.upstreams.civitai.versions_by_hash(&hashes).await {
            Ok(versions) => {
                for version in versions {
                    for hash in version.files.iter().filter_map(|file| file.sha256.clone()) {
                        answers.by_hash.insert(hash, version.clone());
                    }
                }
            }
            Err(error) => tracing::info!(%error, "files were not looked up by hash"),
        }
    }

    async fn ask_for_repositories(&self, entries: &[Arc<Entry>], answers: &mut Answers) {
        let mut paths: HashMap<(String, String), Vec<String>> = HashMap::new();
        for entry in entries {
            if let Some((repository, path)) = repository_of(entry) {
                paths.entry(repository).or_default().extend(path);
            }
        }
        for (repository, paths) in paths {
            let asked = self.ask_for_repository(&repository, &paths).await;
            answers.repositories.insert(repository, asked);
        }
    }

    async fn ask_for_repository(
        &self,
        (repo, revision): &(String, String),
        paths: &[String],
    ) -> Result<Repository, UpstreamError> {
        let hub = &self.inner.jobs.upstreams.huggingface;
        let revision = Some(revision.as_str()).filter(|revision| !revision.is_empty());
        let info = hub.repo(repo, revision).await?;
        let commit = if info.commit.is_empty() { revision.unwrap_or("main") } else { &info.commit };
        // Dates are worth having without sizes.
        let files = hub.files_at(&info.id, commit, paths).await.unwrap_or_default();
        Ok(Repository { info, files })
    }

    /// What is known of one entry, or why nothing is, in the words of the log.
    pub(super) async fn finding(&self, entry: &Arc<Entry>, answers: &Answers) -> Result<Finding, String> {
        let mut finding = Finding::default();
        let mut refusal = None;
        match self.version_of(entry, answers).await {
            Ok(Some(version)) => finding.facts = facts_of_version(entry, &version),
            Ok(None) => {}
            Err(error) => refusal = Some(error),
        }
        if let Some((repository, path)) = repository_of(entry) {
            match answers.repositories.get(&repository) {
                Some(Ok(repository)) => add_repository(&mut finding.facts, repository, path.as_deref()),
                Some(Err(error)) => refusal = refusal.or(Some(error.clone())),
                None => {}
            }
        }
        if finding.facts == Facts::default() {
            return self.local_finding(entry, refusal).await;
        }
        Ok(finding)
    }

    async fn local_finding(&self, entry: &Entry, refusal: Option<UpstreamError>) -> Result<Finding, String> {
        let is_unknown = refusal.as_ref().is_none_or(|error| matches!(error.status, Some(404 | 410)));
        if is_unknown && let Some(facts) = self.facts_of_file(&entry.path).await {
            return Ok(Finding { facts, is_local: true });
        }
        match refusal {
            Some(error) => Err(words_of(&error)),
            None => Ok(Finding::default()),
        }
    }

    async fn version_of(&self, entry: &Entry, answers: &Answers) -> Result<Option<Version>, UpstreamError> {
        let civitai = &self.inner.jobs.upstreams.civitai;
        let Some(version_id) = entry.document.id("civitai_version_id") else {
            return Ok(self.hash_of(entry).and_then(|hash| answers.by_hash.get(&hash).cloned()));
        };
        if let Some(version) = answers.versions.get(&version_id) {
            return Ok(Some(version.clone()));
        }
        let mut version = civitai.version(version_id, entry.document.id("civitai_model_id")).await?;
        // Tags stand with the model alone, and are worth no failure.
        if let (true, Some(model_id)) = (version.model.tags.is_empty(), version.model_id)
            && let Ok(model) = civitai.model(model_id).await
        {
            version.model = model.head;
        }
        Ok(Some(version))
    }

    /// The content's hash: computed, else as the catalog states it.
    fn hash_of(&self, entry: &Entry) -> Option<String> {
        let computed = self.computed_hash(&entry.path);
        computed.or_else(|| entry.document.sha256().map(|sha256| sha256.to_string()))
    }

    fn computed_hash(&self, path: &ModelPath) -> Option<String> {
        self.library().file(path).and_then(|fact| fact.sha256).map(|sha256| sha256.to_string())
    }
}

/// Repository and revision (empty for the default one), and the file in it.
fn repository_of(entry: &Entry) -> Option<((String, String), Option<String>)> {
    let document = &entry.document;
    let repo = document.some_text("hf_repo")?.to_owned();
    let file = document.some_text("hf_file").map(str::to_owned);
    Some(((repo, document.text("hf_revision").to_owned()), file))
}

/// What a version says of the file that the entry means.
pub(in crate::service) fn facts_of_version(entry: &Entry, version: &Version) -> Facts {
    let file = file_of(entry, version);
    let (model, text) = (&version.model, |text: &Option<String>| text.clone().unwrap_or_default());
    let precision = file.and_then(|file| file.precision.clone());
    let base_model = text(&version.base_model);
    let name = cleaned_name(
        &text(&model.name),
        &text(&version.name),
        &base_model,
        precision.as_deref().unwrap_or_default(),
    );
    Facts {
        name: model.name.as_ref().map(|_| name),
        civitai_base_model: version.base_model.clone(),
        tags: model.tags.clone(),
        trained_words: version.trained_words.clone(),
        version: version.name.clone(),
        version_id: Some(version.id),
        model_id: version.model_id,
        file_id: file.and_then(|file| file.id),
        model_name: model.name.clone(),
        kind: model.kind.clone(),
        precision,
        author: model.creator.clone(),
        last_modified: version.updated_at.clone(),
        sha256: file.and_then(|file| file.sha256.clone()),
        is_nsfw: model.is_nsfw,
        ..Facts::default()
    }
}

/// The file that the entry means: of its id, of its name, else the primary one.
pub(in crate::service) fn file_of<'a>(entry: &Entry, version: &'a Version) -> Option<&'a VersionFile> {
    let id = entry.document.id("civitai_file_id");
    let by_id = version.files.iter().find(|file| id.is_some() && file.id == id);
    let by_name = || version.files.iter().find(|file| file.name.as_deref() == Some(entry.file()));
    by_id.or_else(by_name).or_else(|| choose_file(version, None))
}

fn add_repository(facts: &mut Facts, repository: &Repository, path: Option<&str>) {
    let Repository { info, files } = repository;
    let by_hub = &mut facts.by_hub;
    let mut fill = |own: &mut Option<String>, said: &Option<String>, field| {
        if own.is_none() && said.is_some() {
            own.clone_from(said);
            by_hub.insert(field);
        }
    };
    fill(&mut facts.last_modified, &info.last_modified, "lastModified");
    fill(&mut facts.author, &info.author, "author");
    let Some(file) = files.iter().find(|file| Some(file.path.as_str()) == path) else { return };
    fill(&mut facts.sha256, &file.sha256, "hash");
    facts.size_bytes = file.size;
    by_hub.insert("size_bytes");
}

/// `HTTP 404` for what has a status, else the sentence.
fn words_of(error: &UpstreamError) -> String {
    error
        .status
        .filter(|status| *status >= 400)
        .map_or_else(|| error.message.clone(), |status| format!("HTTP {status}"))
}
