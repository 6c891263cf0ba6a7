//! Hashing by and by: every model file whose hashes are not known, one after the other, so that nobody notices. One pass
//! gives all of them: SHA-256, and those by which other tools know a file.
//!
//! One thread of the lowest priority reads, rests at least as long as it reads (four times as long while downloads run),
//! and does not crowd other files out of memory. Hashes of small files are kept together, soon after they are known: a killed
//! process loses a second's work, or one large file's.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lorakeep_weights::{Hashes, hashes};
use rustix::fs::{Advice, fadvise};
use tokio::sync::oneshot;

use super::Registry;
use super::identification::tensors_start;
use super::verification::read_at_rest;
use crate::domain::{CatalogName, FileStamp, ModelPath, Sha256};
use crate::store::OfFile;

/// How often it looks for files to hash; also how long a start is left alone.
const LOOK: Duration = Duration::from_secs(30);
/// Nice value of the thread: whoever else wants the processor has it.
const LOWEST_PRIORITY: i32 = 19;
/// How long it reads before it rests.
const READ_TIME: Duration = Duration::from_millis(40);
/// The longest rest, so that a stop is noticed.
const LONGEST_REST: Duration = Duration::from_millis(400);
/// Rests as parts of the time it read.
const USUAL_REST: u32 = 1;
const REST_BESIDE_DOWNLOADS: u32 = 4;
/// A file whose SHA-256 is known is read once more for the other hashes when it is no longer than this, bytes: they
/// are LoRAs' currency, and whole checkpoints would keep a disk busy for hours.
const SMALL: u64 = 2 << 30;
/// How much may stay in the system's cache before it is given back, bytes.
const CACHED: u64 = 64 << 20;
/// How long and how many hashes wait to be kept: each time costs a sync of the database.
const KEEP_AFTER: Duration = Duration::from_secs(1);
const KEPT_TOGETHER: usize = 200;

/// How far the hashing is. Sums are of this process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HashingProgress {
    /// Whether it works at the moment.
    pub is_running: bool,
    /// The file that is read, below the models root.
    pub current: Option<String>,
    /// Files hashed since the start.
    pub done_files: u64,
    /// Bytes hashed since the start.
    pub done_bytes: u64,
    /// Model files whose hash is not known.
    pub left_files: u64,
    /// Their bytes, without what is read of the current one.
    pub left_bytes: u64,
    /// Files that could not be read.
    pub failed_files: u64,
}

/// The share of what all services share.
#[derive(Debug, Default)]
pub(crate) struct Hashings {
    state: Mutex<State>,
    /// Bytes of the file that is read.
    current_bytes: AtomicU64,
    /// Held by whoever hashes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<ModelPath>,
    done_files: u64,
    done_bytes: u64,
    /// What could not be read, until it changes.
    failed: HashMap<ModelPath, FileStamp>,
}

/// Hashes that are known and not kept yet.
struct Fresh {
    files: Vec<(OfFile, Option<Sha256>)>,
    since: Instant,
}

impl Fresh {
    fn new() -> Self {
        Self { files: Vec::new(), since: Instant::now() }
    }

    fn is_due(&self) -> bool {
        self.files.len() >= KEPT_TOGETHER || (!self.files.is_empty() && self.since.elapsed() >= KEEP_AFTER)
    }
}

