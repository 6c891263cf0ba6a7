//! Identifying by and by: every model file that was not read since it changed, in small batches at the lowest priority.
//!
//! After an upload, a download and a look at the disk, what is new is read soon. What was read is kept with the file's
//! stamp, so a killed process loses one batch, and a file is read again only when size, time or inode changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::{FileFacts, Words, fill, inspect_file};
use crate::domain::{CatalogName, Entry, EntryId, FileStamp, ModelPath, Sayings};
use crate::error::{Error, Result};
use crate::files::stamp_at;
use crate::library::{CatalogChange, Placed};
use crate::service::Registry;
use crate::store::OfFile;

/// How often it looks for files that nobody told of.
const LOOK: Duration = Duration::from_secs(30);
/// How long news are collected before they are read.
const COLLECT: Duration = Duration::from_millis(500);
/// Files that are read before what they say is saved.
const BATCH: usize = 200;
/// Nice value of the thread: whoever else wants the processor has it.
const LOWEST_PRIORITY: i32 = 19;

/// What came of identifying what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdentificationReport {
    /// Files that were read.
    pub read: u64,
    /// Entries that lacked something which their file says.
    pub filled: u64,
    /// Files that could not be read.
    pub failed: u64,
}

/// The share of what all services share.
#[derive(Debug, Default)]
pub(crate) struct Identifications {
    /// Files that were read, and those that were hashed in every way, with the stamps they have.
    known: Mutex<Known>,
    /// What CivitAI calls otherwise than the file does.
    pub(super) conflicts: Mutex<BTreeMap<ModelPath, Arc<str>>>,
    /// Counts up with every change of the conflicts.
    pub(super) revision: AtomicU64,
    /// Wakes it.
    wake: Notify,
    /// Held by whoever identifies; whether what the database knows was read.
    turn: tokio::sync::Mutex<bool>,
}

/// A number for each path and stamp: the paths themselves would double what the library takes.
#[derive(Debug, Default)]
struct Known {
    read: HashSet<u64>,
    hashed: HashSet<u64>,
    is_loaded: bool,
}

/// What was read of one file.
struct Read {
    path: ModelPath,
    stamp: FileStamp,
    facts: Option<FileFacts>,
}

impl Identifications {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file was hashed in every way; yes while it is not known, so that nothing is hashed for nothing.
    pub(in crate::service) fn is_hashed(&self, path: &ModelPath, stamp: FileStamp) -> bool {
        let known = self.known();
        !known.is_loaded || known.hashed.contains(&number(path, stamp))
    }

    /// The file was hashed in every way.
    pub(in crate::service) fn note_hashed(&self, path: &ModelPath, stamp: FileStamp) {
        self.known().hashed.insert(number(path, stamp));
    }
}

/// Collisions cost one file its facts until it changes, once in 2^64.
fn number(path: &ModelPath, stamp: FileStamp) -> u64 {
    let mut hasher = DefaultHasher::new();
    (path, stamp.size_bytes, stamp.modified_ns, stamp.inode).hash(&mut hasher);
    hasher.finish()
}

