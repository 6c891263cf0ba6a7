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
    /// What the generator finds in its folders.
    pub(crate) generator: GeneratorFiles,
}

/// The model files of a ComfyUI.
#[derive(Debug, Clone, Default)]
pub(crate) struct GeneratorFiles {
    /// Names by folder, as `checkpoints`.
    pub(crate) folders: BTreeMap<String, Vec<String>>,
    /// What the LoRAs do to pictures.
    pub(crate) loras: Vec<GeneratorLora>,
}

impl GeneratorFiles {
    /// The names in a folder.
    pub(crate) fn of(&self, folder: &str) -> &[String] {
        self.folders.get(folder).map_or(&[], Vec::as_slice)
    }

    /// Adds a name to a folder, in order.
    pub(crate) fn add(&mut self, folder: &str, name: &str) {
        let names = self.folders.entry(folder.to_owned()).or_default();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
            names.sort();
        }
    }
}

/// What a LoRA does to the generator's pictures; see the curve in the module that draws them.
#[derive(Debug, Clone)]
pub struct GeneratorLora {
    /// Name below the generator's `loras` folder.
    pub name: String,
    /// Change a unit of strength; 1 is plain to see, 0 does nothing.
    pub effect: f32,
    /// The word without which only `leak` of it is left.
    pub trigger: Option<String>,
    /// Share of the change on prompts without the trigger, 0 to 1.
    pub leak: f32,
    /// Strength above which colours burn out.
    pub burns_above: Option<f32>,
}

impl GeneratorLora {
    /// A LoRA with an effect of 1 on every prompt that never burns.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), effect: 1.0, trigger: None, leak: 0.0, burns_above: None }
    }
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