impl Hashings {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Hashes by and by until the registry stops, unless the configuration says no; part of `start`.
    pub(crate) fn start_hashing(&self) {
        if !self.inner.config.hashes_in_background {
            return;
        }
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = registry.inner.stopping.cancelled() => return,
                    () = tokio::time::sleep(LOOK) => registry.hash_all().await,
                }
            }
        });
    }

    /// Lets the hashing begin now instead of soon, also where no background work was started.
    pub(crate) fn hash_soon(&self) {
        if self.inner.config.hashes_in_background {
            let registry = self.clone();
            self.inner.tasks.spawn(async move { registry.hash_all().await });
        }
    }

    /// How far it is.
    pub fn hashing(&self) -> HashingProgress {
        let left: Vec<u64> = self.unhashed().into_iter().map(|(_, stamp)| stamp.size_bytes).collect();
        let state = self.inner.studio.hashings.state();
        let current_bytes = self.inner.studio.hashings.current_bytes.load(Ordering::Relaxed);
        let current_bytes = if state.current.is_some() { current_bytes } else { 0 };
        HashingProgress {
            is_running: state.current.is_some(),
            current: state.current.as_ref().map(ModelPath::relative),
            done_files: state.done_files,
            done_bytes: state.done_bytes + current_bytes,
            left_files: left.len() as u64,
            left_bytes: left.iter().sum::<u64>().saturating_sub(current_bytes),
            failed_files: state.failed.len() as u64,
        }
    }

    /// The same for tests, to its end.
    #[cfg(test)]
    pub(super) async fn hash_everything(&self) {
        self.hash_all().await;
    }

    /// Hashes until nothing is left; at once when somebody does already.
    async fn hash_all(&self) {
        let Ok(_turn) = self.inner.studio.hashings.turn.try_lock() else { return };
        loop {
            let files = self.unhashed();
            if files.is_empty() {
                return;
            }
            let mut fresh = Fresh::new();
            for (path, stamp) in files {
                if self.inner.stopping.is_cancelled() {
                    break;
                }
                self.hash_one(path, stamp, &mut fresh).await;
                if fresh.is_due() {
                    self.keep(std::mem::replace(&mut fresh, Fresh::new())).await;
                }
            }
            self.keep(fresh).await;
            if self.inner.stopping.is_cancelled() {
                self.inner.studio.hashings.state().current = None;
                return;
            }
        }
    }

    /// Model files without a hash that could be read so far: those of entries first, then by path.
    fn unhashed(&self) -> Vec<(ModelPath, FileStamp)> {
        let library = self.library();
        let state = self.inner.studio.hashings.state();
        let mut files: Vec<(bool, ModelPath, FileStamp)> = library
            .files()
            .iter()
            .filter(|(path, fact)| {
                let is_wanted = fact.sha256.is_none()
                    || (fact.stamp.size_bytes <= SMALL
                        && !self.inner.studio.identifications.is_hashed(path, fact.stamp));
                is_wanted && path.file.is_model() && state.failed.get(*path) != Some(&fact.stamp)
            })
            .map(|(path, fact)| (library.entries_at(path).is_empty(), path.clone(), fact.stamp))
            .collect();
        drop(library);
        files.sort_unstable_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        files.into_iter().map(|(_, path, stamp)| (path, stamp)).collect()
    }

    async fn hash_one(&self, path: ModelPath, known: FileStamp, fresh: &mut Fresh) {
        let hashings = &self.inner.studio.hashings;
        hashings.current_bytes.store(0, Ordering::Relaxed);
        hashings.state().current = Some(path.clone());
        let outcome = self.hash_politely(&path).await;
        let published = self.library().published(&path);
        // Somebody else may have taken it away, replaced or hashed it meanwhile.
        let present = self.library().file(&path).copied();
        let is_news = present.is_some_and(|fact| fact.stamp == known || fact.sha256.is_none());
        match outcome {
            Ok((stamp, hashes)) if is_news => {
                if present.is_some_and(|fact| fact.sha256.is_none()) {
                    self.take_over_hash(&path, stamp, hashes.sha256, published);
                }
                fresh.files.push(of_file(&path, stamp, &hashes));
                let mut state = hashings.state();
                state.done_files += 1;
                state.done_bytes += stamp.size_bytes;
            }
            Err(error) if is_news && !self.inner.stopping.is_cancelled() => {
                tracing::warn!(file = %path, error, "a file could not be hashed");
                hashings.state().failed.insert(path, known);
            }
            _ => {}
        }
        hashings.state().current = None;
    }

    /// A database that fails costs the hashes: they are computed again after the next start.
    async fn keep(&self, fresh: Fresh) {
        if fresh.files.is_empty() {
            return;
        }
        if let Err(error) = self.inner.store.save_file_hashes(&fresh.files).await {
            tracing::warn!(files = fresh.files.len(), %error, "the hashes of files were not saved");
        }
        for (file, _) in &fresh.files {
            self.inner.studio.identifications.note_hashed(&file.path, file.stamp);
        }
    }

    /// Reads the file on a thread of its own: its priority could not be raised again.
    async fn hash_politely(&self, path: &ModelPath) -> Result<(FileStamp, Hashes), String> {
        let path = path.below(&self.inner.config.models_dir);
        let (answer, answered) = oneshot::channel();
        let registry = self.clone();
        let work = move || {
            if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
                tracing::debug!(%error, "the priority of hashing cannot be lowered");
            }
            let cancel = Arc::new(AtomicBool::new(false));
            let pace = Pace::new(&registry, &path, Arc::clone(&cancel));
            let hashed = read_at_rest(&path, |file, size| {
                hashes(file, size, tensors_start(file, size), pace.into_listener(), &cancel)
            });
            // Whoever asked may have been told to end.
            drop(answer.send(hashed));
        };
        std::thread::Builder::new()
            .name("hashing".to_owned())
            .spawn(work)
            .map_err(|error| format!("no thread for it: {error}"))?;
        answered.await.unwrap_or_else(|_| Err("the thread that hashed it ended in a panic".to_owned()))
    }

    /// Whether downloads or uploads want the disk.
    fn is_disk_wanted(&self) -> bool {
        self.job_sums(CatalogName::Models).downloading > 0
    }
}

fn of_file(path: &ModelPath, stamp: FileStamp, hashes: &Hashes) -> (OfFile, Option<Sha256>) {
    let text = serde_json::to_string(hashes).expect("hashes are always JSON");
    (OfFile { path: path.clone(), stamp, text }, hashes.tensors)
}

/// How fast one file is read.
struct Pace {
    registry: Registry,
    cancel: Arc<AtomicBool>,
    /// Only to tell the system what it need not keep.
    file: Option<File>,
    kept_from: u64,
    began: Instant,
}

impl Pace {
    fn new(registry: &Registry, path: &Path, cancel: Arc<AtomicBool>) -> Self {
        let file = File::open(path).ok();
        Self { registry: registry.clone(), cancel, file, kept_from: 0, began: Instant::now() }
    }

    fn into_listener(mut self) -> impl FnMut(u64) {
        move |done| self.after(done)
    }

    /// Hears how much was read, and rests.
    fn after(&mut self, done: u64) {
        self.registry.inner.studio.hashings.current_bytes.store(done, Ordering::Relaxed);
        if self.registry.inner.stopping.is_cancelled() {
            self.cancel.store(true, Ordering::Relaxed);
            return;
        }
        let took = self.began.elapsed();
        if took >= READ_TIME {
            let parts = if self.registry.is_disk_wanted() { REST_BESIDE_DOWNLOADS } else { USUAL_REST };
            std::thread::sleep((took * parts).min(LONGEST_REST));
            self.began = Instant::now();
        }
        if done - self.kept_from >= CACHED {
            self.give_back(done);
        }
    }

    /// What was read once is not read again soon; other programs' files are worth more in memory.
    fn give_back(&mut self, done: u64) {
        let length = NonZeroU64::new(done - self.kept_from);
        if let Some(file) = &self.file {
            // Advice may be refused; nothing depends on it.
            let _ = fadvise(file, self.kept_from, length, Advice::DontNeed);
        }
        self.kept_from = done;
    }
}