impl Registry {
    /// Identifies by and by until the registry stops; part of `start`.
    pub(in crate::service) fn start_identification(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            loop {
                if let Err(error) = registry.identify_present().await {
                    tracing::error!(error = &error as &dyn std::error::Error, "files were not identified");
                }
                tokio::select! {
                    () = registry.inner.stopping.cancelled() => return,
                    () = registry.inner.studio.identifications.wake.notified() => tokio::time::sleep(COLLECT).await,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
    }

    /// There may be a file that was not read.
    pub(crate) fn identify_soon(&self) {
        self.inner.studio.identifications.wake.notify_one();
    }

    /// Reads one file that was just put into its place. That it cannot be read is no failure of what put it there.
    pub(crate) async fn identify_at(&self, path: &ModelPath, stamp: FileStamp) {
        let (root, own) = (self.inner.config.models_dir.clone(), path.clone());
        let taken = match self.blocking("identifying a file", move || read(&root, own, stamp)).await {
            Ok(read) => self.take_over_read(vec![read]).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            tracing::warn!(file = %path, %error, "a file was not identified");
        }
    }

    /// Reads every model file that was not read since it changed, and fills what its entries lack.
    pub async fn identify_present(&self) -> Result<IdentificationReport> {
        let mut is_loaded = self.inner.studio.identifications.turn.lock().await;
        if !*is_loaded {
            self.load_identified().await?;
            *is_loaded = true;
        }
        let mut report = IdentificationReport::default();
        loop {
            let files = self.unidentified();
            if files.is_empty() || self.inner.stopping.is_cancelled() {
                return Ok(report);
            }
            let read = self.read_politely(files).await?;
            report.read += read.len() as u64;
            report.failed += read.iter().filter(|file| file.facts.is_none()).count() as u64;
            report.filled += self.take_over_read(read).await?;
        }
    }

    /// The next model files to read: those of entries first.
    fn unidentified(&self) -> Vec<(ModelPath, FileStamp)> {
        let library = self.library();
        let known = self.inner.studio.identifications.known();
        let is_new =
            |path: &ModelPath, stamp| path.file.is_model() && !known.read.contains(&number(path, stamp));
        let new = library.files().iter().filter(|(path, fact)| is_new(path, fact.stamp));
        let mut files: Vec<(bool, &ModelPath, FileStamp)> =
            new.map(|(path, fact)| (library.entries_at(path).is_empty(), path, fact.stamp)).collect();
        files.sort_unstable_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)));
        files.into_iter().take(BATCH).map(|(_, path, stamp)| (path.clone(), stamp)).collect()
    }

    /// Reads on a thread of its own: its priority could not be raised again.
    async fn read_politely(&self, files: Vec<(ModelPath, FileStamp)>) -> Result<Vec<Read>> {
        let root = self.inner.config.models_dir.clone();
        let stopping = self.inner.stopping.clone();
        let (answer, answered) = oneshot::channel();
        let work = move || {
            if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
                tracing::debug!(%error, "the priority of identifying cannot be lowered");
            }
            let read = files
                .into_iter()
                .take_while(|_| !stopping.is_cancelled())
                .map(|(path, stamp)| read(&root, path, stamp));
            // Whoever asked may have been told to end.
            drop(answer.send(read.collect()));
        };
        std::thread::Builder::new()
            .name("identifying".to_owned())
            .spawn(work)
            .map_err(|error| Error::internal("starting a thread that identifies", error))?;
        answered.await.map_err(|error| Error::internal("identifying ended in a panic", error))
    }

    /// Saves what was read, fills entries, and says where CivitAI and the file differ. Answers how many were filled.
    async fn take_over_read(&self, read: Vec<Read>) -> Result<u64> {
        let rows: Vec<OfFile> = read.iter().filter_map(Read::row).collect();
        self.inner.store.save_file_facts(&rows).await?;
        {
            let mut known = self.inner.studio.identifications.known();
            known.read.extend(read.iter().map(|file| number(&file.path, file.stamp)));
        }
        let said: Vec<(ModelPath, FileFacts)> =
            read.into_iter().filter_map(|file| Some((file.path, file.facts?))).collect();
        let filled = self.fill_entries(&said).await?;
        for (path, facts) in &said {
            self.compare_base_model(path, facts).await;
        }
        Ok(filled)
    }

    /// One change for all of them; nothing is written when no entry lacks anything.
    async fn fill_entries(&self, said: &[(ModelPath, FileFacts)]) -> Result<u64> {
        let turn = self.catalog_turn().await;
        let mut changes: Vec<CatalogChange> =
            CatalogName::ALL.into_iter().map(|name| CatalogChange::of(name, self.next_head(name))).collect();
        let sayings = self.sayings_at(said.iter().map(|(path, _)| path)).await?;
        let (mut filled, nothing) = (0, Sayings::default());
        {
            let library = self.library();
            for (path, facts) in said {
                for entry in library.entries_at(path) {
                    let mut document = entry.document.clone();
                    let sayings = sayings.get(&entry.id).unwrap_or(&nothing);
                    if !fill(&mut document, facts, Words::Named, sayings) {
                        continue;
                    }
                    let Some(old) = library.placed(entry.id) else { continue };
                    let entry = Entry::from_document(entry.id, entry.catalog, &entry.category, document)?;
                    let Some(change) = changes.iter_mut().find(|change| change.catalog == entry.catalog)
                    else {
                        continue;
                    };
                    let changed_version = change.head.version;
                    change.entries.push(Placed {
                        entry: Arc::new(entry),
                        position: old.position,
                        changed_version,
                    });
                    filled += 1;
                }
            }
        }
        changes.retain(|change| !change.entries.is_empty());
        if !changes.is_empty() {
            self.commit(turn, changes).await?;
            tracing::info!(entries = filled, "entries got what their files say");
        }
        Ok(filled)
    }

    /// Who said what of the entries of these files.
    async fn sayings_at(&self, paths: impl Iterator<Item = &ModelPath>) -> Result<HashMap<EntryId, Sayings>> {
        let ids: Vec<EntryId> = {
            let library = self.library();
            paths.flat_map(|path| library.entries_at(path)).map(|entry| entry.id).collect()
        };
        self.inner.store.load_sayings(&ids).await
    }

    /// Reads which files are known, and where CivitAI and the file differ, from the database.
    async fn load_identified(&self) -> Result<()> {
        let (facts, hashes) =
            (self.inner.store.list_file_facts().await?, self.inner.store.list_tensor_hashes().await?);
        {
            let mut known = self.inner.studio.identifications.known();
            known.read.extend(facts.iter().map(|file| number(&file.path, file.stamp)));
            known.hashed.extend(hashes.iter().map(|file| number(&file.path, file.stamp)));
            known.is_loaded = true;
        }
        self.recall_conflicts(&facts);
        Ok(())
    }

    /// What a file says of itself as far as it was read and has not changed since, with its hashes.
    pub async fn file_facts(&self, path: &ModelPath) -> Result<Option<FileFacts>> {
        let Some(stamp) = self.library().file(path).map(|fact| fact.stamp) else { return Ok(None) };
        let Some(facts) = self.inner.store.load_file_facts(path).await?.filter(|facts| facts.stamp == stamp)
        else {
            return Ok(None);
        };
        let Ok(mut facts) = serde_json::from_str::<FileFacts>(&facts.text) else { return Ok(None) };
        let hashes = self.inner.store.load_file_hashes(path).await?.filter(|hashes| hashes.stamp == stamp);
        facts.hashes = hashes.and_then(|hashes| serde_json::from_str(&hashes.text).ok());
        Ok(Some(facts))
    }
}

impl Read {
    fn row(&self) -> Option<OfFile> {
        let text = serde_json::to_string(self.facts.as_ref()?).ok()?;
        Some(OfFile { path: self.path.clone(), stamp: self.stamp, text })
    }
}

/// Nothing when it cannot be read, or is another file by now; the next look finds that one.
fn read(root: &Path, path: ModelPath, stamp: FileStamp) -> Read {
    let at = path.below(root);
    let facts = inspect_file(&at, path.file.as_str())
        .inspect_err(|error| tracing::info!(file = %path, %error, "a file cannot be identified"))
        .ok()
        .filter(|_| stamp_at(&at) == Some(stamp))
        .map(|facts| FileFacts { path: path.relative(), ..facts });
    Read { path, stamp, facts }
}
