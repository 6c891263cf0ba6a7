//! What can be done: one method a thing, each the only place of its rule. Surfaces call nothing else.

mod activity;
mod add;
mod admin_key;
mod adoption;
mod bin;
mod builtin;
mod catalog;
mod catalog_files;
mod civitai;
mod control;
mod doctor;
mod downloads;
mod duplicates;
mod edits;
mod enqueue;
mod entries;
mod environment;
mod evaluations;
mod events;
mod gallery;
mod generations;
mod hashing;
mod health;
mod identification;
mod import;
pub(crate) mod jobs;
pub(crate) mod live;
mod metadata;
mod open;
mod pairs;
mod parts;
mod picture;
mod placement;
mod presence;
mod program;
mod prompts;
mod quarantine;
mod recent;
mod search;
mod secrets;
mod sessions;
mod settings;
mod sidecars;
mod studio;
mod styles;
mod sync;
mod teams;
#[cfg(test)]
pub(crate) mod testing;
mod uploads;
mod vault;
mod verification;
mod watching;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{Sha256, TeamKeyId};
use crate::error::{Error, Result};
use crate::files::{DataLock, ModelsTree};
use crate::library::Library;
pub use crate::library::{FacetCount, Facets};
use crate::store::{Store, StoredSession, StoredTeamKey};

pub use activity::ActivityLine;
pub use add::{AddRequest, Added, CandidateFile, CandidateVersion, Candidates};
pub use admin_key::AdminKey;
pub use adoption::{
    AdoptionReport, AdoptionRequest, AdoptionState, AdoptionStatus, CatalogFinding, CategoryFinding,
    EntryFinding, FileFinding, GalleryFinding, LeftOut, RepositoryFinding, SidecarFinding, models_tree_of,
};
pub use bin::{BinItem, Deleted, Purged};
pub use catalog::{CategoryListing, EntryState, ImportFault, ImportReport, Listing, ListingTag, Stats};
pub use civitai::{
    AddStyles, AddVersion, CardFile, CardPreview, CardVersion, CivitaiMatch, CivitaiTag, Detected,
    ImageGeneration, MapStatus, MappedEntry, ModelCard, NamesFilled, Promoted, Resource, SkippedVersion,
    StylesAdded, TagSync, VersionMap, WantedVersion,
};
pub use doctor::{Check, CheckOutcome, Health};
pub use downloads::{BatchReport, DownloadFilter, Enqueue, Enqueued, JobState, Placement, Skipped, Wait};
pub use duplicates::{DuplicateFile, DuplicateGroup, DuplicateReport, Sameness};
pub use edits::{EditedEntries, EntriesEdited, EntryDetail, EntryEdited, PastEdit, RevertConflict};
pub use environment::EnvSetting;
pub use evaluations::{
    BaseRequest, BuiltIn, EvaluationAnswer, EvaluationCheck, EvaluationHealth, EvaluationRequest,
    ImageRequest, PathStep, PromptRequest, ReportDetail, RequestFault, SmallerTo, Template, Tool,
    evaluate_plain, resize_plain,
};
pub use events::{Event, EventFilter, Severity};
pub use gallery::{
    GalleryFilter, GalleryImage, GalleryProgress, GalleryRequest, GallerySummaries, GallerySummary,
    MediaFile, ModelGallery, SearchMode, ThumbnailProgress,
};
pub use generations::{GeneratedImage, Generation, GenerationPlan, GenerationRequest, shown_generation_id};
pub use hashing::HashingProgress;
pub use identification::{
    FileFacts, FoundVersion, IdentificationReport, LookedUp, LookupReport, TriggerWordFact, hash_file,
    inspect_file,
};
pub use metadata::{FetchScope, FetchState, FetchWord};
pub use pairs::PairsTag;
pub use presence::{AdoptReport, ScanReport, UnlistedFile};
pub use quarantine::{QuarantineSource, QuarantinedFile};
pub use search::{EntryPage, searchable_part};
pub use settings::{Settings, SettingsChange};
pub use sidecars::{SidecarRefusal, SidecarReport};
pub use styles::{
    ListedStyle, MAX_PREVIEW_BYTES, NewStyle, RenderRequest, RenderedFile, RenderedStyle, StyleChange,
    StyleFileState, StyleFilter, StyleShelf, StyleSource, StyleState,
};
pub use sync::{SyncConflict, SyncReport, UpdateCheck};
pub use teams::NewTeamKey;
pub use uploads::{Append, Checksum, NewResumable, ResumableStatus, ResumableUpload, Upload, Uploaded};
pub use vault::{LoraFile, LoraFilter, VaultDeleted};
pub use verification::{VerificationReport, VerifiedFile};

