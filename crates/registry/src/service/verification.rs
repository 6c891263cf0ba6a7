//! Re-hashing files and saying what changed.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use lorakeep_weights::digest::{self, DigestError};
use rustix::fs::OFlags;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Registry;
use crate::domain::{CatalogName, Entry, FileFact, FileStamp, ModelPath, Sha256, Verification};
use crate::error::{Error, Result, Thing};
use crate::files::stamp_at;

/// The run of a verification, running or ended. One runs at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct VerificationReport {
    /// Whether it still runs.
    pub is_running: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Files to hash.
    pub total_files: u64,
    /// Bytes to hash.
    pub total_bytes: u64,
    /// Bytes hashed.
    pub done_bytes: u64,
    /// Results so far, in catalog order.
    pub files: Vec<VerifiedFile>,
}

/// One hashed file.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedFile {
    /// Path below the models root.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What the hash said.
    pub outcome: Verification,
    /// The content's SHA-256.
    pub sha256: Option<String>,
    /// The hash it should have.
    pub expected_sha256: Option<String>,
    /// Why it could not be hashed, when it could not.
    pub error: Option<String>,
}

/// The present or last run.
#[derive(Debug)]
pub(crate) struct Run {
    report: VerificationReport,
    /// Bytes of the file that is being hashed.
    current_bytes: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
    ended: CancellationToken,
}

/// One file to hash.
struct Target {
    path: ModelPath,
    size_bytes: u64,
    expected: Option<Sha256>,
}

impl Registry {
    /// Starts hashing the files of these entries, or of all present entries when `files` is empty, in the background. A
    /// file is named as `name`, or as `folder/name` where two have the same name.
    /// `Conflict` (`verification_running`) while one runs.
    #[expect(clippy::unused_async, reason = "like everything that changes something")]
    pub async fn start_verification(&self, files: &[String]) -> Result<VerificationReport> {
        let targets = self.targets(files)?;
        let report = VerificationReport {
            is_running: true,
            started_at: self.inner.clock.now(),
            finished_at: None,
            total_files: targets.len() as u64,
            total_bytes: targets.iter().map(|target| target.size_bytes).sum(),
            done_bytes: 0,
            files: Vec::new(),
        };
        let mut current = self.run();
        if current.as_ref().is_some_and(|run| run.report.is_running) {
            let message = "a verification is running; wait for it or cancel it";
            return Err(Error::conflict("verification_running", message));
        }
        let run = Run {
            report: report.clone(),
            current_bytes: Arc::default(),
            cancel: Arc::default(),
            ended: CancellationToken::new(),
        };
        let hashing = Hashing {
            registry: self.clone(),
            current_bytes: Arc::clone(&run.current_bytes),
            cancel: Arc::clone(&run.cancel),
            // However it ends, whoever waits for the end hears of it.
            _ended: run.ended.clone().drop_guard(),
        };
        *current = Some(run);
        drop(current);
        self.inner.tasks.spawn(hashing.all(targets));
        Ok(report)
    }

    /// The present or last run; `NotFound` before the first.
    pub fn verification(&self) -> Result<VerificationReport> {
        let run = self.run();
        let run = run.as_ref().ok_or_else(|| Error::not_found(Thing::Task, "verification"))?;
        let mut report = run.report.clone();
        report.done_bytes += run.current_bytes.load(Ordering::Relaxed);
        Ok(report)
    }

    /// Stops the present run; what was hashed is kept.
    pub async fn cancel_verification(&self) -> Result<VerificationReport> {
        let ended = self.run().as_ref().map(|run| {
            run.cancel.store(true, Ordering::Relaxed);
            run.ended.clone()
        });
        if let Some(ended) = ended {
            ended.cancelled().await;
        }
        self.verification()
    }

