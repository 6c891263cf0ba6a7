//! Looking files up at CivitAI by their hash, in batches: what are these files that nobody knows?

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::FileFacts;
use crate::domain::{Entry, FileStamp, ModelPath, Sha256};
use crate::error::{Error, Result, Thing};
use crate::service::Registry;
use crate::service::metadata::{Finding, facts_of_version};
use crate::service::verification::hash_at_rest;
use crate::upstream::civitai::Version;

/// Hashes that are asked for at once, by the site's rule.
const BATCH: usize = 100;
/// Results that one run keeps.
const MOST: usize = 20_000;

/// A run of looking up, going on or ended. One runs at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct LookupReport {
    /// Whether it still runs.
    pub is_running: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Files to look up.
    pub total_files: u64,
    /// Files looked up.
    pub done_files: u64,
    /// Bytes that have to be hashed first.
    pub total_bytes: u64,
    /// Bytes hashed.
    pub done_bytes: u64,
    /// Why it ended early: CivitAI did not answer.
    pub error: Option<String>,
    /// Results so far.
    pub files: Vec<LookedUp>,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct LookedUp {
    /// Path below the models root.
    pub path: String,
    /// The content's SHA-256; `None` when the file could not be read.
    pub sha256: Option<Sha256>,
    /// Whether a catalog knows the path.
    pub is_listed: bool,
    /// What CivitAI knows of that content.
    pub found: Option<FoundVersion>,
    /// What the file says itself.
    pub facts: Option<FileFacts>,
    /// What was written into the entry, in the words of the activity log.
    pub applied: Vec<String>,
    /// Why it could not be looked up or written.
    pub error: Option<String>,
}

/// A version on CivitAI that holds the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundVersion {
    /// The model's id.
    pub model_id: Option<u64>,
    /// The model's name.
    pub model: Option<String>,
    /// The version's id.
    pub version_id: u64,
    /// The version's name.
    pub version: Option<String>,
    /// CivitAI's word for the base model.
    pub base_model: Option<String>,
}

/// The share of what all services share.
#[derive(Debug, Default)]
pub(crate) struct FileLookups(Mutex<Option<Run>>);

#[derive(Debug)]
struct Run {
    report: LookupReport,
    current_bytes: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
    ended: CancellationToken,
}

struct Target {
    path: ModelPath,
    size_bytes: u64,
    sha256: Option<Sha256>,
}

impl FileLookups {
    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Starts looking up these files, or, when none is named, every model file whose entry names no source and every one
    /// that no catalog knows. With `apply` what is found is written into the entries; files without one get one.
    ///
    /// `Conflict` (`lookup_running`) while one runs.
    pub fn start_file_lookup(&self, paths: &[String], apply: bool) -> Result<LookupReport> {
        let targets = self.lookup_targets(paths)?;
        let unhashed = targets.iter().filter(|target| target.sha256.is_none());
        let report = LookupReport {
            is_running: true,
            started_at: self.now(),
            finished_at: None,
            total_files: targets.len() as u64,
            done_files: 0,
            total_bytes: unhashed.map(|target| target.size_bytes).sum(),
            done_bytes: 0,
            error: None,
            files: Vec::new(),
        };
        let mut current = self.inner.studio.file_lookups.run();
        if current.as_ref().is_some_and(|run| run.report.is_running) {
            return Err(Error::conflict(
                "lookup_running",
                "files are being looked up; wait for it or cancel it",
            ));
        }
        let run = Run {
            report: report.clone(),
            current_bytes: Arc::default(),
            cancel: Arc::default(),
            ended: CancellationToken::new(),
        };
        let looking = Looking {
            registry: self.clone(),
            apply,
            current_bytes: Arc::clone(&run.current_bytes),
            cancel: Arc::clone(&run.cancel),
            _ended: run.ended.clone().drop_guard(),
        };
        *current = Some(run);
        drop(current);
        self.inner.tasks.spawn(looking.all(targets));
        Ok(report)
    }

    /// The present or last run; `NotFound` before the first.
    pub fn file_lookup(&self) -> Result<LookupReport> {
        let run = self.inner.studio.file_lookups.run();
        let run = run.as_ref().ok_or_else(|| Error::not_found(Thing::Task, "lookup"))?;
        let mut report = run.report.clone();
        report.done_bytes += run.current_bytes.load(Ordering::Relaxed);
        Ok(report)
    }

    /// Stops the present run; what was found and written stays.
    pub async fn cancel_file_lookup(&self) -> Result<LookupReport> {
        let ended = self.inner.studio.file_lookups.run().as_ref().map(|run| {
            run.cancel.store(true, Ordering::Relaxed);
            run.ended.clone()
        });
        if let Some(ended) = ended {
            ended.cancelled().await;
        }
        self.file_lookup()
    }

