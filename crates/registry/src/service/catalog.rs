//! Entries: list, find, import, export, remove.

use std::sync::Arc;

use serde_json::json;

use super::builtin::BUILTIN;
use super::import::{Tagging, plan_import};
use super::{GallerySummaries, JobState, Registry, Severity};
use crate::domain::catalog_file::{self, CatalogFile};
use crate::domain::{CatalogName, Category, Download, DownloadState, Entry, EntryId, FileFact, StatusWord};
use crate::error::{Error, Result, Thing};
use crate::library::{CatalogChange, Library};

/// A whole catalog with the state of each entry.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Counts up on every change of the catalog.
    pub version: i64,
    /// `YYYY-MM-DD HH:MM` of the last change in the configured zone.
    pub date: String,
    /// Sums for the head of the list.
    pub stats: Stats,
    /// In file order, empty ones kept.
    pub categories: Vec<CategoryListing>,
    /// What is in the galleries of the catalog's models; of `loras` alone.
    pub galleries: Option<GallerySummaries>,
}

/// One category with its entries in file order.
#[derive(Debug, Clone)]
pub struct CategoryListing {
    /// Id, name, unknown fields.
    pub category: Category,
    /// Its entries.
    pub entries: Vec<EntryState>,
}

/// One entry and where its file stands.
#[derive(Debug, Clone)]
pub struct EntryState {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The contract's word (decision 5).
    pub status: StatusWord,
    /// The file, when it is on disk.
    pub file: Option<FileFact>,
    /// The live or last job, when there is one.
    pub job: Option<Arc<JobState>>,
    /// What CivitAI and the file on disk do not agree about, for people.
    pub conflict: Option<Arc<str>>,
}

/// Sums for the head of a list. Byte counts are exact; `free_bytes` is sampled every 10 s.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Jobs that wait; in `models` those of both catalogs.
    pub queued_count: u64,
    /// Jobs that run; in `models` those of both catalogs.
    pub downloading_count: u64,
    /// Metadata fetches that wait or run.
    pub fetching_count: u64,
    /// Entries of this catalog whose file is on disk.
    pub present_count: u64,
    /// Entries of this catalog.
    pub total_count: u64,
    /// Bytes per second of these running jobs together.
    pub global_speed: f64,
    /// Bytes on disk of this catalog's entries.
    pub models_bytes: u64,
    /// Free bytes on the file system of the models root.
    pub free_bytes: u64,
    /// Bytes held by the bin.
    pub bin_bytes: u64,
    /// Files on disk that no catalog knows.
    pub unlisted_count: u64,
}

impl Stats {
    /// What is known without looking at entries.
    fn of_disk(library: &Library) -> Self {
        Self {
            free_bytes: library.free_bytes(),
            bin_bytes: library.bin_bytes(),
            unlisted_count: library.unlisted().count() as u64,
            ..Self::default()
        }
    }

    /// Counts an entry with its file on disk.
    fn count(&mut self, file: Option<&FileFact>) {
        self.total_count += 1;
        if let Some(fact) = file {
            self.present_count += 1;
            self.models_bytes += fact.stamp.size_bytes;
        }
    }
}

/// Changes whenever the listing's bytes would: catalog, presence, jobs, sampled free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListingTag(pub u64);

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// File names that are new.
    pub added: Vec<String>,
    /// File names that were there, or were refused.
    pub skipped: Vec<String>,
    /// Why entries were refused, in document order.
    pub errors: Vec<ImportFault>,
}

/// One refused entry of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// Which entry of the document, from 0.
    pub index: usize,
    /// Its `file`, as far as it has one.
    pub file: String,
    /// The field at fault.
    pub field: String,
    /// What is wrong, with what would be accepted.
    pub message: String,
}

impl Registry {
    /// What an ETag of the listing follows. Ask for it before the listing itself.
    pub fn listing_tag(&self, catalog: CatalogName) -> ListingTag {
        // Both catalogs share one counter: a change of either is rare, and jobs and presence concern both.
        let _ = catalog;
        ListingTag(
            self.library()
                .revision()
                .wrapping_add(self.jobs_revision())
                .wrapping_add(self.fetches_revision())
                .wrapping_add(self.inner.studio.summaries.revision())
                .wrapping_add(self.conflicts_revision()),
        )
    }

    /// The whole catalog.
    pub fn listing(&self, catalog: CatalogName) -> Listing {
        let mut listing = self.known_listing(catalog);
        // Jobs are looked up without the library's lock, so that the two locks never wait for each other.
        for state in listing.categories.iter_mut().flat_map(|category| &mut category.entries) {
            self.add_job(state);
        }
        listing.galleries = (catalog == CatalogName::Loras).then(|| self.gallery_summaries());
        self.add_job_sums(catalog, &mut listing.stats);
        listing
    }

    /// The sums of the whole catalog without its entries.
    pub fn catalog_stats(&self, catalog: CatalogName) -> Stats {
        let mut stats = {
            let library = self.library();
            let mut stats = Stats::of_disk(&library);
            library.catalog(catalog).entries().for_each(|entry| stats.count(library.file(&entry.path)));
            stats
        };
        self.add_job_sums(catalog, &mut stats);
        stats
    }

    fn add_job_sums(&self, catalog: CatalogName, stats: &mut Stats) {
        let sums = self.job_sums(catalog);
        stats.queued_count = sums.queued;
        stats.downloading_count = sums.downloading;
        stats.fetching_count = self.open_fetches();
        stats.global_speed = sums.bytes_per_second;
    }