/// A session of a browser ends so long after its last use, seconds.
pub const SESSION_SECONDS: i64 = 24 * 60 * 60;

/// The product, opened on one data folder. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// What all services share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    /// The models folder with what is linked into it.
    pub(crate) tree: ModelsTree,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    library: RwLock<Library>,
    /// Held by whoever changes a catalog, from reading the library to changing it after the transaction.
    catalog_turn: Arc<tokio::sync::Mutex<()>>,
    /// Wakes the writer of the catalog files.
    catalogs_changed: tokio::sync::Notify,
    /// Held by whoever compares the catalog files with the database.
    face_turn: tokio::sync::Mutex<()>,
    /// Held by whoever moves files in or out of the bin.
    bin_turn: tokio::sync::Mutex<()>,
    /// Held by whoever looks at the models folder.
    look_turn: tokio::sync::Mutex<()>,
    /// Wakes whoever saves what is known of files.
    files_changed: tokio::sync::Notify,
    health: health::HealthReasons,
    /// Settings in force, as the database has them.
    stored: std::sync::Mutex<Settings>,
    /// The hash of the admin key that was made here, as the database had it a moment ago.
    known_admin_key: recent::Recent<(), Option<Sha256>>,
    /// Sessions as the database had them a moment ago, by the hash of their token.
    known_sessions: recent::Recent<Sha256, StoredSession>,
    /// Keys of teams as the database had them a moment ago, by their hash.
    known_team_keys: recent::Recent<Sha256, StoredTeamKey>,
    /// Keys whose use was noted a moment ago.
    known_key_uses: recent::Recent<TeamKeyId, ()>,
    styles: styles::Shelves,
    pub(crate) jobs: jobs::Jobs,
    /// The present or last run of re-hashing.
    verification: std::sync::Mutex<Option<verification::Run>>,
    pub(crate) studio: studio::Studio,
    pub(crate) evaluations: evaluations::live::Evaluations,
    generations: generations::Generations,
    /// Held by whoever gives an upload its name and place.
    upload_turn: tokio::sync::Mutex<()>,
    /// Uploads in pieces that somebody works on.
    open_uploads: uploads::OpenUploads,
    /// Background work; `close` waits for all of it.
    pub(crate) tasks: TaskTracker,
    /// Tells background work to end.
    pub(crate) stopping: CancellationToken,
    /// Where the next operation breaks off, as if the process had been killed there.
    #[cfg(test)]
    fault_at: std::sync::Mutex<Option<&'static str>>,
    _lock: DataLock,
}

/// A page of a list: `items`, and where the next page starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Opaque; `None` on the last page.
    pub next_cursor: Option<String>,
    /// Rows on all pages.
    pub total: u64,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Rows a page; the default is 100, at most 1,000.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// Rows of this page.
    pub(crate) fn rows(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, 1000)
    }
}

/// The error for a cursor that no list gave out.
fn bad_cursor() -> Error {
    Error::invalid("bad_cursor", "cursor", "the cursor is not one that a list gave out; start without it")
}

impl Registry {
    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The time by the product's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.clock.now()
    }

    /// What is known, for reading; never held over an await.
    pub(crate) fn library(&self) -> RwLockReadGuard<'_, Library> {
        self.inner.library.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, for changing after the database was; never held over an await.
    pub(crate) fn library_mut(&self) -> RwLockWriteGuard<'_, Library> {
        self.inner.library.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A point between two steps that must not be one; tests break off here.
    #[cfg(test)]
    fn fault(&self, point: &'static str) -> Result<()> {
        let wanted = *self.inner.fault_at.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted == Some(point) {
            return Err(Error::internal(format!("broken off at `{point}`"), "a fault that a test asked for"));
        }
        Ok(())
    }

    /// A point between two steps that must not be one; tests break off here.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the one for tests")]
    fn fault(&self, _point: &'static str) -> Result<()> {
        Ok(())
    }
}
