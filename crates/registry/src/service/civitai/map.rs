//! Every CivitAI version that the catalogs know, for programs that look many up at once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{CatalogName, Entry, FileFact, Progress, StatusWord};
use crate::service::Registry;

/// The versions and models that the catalogs know.
#[derive(Debug, Clone, Default)]
pub struct VersionMap {
    /// One entry a version, in catalog order; an entry of `loras` speaks for a version that is in both.
    pub by_version: Vec<(u64, MappedEntry)>,
    /// The versions of each model, in catalog order.
    pub by_model: Vec<(u64, Vec<u64>)>,
}

/// One version's entry and where its file stands.
#[derive(Debug, Clone)]
pub struct MappedEntry {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Where its file stands.
    pub status: MapStatus,
    /// The file, when it is on disk.
    pub file: Option<FileFact>,
    /// What moves now.
    pub progress: Option<Progress>,
}

/// The words of the map (decision 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapStatus {
    /// The file is on disk.
    Present,
    /// The catalog knows it, the file is not here.
    Missing,
    /// It waits.
    Queued,
    /// Bytes are moving.
    Downloading,
}

impl MapStatus {
    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Queued => "queued",
            Self::Downloading => "downloading",
        }
    }
}

impl Registry {
    /// The map of both catalogs.
    pub fn version_map(&self) -> VersionMap {
        let mut map = VersionMap::default();
        let (mut versions, mut models) = (HashMap::new(), HashMap::new());
        for entry in self.entries_from_civitai() {
            let Some(version_id) = entry.document.id("civitai_version_id") else { continue };
            if let Some(model_id) = entry.document.id("civitai_model_id") {
                let index = *models.entry(model_id).or_insert_with(|| {
                    map.by_model.push((model_id, Vec::new()));
                    map.by_model.len() - 1
                });
                let known = &mut map.by_model[index].1;
                if !known.contains(&version_id) {
                    known.push(version_id);
                }
            }
            let mapped = self.mapped(entry);
            if let Some(&index) = versions.get(&version_id) {
                replace(&mut map.by_version, index, mapped);
            } else {
                versions.insert(version_id, map.by_version.len());
                map.by_version.push((version_id, mapped));
            }
        }
        map
    }

    fn entries_from_civitai(&self) -> Vec<Arc<Entry>> {
        let library = self.library();
        let all = CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
        all.filter(|entry| entry.document.contains("civitai_version_id")).cloned().collect()
    }

    /// An entry as the map shows it.
    pub(crate) fn mapped(&self, entry: Arc<Entry>) -> MappedEntry {
        let state = self.state_of(&entry);
        let status = match state.status {
            StatusWord::Queued => MapStatus::Queued,
            StatusWord::Downloading => MapStatus::Downloading,
            _ if state.file.is_some() => MapStatus::Present,
            _ => MapStatus::Missing,
        };
        let moves = status == MapStatus::Downloading;
        let progress = state.job.filter(|_| moves).map(|job| job.progress);
        MappedEntry { entry, status, file: state.file, progress }
    }
}

/// Of two entries of one version, the style's counts; of two files of one version in one catalog, the first.
fn replace(by_version: &mut [(u64, MappedEntry)], index: usize, mapped: MappedEntry) {
    let known = &mut by_version[index].1;
    if known.entry.catalog != mapped.entry.catalog {
        *known = mapped;
    }
}
