//! One adoption at work: its parts one after the other, each of which may be done again at any time without harm.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::folder::StudioFolder;
use super::report::AdoptionReport;
use super::{AdoptionRequest, Progress};
use crate::domain::{EntryId, ModelPath, Sha256};
use crate::error::Result;
use crate::service::Registry;

/// An adoption at work.
pub(super) struct Run {
    pub(super) registry: Registry,
    pub(super) request: AdoptionRequest,
    pub(super) folder: StudioFolder,
    /// Whether the folder is the data folder itself.
    pub(super) is_in_place: bool,
    pub(super) report: AdoptionReport,
    /// Files of entries that a dry run would have added.
    pub(super) planned: HashSet<ModelPath>,
    /// Entries that this run made of unlisted files.
    pub(super) made: HashSet<EntryId>,
    /// The hash of what we last wrote into each sidecar.
    pub(super) written: HashMap<ModelPath, Sha256>,
    pub(super) stop: CancellationToken,
    progress: Arc<Progress>,
}

impl Run {
    pub(super) fn new(
        registry: Registry,
        request: AdoptionRequest,
        folder: StudioFolder,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> Self {
        let data_dir = registry.inner.config.data_dir.canonicalize().ok();
        let is_in_place = data_dir.as_ref() == Some(&folder.root);
        let report = AdoptionReport { left: folder.left(), ..AdoptionReport::default() };
        Self {
            registry,
            request,
            folder,
            is_in_place,
            report,
            planned: HashSet::new(),
            made: HashSet::new(),
            written: HashMap::new(),
            stop,
            progress,
        }
    }

    /// Everything; ends early, with what was done until then, when it is stopped.
    pub(super) async fn all(mut self) -> (AdoptionReport, Result<()>) {
        let outcome = self.parts().await;
        (self.report, outcome)
    }

    async fn parts(&mut self) -> Result<()> {
        self.registry.rescan().await?;
        self.catalogs().await?;
        self.gallery().await?;
        self.repository().await?;
        self.look_at_files();
        self.written = self.registry.inner.store.list_written_sidecars().await?;
        self.unlisted().await?;
        self.sidecars().await?;
        self.write_sidecars().await?;
        if !self.request.is_dry {
            self.registry.hash_soon();
        }
        Ok(())
    }

    /// Counts the model files, and says so when the folder's models are not ours.
    fn look_at_files(&mut self) {
        let own = self.registry.inner.config.models_dir.clone();
        let is_ours = |tree: &PathBuf| own.canonicalize().ok().as_ref() == Some(tree);
        let found = self.folder.models.clone();
        let files = &mut self.report.files;
        files.models_dir = own.display().to_string();
        files.is_models_dir = found.as_ref().is_none_or(is_ours);
        files.found_in = found.as_ref().map(|tree| tree.display().to_string());
        let library = self.registry.library();
        for (_, fact) in library.files().iter().filter(|(path, _)| path.file.is_model()) {
            files.files += 1;
            files.bytes += fact.stamp.size_bytes;
            files.hashed += u64::from(fact.sha256.is_some());
        }
        files.unlisted = library.unlisted().filter(|(path, _)| !self.planned.contains(*path)).count() as u64;
        drop(library);
        if let Some(tree) = found.filter(|_| !self.report.files.is_models_dir) {
            let text = format!(
                "the models of this folder lie in `{}`, but the models folder here is `{}`; start with --models-dir {} \
                 to have them",
                tree.display(),
                own.display(),
                tree.display()
            );
            self.report.warn(text);
        }
    }

    /// A part begins that has that many steps.
    pub(super) fn begin(&self, phase: &'static str, steps: u64) {
        self.progress.begin(phase, steps);
    }

    /// A step is done.
    pub(super) fn step(&self) {
        self.progress.step();
    }

    /// Whether somebody wants it to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}
