//! Who waits for metadata, and how the last fetch of each entry went.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{CatalogName, Entry, EntryId};
use crate::error::Result;
use crate::service::Registry;
use crate::service::activity::ActivityLevel;
use crate::store::StoredFetch;

/// Which entries are fetched for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FetchScope {
    /// Those that name a version on CivitAI or a repository on Hugging Face.
    #[default]
    Known,
    /// Also files on disk that do neither: they are looked up by hash, and read themselves.
    All,
}

/// Where a fetch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchWord {
    /// It waits.
    Queued,
    /// It runs.
    Fetching,
    /// It went well.
    Done,
    /// It failed.
    Error,
}

/// The last fetch of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchState {
    /// The entry's file.
    pub file: String,
    /// Where it stands.
    pub word: FetchWord,
    /// Why it failed.
    pub error: Option<String>,
}

/// The queue and the history.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    known: Mutex<Known>,
    /// Wakes the worker.
    pub(super) wake: Notify,
    revision: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    by_entry: HashMap<EntryId, Fetch>,
    last_position: i64,
}

#[derive(Debug, Clone)]
struct Fetch {
    position: i64,
    state: FetchState,
}

impl FetchWord {
    const ALL: [Self; 4] = [Self::Queued, Self::Fetching, Self::Done, Self::Error];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued_metadata",
            Self::Fetching => "fetching_metadata",
            Self::Done => "done",
            Self::Error => "error",
        }
    }

    fn stored(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Fetching => "fetching",
            Self::Done => "done",
            Self::Error => "error",
        }
    }

    fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Fetching)
    }
}

impl Fetches {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ones of the queue, `most` at most.
    pub(super) fn next(&self, most: usize) -> Vec<EntryId> {
        let known = self.known();
        let mut waiting: Vec<(i64, EntryId)> = known
            .by_entry
            .iter()
            .filter(|(_, fetch)| fetch.state.word == FetchWord::Queued)
            .map(|(id, fetch)| (fetch.position, *id))
            .collect();
        waiting.sort_unstable();
        waiting.into_iter().take(most).map(|(_, id)| id).collect()
    }

    fn is_open(&self, id: EntryId) -> bool {
        self.known().by_entry.get(&id).is_some_and(|fetch| fetch.state.word.is_open())
    }

    fn bump(&self) {
        self.revision.fetch_add(1, Ordering::Relaxed);
    }
}

impl Registry {
    /// Takes the queue over from the table; part of `open`.
    pub(crate) async fn open_metadata(&self) -> Result<()> {
        let stored = self.inner.store.load_fetches().await?;
        let mut known = self.inner.studio.fetches.known();
        known.last_position = stored.last().map_or(0, |row| row.position);
        known.by_entry = stored.into_iter().filter_map(fetch_of).collect();
        Ok(())
    }

    /// Queues every entry of both catalogs that is not queued yet, and answers their files in catalog order.
    pub async fn fetch_metadata(&self, scope: FetchScope) -> Result<Vec<String>> {
        let entries = self.entries_to_fetch(scope);
        let files: Vec<String> = entries.iter().map(|entry| entry.file().to_owned()).collect();
        if entries.is_empty() {
            return Ok(files);
        }
        let rows: Vec<(EntryId, String, i64)> = {
            let mut known = self.inner.studio.fetches.known();
            entries
                .iter()
                .map(|entry| {
                    known.last_position += 1;
                    (entry.id, entry.file().to_owned(), known.last_position)
                })
                .collect()
        };
        self.inner.store.queue_fetches(&rows).await?;
        self.remember_queued(rows);
        self.log_activity(ActivityLevel::Info, format!("Queued {} models for metadata fetch", files.len()))
            .await;
        self.inner.studio.fetches.wake.notify_one();
        Ok(files)
    }

    fn entries_to_fetch(&self, scope: FetchScope) -> Vec<Arc<Entry>> {
        let library = self.library();
        let is_wanted = |entry: &Entry| {
            let document = &entry.document;
            let is_known =
                document.id("civitai_version_id").is_some() || document.some_text("hf_repo").is_some();
            is_known || scope == FetchScope::All && library.file(&entry.path).is_some()
        };
        let all = CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
        all.filter(|entry| is_wanted(entry) && !self.inner.studio.fetches.is_open(entry.id))
            .cloned()
            .collect()
    }

    fn remember_queued(&self, rows: Vec<(EntryId, String, i64)>) {
        let fetches = &self.inner.studio.fetches;
        let mut known = fetches.known();
        for (id, file, position) in rows {
            let state = FetchState { file, word: FetchWord::Queued, error: None };
            known.by_entry.insert(id, Fetch { position, state });
        }
        fetches.bump();
    }

    /// How the last fetch of each entry stands, in the order in which they were queued.
    pub fn metadata_status(&self) -> Vec<FetchState> {
        let known = self.inner.studio.fetches.known();
        let mut all: Vec<&Fetch> = known.by_entry.values().collect();
        all.sort_unstable_by_key(|fetch| fetch.position);
        all.into_iter().map(|fetch| fetch.state.clone()).collect()
    }

    /// Fetches that wait or run.
    pub(crate) fn open_fetches(&self) -> u64 {
        let known = self.inner.studio.fetches.known();
        known.by_entry.values().filter(|fetch| fetch.state.word.is_open()).count() as u64
    }

    /// Whether the last fetch for an entry failed.
    pub(super) fn has_failed_fetch(&self, id: EntryId) -> bool {
        let known = self.inner.studio.fetches.known();
        known.by_entry.get(&id).is_some_and(|fetch| fetch.state.word == FetchWord::Error)
    }

    /// Counts up whenever the number of open fetches may have changed.
    pub(crate) fn fetches_revision(&self) -> u64 {
        self.inner.studio.fetches.revision.load(Ordering::Relaxed)
    }

    /// Says where the fetch of an entry stands.
    pub(super) async fn change_fetch(
        &self,
        id: EntryId,
        word: FetchWord,
        error: Option<String>,
    ) -> Result<()> {
        self.inner.store.change_fetch(id, word.stored(), error.as_deref()).await?;
        let fetches = &self.inner.studio.fetches;
        if let Some(fetch) = fetches.known().by_entry.get_mut(&id) {
            fetch.state = FetchState { word, error, ..fetch.state.clone() };
        }
        fetches.bump();
        Ok(())
    }

    /// Forgets the fetch of an entry that is gone.
    pub(super) async fn forget_fetch(&self, id: EntryId) -> Result<()> {
        self.inner.store.forget_fetch(id).await?;
        self.inner.studio.fetches.known().by_entry.remove(&id);
        self.inner.studio.fetches.bump();
        Ok(())
    }
}

fn fetch_of(row: StoredFetch) -> Option<(EntryId, Fetch)> {
    let word = FetchWord::ALL.into_iter().find(|word| word.stored() == row.state)?;
    let state = FetchState { file: row.file, word, error: row.error };
    Some((EntryId(row.entry_id), Fetch { position: row.position, state }))
}
