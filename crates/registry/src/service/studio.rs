//! What the services of the studio's contract keep between calls.

use tokio::sync::Semaphore;

use super::Registry;
use super::activity::Activity;
use super::adoption::Adoptions;
use super::civitai::Lookups;
use super::environment::Secrets;
use super::events::Events;
use super::gallery::{GalleryRuns, Summaries, ThumbnailRun};
use super::hashing::Hashings;
use super::identification::{FileLookups, Identifications};
use super::metadata::Fetches;
use super::sidecars::Sidecars;
use crate::error::Result;

/// As many as one run may have workers.
const MEDIA_AT_ONCE: usize = 20;

/// Shared by all of them.
#[derive(Debug)]
pub(crate) struct Studio {
    /// What CivitAI answered lately.
    pub(crate) lookups: Lookups,
    /// The activity log.
    pub(crate) activity: Activity,
    /// The queue of the metadata fetch.
    pub(crate) fetches: Fetches,
    /// The present or last adoption of a folder.
    pub(crate) adoptions: Adoptions,
    /// Files that are hashed by and by.
    pub(crate) hashings: Hashings,
    /// What files are by their content.
    pub(crate) identifications: Identifications,
    /// The present or last run of looking files up by their hash.
    pub(crate) file_lookups: FileLookups,
    /// Held by whoever moves copies to the bin, so that one always stays.
    pub(crate) duplicates_turn: tokio::sync::Mutex<()>,
    /// Runs that fetch many images.
    pub(crate) gallery_runs: GalleryRuns,
    /// What happened lately.
    pub(crate) events: Events,
    /// What lists show of galleries.
    pub(crate) summaries: Summaries,
    /// The run that makes missing thumbnails.
    pub(crate) thumbnail_run: ThumbnailRun,
    /// Files of image hosts that are fetched at once, over all runs.
    pub(crate) media_places: Semaphore,
    /// Secrets that were set while the server ran.
    pub(crate) secrets: Secrets,
    /// Sidecars that are behind, and the run that writes those of all.
    pub(crate) sidecars: Sidecars,
    /// Thumbnails that are made at once; each may hold a whole picture.
    pub(crate) thumbnails: Semaphore,
}

impl Default for Studio {
    fn default() -> Self {
        Self {
            lookups: Lookups::default(),
            activity: Activity::default(),
            fetches: Fetches::default(),
            adoptions: Adoptions::default(),
            hashings: Hashings::default(),
            identifications: Identifications::default(),
            file_lookups: FileLookups::default(),
            duplicates_turn: tokio::sync::Mutex::default(),
            gallery_runs: GalleryRuns::default(),
            events: Events::default(),
            summaries: Summaries::default(),
            thumbnail_run: ThumbnailRun::default(),
            media_places: Semaphore::new(MEDIA_AT_ONCE),
            secrets: Secrets::default(),
            sidecars: Sidecars::default(),
            thumbnails: Semaphore::new(1),
        }
    }
}

impl Registry {
    /// Takes over what the database holds; part of `open`.
    pub(crate) async fn open_studio(&self) -> Result<()> {
        self.open_secrets().await?;
        self.open_events().await?;
        self.open_activity().await?;
        self.open_metadata().await?;
        self.open_gallery().await?;
        self.open_adoptions().await
    }

    /// Starts background work; part of `start`.
    pub(crate) fn start_studio(&self) {
        self.start_events();
        self.start_metadata();
        self.resume_adoption();
        self.start_hashing();
        self.start_identification();
        self.start_keeping_sidecars();
    }
}