    fn lookup_targets(&self, paths: &[String]) -> Result<Vec<Target>> {
        let library = self.library();
        let mut wanted: Vec<ModelPath> = Vec::new();
        for path in paths {
            let path = match library.find(path, None) {
                Some(entry) => entry.path.clone(),
                None => ModelPath::parse_relative("paths", path)?,
            };
            if library.file(&path).is_none() {
                return Err(Error::not_found(Thing::File, path.relative()));
            }
            wanted.push(path);
        }
        if paths.is_empty() {
            let is_unknown = |path: &&ModelPath| {
                path.file.is_model() && library.entries_at(path).iter().all(|entry| !has_source(entry))
            };
            wanted.extend(library.files().keys().filter(is_unknown).cloned());
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(MOST);
        let target = |path: ModelPath| {
            let fact = library.file(&path);
            Target {
                size_bytes: fact.map_or(0, |fact| fact.stamp.size_bytes),
                sha256: fact.and_then(|fact| fact.sha256),
                path,
            }
        };
        Ok(wanted.into_iter().map(target).collect())
    }

    fn change_lookup(&self, change: impl FnOnce(&mut LookupReport)) {
        if let Some(run) = self.inner.studio.file_lookups.run().as_mut() {
            change(&mut run.report);
        }
    }
}

/// A run at work.
struct Looking {
    registry: Registry,
    apply: bool,
    current_bytes: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
    _ended: DropGuard,
}

impl Looking {
    async fn all(self, targets: Vec<Target>) {
        if let Err(error) = self.registry.identify_present().await {
            tracing::warn!(%error, "files that are looked up were not identified");
        }
        let mut error = None;
        for batch in targets.chunks(BATCH) {
            if let Err(why) = self.batch(batch).await {
                error = Some(why.to_string());
                break;
            }
            if self.is_stopped() {
                break;
            }
        }
        let finished_at = Some(self.registry.now());
        self.registry.change_lookup(|report| {
            (report.is_running, report.finished_at, report.error) = (false, finished_at, error);
        });
    }

    fn is_stopped(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.registry.inner.stopping.is_cancelled()
    }

    /// Hashes what is not hashed, asks once for all of it, and writes down what was said.
    async fn batch(&self, targets: &[Target]) -> Result<()> {
        let mut files = Vec::with_capacity(targets.len());
        for target in targets {
            let sha256 = match target.sha256 {
                Some(sha256) => Ok(sha256),
                None => self.hash(target).await,
            };
            if self.is_stopped() {
                return Ok(());
            }
            files.push((target, sha256));
        }
        let hashes: Vec<String> =
            files.iter().filter_map(|(_, sha256)| Some(sha256.as_ref().ok()?.to_string())).collect();
        let versions = self.registry.inner.jobs.upstreams.civitai.versions_by_hash(&hashes).await;
        let versions = by_hash(versions.map_err(Error::from)?);
        for (target, sha256) in files {
            let version = sha256.as_ref().ok().and_then(|sha256| versions.get(&sha256.to_string()));
            let looked_up = self.one(target, sha256, version).await;
            self.registry.change_lookup(|report| {
                report.done_files += 1;
                report.files.push(looked_up);
            });
        }
        Ok(())
    }

    async fn hash(&self, target: &Target) -> Result<Sha256, String> {
        let path = target.path.below(&self.registry.inner.config.models_dir);
        let (bytes, cancel) = (Arc::clone(&self.current_bytes), Arc::clone(&self.cancel));
        let work = move || hash_at_rest(&path, |done| bytes.store(done, Ordering::Relaxed), &cancel);
        let hashed: Result<(FileStamp, Sha256), String> = self
            .registry
            .blocking("hashing a file", work)
            .await
            .unwrap_or_else(|error| Err(error.to_string()));
        self.current_bytes.store(0, Ordering::Relaxed);
        self.registry.change_lookup(|report| report.done_bytes += target.size_bytes);
        let (stamp, sha256) = hashed?;
        let published = self.registry.library().published(&target.path);
        self.registry.take_over_hash(&target.path, stamp, sha256, published);
        Ok(sha256)
    }

    async fn one(
        &self,
        target: &Target,
        sha256: Result<Sha256, String>,
        version: Option<&Version>,
    ) -> LookedUp {
        let path = &target.path;
        let facts = self.registry.file_facts(path).await;
        let mut looked_up = LookedUp {
            path: path.relative(),
            is_listed: !self.registry.library().entries_at(path).is_empty(),
            found: version.map(found),
            facts: facts.ok().flatten(),
            applied: Vec::new(),
            error: sha256.as_ref().err().cloned(),
            sha256: sha256.ok(),
        };
        if self.apply
            && let Some(version) = version
        {
            match self.write(path, version).await {
                Ok(applied) => looked_up.applied = applied,
                Err(error) => looked_up.error = Some(error.to_string()),
            }
        }
        looked_up
    }

    /// What CivitAI says goes into every entry of the file; a file without one gets one.
    async fn write(&self, path: &ModelPath, version: &Version) -> Result<Vec<String>> {
        let mut applied = Vec::new();
        if self.registry.library().entries_at(path).is_empty() {
            self.registry.adopt_unlisted(&[path.relative()]).await?;
            applied.push("+entry".to_owned());
        }
        let entries: Vec<Arc<Entry>> = self.registry.library().entries_at(path).to_vec();
        for entry in entries {
            let finding = Finding { facts: facts_of_version(&entry, version), is_local: false };
            applied.extend(self.registry.save_finding(&entry, &finding).await?);
        }
        Ok(applied)
    }
}

fn has_source(entry: &Entry) -> bool {
    entry.document.id("civitai_version_id").is_some() || entry.document.some_text("hf_repo").is_some()
}

fn by_hash(versions: Vec<Version>) -> HashMap<String, Version> {
    let mut found = HashMap::new();
    for version in versions {
        let hashes: Vec<String> = version.files.iter().filter_map(|file| file.sha256.clone()).collect();
        found.extend(hashes.into_iter().map(|hash| (hash, version.clone())));
    }
    found
}

fn found(version: &Version) -> FoundVersion {
    FoundVersion {
        model_id: version.model_id,
        model: version.model.name.clone(),
        version_id: version.id,
        version: version.name.clone(),
        base_model: version.base_model.clone(),
    }
}
