//! What other programs wrote beside models, for entries that are here; previews into the gallery; and sidecars for them.

use std::sync::Arc;

use super::run::Run;
use crate::domain::{CatalogName, Entry, EntryId, ModelPath};
use crate::error::Result;
use crate::library::{CatalogChange, Placed};
use crate::service::gallery::{GalleryImage, Kept, LocalMedia, local_image_id};
use crate::service::presence::adopted_document;
use crate::service::sidecars::{
    Beside, Preview, SidecarReading, Writing, apply, previews_beside, read_beside,
};
use crate::store;

/// Entries that are read, and saved, at once.
const BATCH: usize = 200;

/// An entry with something beside its file.
#[derive(Clone)]
struct Told {
    entry: Arc<Entry>,
    size_bytes: u64,
    beside: Beside,
    previews: Vec<Preview>,
}

impl Run {
    /// Lets entries learn what is said beside their files.
    pub(super) async fn sidecars(&mut self) -> Result<()> {
        let told = self.told();
        self.begin("sidecars", told.len() as u64);
        for some in told.chunks(BATCH) {
            if self.is_stopped() {
                return Ok(());
            }
            self.learn(some).await?;
            for told in some {
                if self.is_stopped() {
                    return Ok(());
                }
                self.previews_of(told).await?;
                self.step();
            }
        }
        Ok(())
    }

    /// Entries that are present and have something beside, in the order of the catalogs.
    fn told(&self) -> Vec<Told> {
        let library = self.registry.library();
        let is_there = |path: &ModelPath| library.file(path).is_some();
        let entries = CatalogName::ALL.into_iter().flat_map(|name| library.catalog(name).entries());
        let told = entries.filter_map(|entry| {
            let size_bytes = library.file(&entry.path)?.stamp.size_bytes;
            let beside = Beside::of(&entry.path, &self.written, is_there);
            let previews = previews_beside(&entry.path, is_there);
            let is_told = !beside.sidecars.is_empty() || !previews.is_empty();
            is_told.then(|| Told { entry: Arc::clone(entry), size_bytes, beside, previews })
        });
        let mut told: Vec<Told> = told.collect();
        if self.request.is_dry && self.request.unlisted {
            // They would be entries by now.
            let unlisted = library.unlisted().filter(|(path, _)| !self.planned.contains(*path));
            told.extend(unlisted.map(|(path, fact)| {
                let size_bytes = fact.stamp.size_bytes;
                let entry = Entry {
                    id: EntryId::new(self.registry.now()),
                    catalog: CatalogName::Models,
                    category: String::new(),
                    path: path.clone(),
                    document: adopted_document(path, size_bytes),
                };
                let (beside, previews) =
                    (Beside::of(path, &self.written, is_there), previews_beside(path, is_there));
                Told { entry: Arc::new(entry), size_bytes, beside, previews }
            }));
        }
        told
    }

    async fn learn(&mut self, told: &[Told]) -> Result<()> {
        let (root, told) = (self.registry.inner.config.models_dir.clone(), told.to_vec());
        let read = move || -> Vec<(EntryId, SidecarReading)> {
            let some = told.into_iter().filter(|told| !told.beside.sidecars.is_empty());
            some.map(|told| (told.entry.id, read_beside(&root, &told.beside, &told.entry, told.size_bytes)))
                .collect()
        };
        let readings = self.registry.blocking("reading sidecars", read).await?;
        self.take_over(readings).await
    }