    /// The listing without jobs.
    fn known_listing(&self, catalog: CatalogName) -> Listing {
        let library = self.library();
        let state = library.catalog(catalog);
        let mut stats = Stats::of_disk(&library);
        let categories = state.categories.iter().map(|own| CategoryListing {
            category: own.category.clone(),
            entries: own.entries().map(|entry| known_state(&library, entry, &mut stats)).collect(),
        });
        let categories = categories.collect();
        Listing {
            version: state.head.version,
            date: state.head.date.clone(),
            stats,
            categories,
            galleries: None,
        }
    }

    /// The entry of that file: the one in `dest` when given, else the first in `models`, then in `loras` (decision 1).
    pub fn find_entry(&self, file: &str, dest: Option<&str>) -> Result<EntryState> {
        let found = self.library().find(file, dest).cloned();
        found.map(|entry| self.state_of(&entry)).ok_or_else(|| Error::not_found(Thing::Entry, file))
    }

    /// The entry of that id, while it is in its catalog.
    pub fn find_entry_by_id(&self, id: EntryId) -> Option<Arc<Entry>> {
        self.library().entry(id).cloned()
    }

    /// The entry of that id with where its file stands.
    pub fn entry_state(&self, id: EntryId) -> Result<EntryState> {
        let found = self.find_entry_by_id(id);
        found.map(|entry| self.state_of(&entry)).ok_or_else(|| Error::not_found(Thing::Entry, id.to_string()))
    }

    /// An entry with where its file stands.
    pub(crate) fn state_of(&self, entry: &Arc<Entry>) -> EntryState {
        let mut state = known_state(&self.library(), entry, &mut Stats::default());
        self.add_job(&mut state);
        state
    }

    pub(super) fn add_job(&self, state: &mut EntryState) {
        state.job = self.job_of(state.entry.id);
        if let Some(job) = &state.job {
            let Download { state: job, force, .. } = &job.download;
            state.status = status_beside(*job, *force, state.file.is_some());
        }
        if state.file.is_some() {
            state.conflict = self.base_model_conflict(&state.entry.path);
        }
    }

    /// Adds the entries of a catalog file (object or bare array) that are new (decision 3).
    ///
    /// `Invalid` (`malformed_catalog`) names line, column and field.
    pub async fn import(&self, catalog: CatalogName, document: &[u8]) -> Result<ImportReport> {
        let bytes = document.to_vec();
        let file = self.blocking("reading the catalog", move || catalog_file::read(&bytes)).await??;
        self.import_file(catalog, file).await
    }

    /// Adds the built-in list of well-known public models (decision 2).
    pub async fn import_builtin(&self) -> Result<ImportReport> {
        self.import(CatalogName::Models, BUILTIN).await
    }

    async fn import_file(&self, catalog: CatalogName, file: CatalogFile) -> Result<ImportReport> {
        let turn = self.catalog_turn().await;
        let now = self.inner.clock.now();
        let head = self.next_head(catalog);
        let (change, report) =
            plan_import(&self.library(), catalog, head, file, Tagging::Imported, || EntryId::new(now));
        if !change.entries.is_empty() {
            self.commit(turn, vec![change]).await?;
            let (count, catalog) = (report.added.len(), catalog.as_str());
            let data = json!({ "catalog": catalog, "added": count, "skipped": report.skipped.len() });
            self.tell("model.imported", Severity::Success, format!("Imported {count} into {catalog}"), data);
        }
        Ok(report)
    }

    /// The catalog as its file on disk has it: indent 2, no final newline.
    pub fn export(&self, catalog: CatalogName) -> String {
        let state = self.library().catalog(catalog).clone();
        String::from_utf8(state.to_file()).expect("JSON is UTF-8")
    }

    /// Takes an entry out of its catalog; `Conflict` (`file_present`) while its file is on disk. A job for it is
    /// cancelled first.
    pub async fn remove_entry(&self, file: &str, dest: Option<&str>) -> Result<Arc<Entry>> {
        let entry = self.find_entry(file, dest)?.entry;
        let path = entry.path.below(&self.inner.config.models_dir);
        if tokio::fs::symlink_metadata(&path).await.is_ok() {
            let message = "Cannot remove from catalog while file exists on disk. Delete the file first.";
            return Err(Error::conflict("file_present", message));
        }
        self.cancel_jobs_at(&entry.path).await?;
        let turn = self.catalog_turn().await;
        let mut change = CatalogChange::of(entry.catalog, self.next_head(entry.catalog));
        change.removed.push(entry.id);
        self.commit(turn, vec![change]).await?;
        let data = json!({ "file": entry.file(), "dest": entry.dest(), "catalog": entry.catalog.as_str() });
        self.tell(
            "model.removed",
            Severity::Info,
            format!("Removed {} from the catalog", entry.file()),
            data,
        );
        Ok(entry)
    }
}

/// What the library knows of an entry, added to the sums.
pub(super) fn known_state(library: &Library, entry: &Arc<Entry>, stats: &mut Stats) -> EntryState {
    let file = library.file(&entry.path).copied();
    stats.count(file.as_ref());
    let status = if file.is_some() { StatusWord::Present } else { StatusWord::NotDownloaded };
    EntryState { entry: Arc::clone(entry), status, file, job: None, conflict: None }
}

/// The contract's word for an entry that has a job: the job's own word wins, but for a failed one whose file appeared
/// by another way.
pub(super) fn status_beside(job: DownloadState, is_forced: bool, is_present: bool) -> StatusWord {
    let on_disk = if is_present { StatusWord::Present } else { StatusWord::NotDownloaded };
    match job.status_word() {
        Some(StatusWord::Error) if is_present && !is_forced => StatusWord::Present,
        Some(word) => word,
        None => on_disk,
    }
}
