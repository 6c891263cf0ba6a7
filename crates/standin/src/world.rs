//! Everything that the stand-in serves.

use crate::civitai::{CivitImage, CivitModel};
use crate::content::FileSpec;
use crate::huggingface::HfRepo;
use std::collections::BTreeMap;

/// The catalogs of all servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// Plain files by name.
    pub(crate) files: BTreeMap<String, FileSpec>,
    /// Repositories by id.
    pub(crate) repos: BTreeMap<String, HfRepo>,
    /// Models in the order in which they were added.
    pub(crate) models: Vec<CivitModel>,
    /// Images in the order in which they were added.
    pub(crate) images: Vec<CivitImage>,
}

impl World {
    /// Every file of every catalog.
    pub(crate) fn all_files(&self) -> Vec<FileSpec> {
        let plain = self.files.values().cloned();
        let repos = self.repos.values().flat_map(HfRepo::all_files);
        let models = self.models.iter().flat_map(|model| &model.versions).flat_map(|version| &version.files);
        plain.chain(repos).chain(models.map(|file| file.spec.clone())).collect()
    }
}