    /// Changes the entries in one transaction.
    async fn take_over(&mut self, readings: Vec<(EntryId, SidecarReading)>) -> Result<()> {
        let registry = self.registry.clone();
        let turn = registry.catalog_turn().await;
        let ids: Vec<EntryId> = readings.iter().map(|(id, _)| *id).collect();
        let mut sayings = registry.inner.store.load_sayings(&ids).await?;
        let mut changes = CatalogName::ALL.map(|name| CatalogChange::of(name, registry.next_head(name)));
        let mut facts = Vec::new();
        for (id, reading) in readings {
            let last = sayings.remove(&id).unwrap_or_default();
            // Files that became entries a moment ago were counted then.
            if !self.made.contains(&id) {
                self.report.sidecars.count(reading.counts);
                reading.faults.iter().for_each(|_| self.report.sidecars.unreadable += 1);
                reading.faults.into_iter().for_each(|fault| self.report.warn(fault));
            }
            let Some(placed) = registry.library().placed(id).cloned() else { continue };
            let mut document = placed.entry.document.clone();
            let said = apply(&mut document, &reading.said, &last);
            if document != placed.entry.document {
                let change = &mut changes[usize::from(placed.entry.catalog == CatalogName::Loras)];
                let entry = Arc::new(Entry { document, ..Entry::clone(&placed.entry) });
                change.entries.push(Placed { entry, changed_version: change.head.version, ..placed });
                self.report.sidecars.entries_filled += 1;
            }
            if said != last {
                facts.push((id, said));
            }
        }
        if self.request.is_dry {
            return Ok(());
        }
        let changes: Vec<CatalogChange> =
            changes.into_iter().filter(|change| !change.entries.is_empty()).collect();
        if changes.is_empty() && facts.is_empty() {
            return Ok(());
        }
        registry.commit_with(turn, changes, Some(store::Beside::Said(facts))).await
    }

    /// Puts the previews of a model into the gallery; the first stands for it.
    async fn previews_of(&mut self, told: &Told) -> Result<()> {
        let root = self.registry.inner.config.models_dir.clone();
        let entry = self.registry.find_entry_by_id(told.entry.id).unwrap_or_else(|| Arc::clone(&told.entry));
        let model_id = entry.gallery_model_id();
        let mut first = None;
        for preview in &told.previews {
            self.report.sidecars.previews += 1;
            let (look, below) = (preview.clone(), root.clone());
            let mark = self.registry.blocking("looking at a preview", move || look.mark(&below)).await?;
            let Ok(mark) = mark else {
                self.report.warn(format!("`{}` was left out: it cannot be read", preview.path));
                continue;
            };
            let id = local_image_id(model_id, mark);
            let is_known = self.registry.gallery_image(id).await.is_ok();
            if is_known || self.request.is_dry {
                self.report.sidecars.previews_added += u64::from(!is_known);
                first = first.or(Some(id));
                continue;
            }
            let media = LocalMedia {
                path: preview.path.below(&root),
                small: None,
                record: record_of(id, model_id, &entry, self.registry.now()),
            };
            match self.registry.keep_local_media(media).await? {
                Kept::Unusable(reason) => {
                    self.report.warn(format!("`{}` was left out: {reason}", preview.path));
                }
                Kept::New | Kept::Known => {
                    self.report.sidecars.previews_added += 1;
                    first = first.or(Some(id));
                }
            }
        }
        if let Some(id) = first.filter(|_| !self.request.is_dry) {
            self.registry.choose_preview(model_id, id).await?;
        }
        Ok(())
    }

    /// Writes sidecars beside the files of all entries that are present, in the flavours that were asked for.
    pub(super) async fn write_sidecars(&mut self) -> Result<()> {
        if self.request.sidecars.is_empty() || self.request.is_dry {
            return Ok(());
        }
        let flavours = self.request.sidecars.clone();
        let present = self.registry.present_entries();
        self.begin("writing", present.len() as u64);
        for (entry, fact) in present {
            if self.is_stopped() {
                return Ok(());
            }
            for (path, writing) in self.registry.write_sidecars_of(&entry, fact, &flavours).await? {
                self.note_writing(&path, &writing);
            }
            self.step();
        }
        Ok(())
    }

    fn note_writing(&mut self, path: &ModelPath, writing: &Writing) {
        match writing {
            Writing::Written(_) | Writing::Added => self.report.sidecars.written += 1,
            Writing::Unchanged => {}
            Writing::Refused(reason) => {
                self.report.sidecars.not_written += 1;
                self.report.warn(format!("`{path}` was not written: {reason}"));
            }
        }
    }
}

/// The record of a preview that lies beside a model.
fn record_of(id: u64, model_id: u64, entry: &Entry, now: chrono::DateTime<chrono::Utc>) -> GalleryImage {
    GalleryImage {
        version_ids: entry.document.id("civitai_version_id").into_iter().collect(),
        username: entry.document.some_text("author").map(str::to_owned),
        base_model: entry.document.some_text("base_model").map(str::to_owned),
        ..GalleryImage::local(id, model_id, now)
    }
}