    /// The files of these entries, or of all present ones, each once, in catalog order.
    fn targets(&self, files: &[String]) -> Result<Vec<Target>> {
        let library = self.library();
        let mut entries = Vec::new();
        for file in files {
            let (dest, name) =
                file.rsplit_once('/').map_or((None, file.as_str()), |(dest, name)| (Some(dest), name));
            entries.push(library.find(name, dest).ok_or_else(|| Error::not_found(Thing::Entry, file))?);
        }
        if files.is_empty() {
            let all = CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
            entries.extend(all.filter(|entry| library.file(&entry.path).is_some()));
        }
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(&entry.path));
        let target = |entry: &&Arc<Entry>| Target {
            path: entry.path.clone(),
            size_bytes: library.file(&entry.path).map_or(0, |fact| fact.stamp.size_bytes),
            expected: library.published(&entry.path),
        };
        Ok(entries.iter().map(target).collect())
    }

    /// Takes over what the hash of a file says; `published` is the hash that it should have.
    pub(super) fn take_over_hash(
        &self,
        path: &ModelPath,
        stamp: FileStamp,
        sha256: Sha256,
        published: Option<Sha256>,
    ) -> FileFact {
        let mut library = self.library_mut();
        let known = library.file(path).filter(|known| known.stamp == stamp);
        // Without a published hash, content that changed while size and time did not is damage all the same.
        let before = known.and_then(|known| known.sha256).filter(|before| *before != sha256);
        let fact = FileFact::hashed(stamp, sha256, published.or(before), self.inner.clock.now());
        if fact.verification() == Verification::Mismatch {
            tracing::warn!(file = %path, %sha256, "a file is not what it should be");
        }
        library.set_file(path.clone(), Some(fact));
        drop(library);
        self.inner.files_changed.notify_one();
        fact
    }

    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.inner.verification.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_report(&self, change: impl FnOnce(&mut VerificationReport)) {
        if let Some(run) = self.run().as_mut() {
            run.current_bytes.store(0, Ordering::Relaxed);
            change(&mut run.report);
        }
    }
}

/// A run at work.
struct Hashing {
    registry: Registry,
    current_bytes: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
    _ended: DropGuard,
}

impl Hashing {
    async fn all(self, targets: Vec<Target>) {
        for target in targets {
            if self.is_stopped() {
                break;
            }
            let outcome = self.one(&target).await;
            if self.is_stopped() && outcome.is_err() {
                break;
            }
            let verified = self.note(&target, outcome);
            self.registry.change_report(|report| {
                report.done_bytes += target.size_bytes;
                report.files.push(verified);
            });
        }
        let finished_at = Some(self.registry.inner.clock.now());
        self.registry.change_report(|report| (report.is_running, report.finished_at) = (false, finished_at));
    }

    fn is_stopped(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.registry.inner.stopping.is_cancelled()
    }

    /// Hashes one file off the async threads.
    async fn one(&self, target: &Target) -> Result<(FileStamp, Sha256), String> {
        let path = target.path.below(&self.registry.inner.config.models_dir);
        let (bytes, cancel) = (Arc::clone(&self.current_bytes), Arc::clone(&self.cancel));
        let stopping = self.registry.inner.stopping.clone();
        let on_progress = move |done| {
            bytes.store(done, Ordering::Relaxed);
            if stopping.is_cancelled() {
                cancel.store(true, Ordering::Relaxed);
            }
        };
        let cancel = Arc::clone(&self.cancel);
        let hashed =
            self.registry.blocking("hashing a file", move || hash_at_rest(&path, on_progress, &cancel)).await;
        hashed.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn note(&self, target: &Target, outcome: Result<(FileStamp, Sha256), String>) -> VerifiedFile {
        let fact = match outcome {
            Ok((stamp, sha256)) => {
                Ok(self.registry.take_over_hash(&target.path, stamp, sha256, target.expected))
            }
            Err(error) => Err(error),
        };
        let known = fact.as_ref().ok();
        let published = known.map_or(target.expected, |fact| fact.published);
        VerifiedFile {
            path: target.path.relative(),
            size_bytes: known.map_or(target.size_bytes, |fact| fact.stamp.size_bytes),
            outcome: known.map_or(Verification::Unverified, FileFact::verification),
            sha256: known.and_then(|fact| fact.sha256).map(|sha256| sha256.to_string()),
            expected_sha256: published.map(|sha256| sha256.to_string()),
            error: fact.err(),
        }
    }
}

/// The hash of a regular file that does not change meanwhile, with its stamp.
pub(super) fn hash_at_rest(
    path: &Path,
    on_progress: impl FnMut(u64),
    cancel: &AtomicBool,
) -> Result<(FileStamp, Sha256), String> {
    read_at_rest(path, |file, size| digest::sha256(file, size, on_progress, cancel))
}

/// What `read` makes of a regular file of that size that does not change meanwhile, with its stamp.
pub(super) fn read_at_rest<T>(
    path: &Path,
    read: impl FnOnce(&File, u64) -> Result<T, DigestError>,
) -> Result<(FileStamp, T), String> {
    // A pipe that took the file's place must not hold us up.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file =
        OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "the file is not on disk".to_owned(),
            _ => format!("the file cannot be opened: {error}"),
        })?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let stamp = FileStamp::of(&metadata);
    let made = read(&file, stamp.size_bytes).map_err(|error| error.to_string())?;
    if stamp_at(path) != Some(stamp) {
        return Err("the file changed while it was read; verify it again".to_owned());
    }
    Ok((stamp, made))
}
