//! What is on disk: the rescan, files that no catalog knows, and adopting them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::import::{Places, category_of};
use super::{Page, PageRequest, Registry, bad_cursor};
use crate::domain::{CatalogName, Entry, EntryDocument, EntryId, ModelPath};
use crate::error::Result;
use crate::files::{Scan, scan};
use crate::library::{CatalogChange, Changes, Library, Placed};

/// What a look at the whole models folder found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScanReport {
    /// Files seen.
    pub files: u64,
    /// Entries whose file is there.
    pub present: u64,
    /// Entries whose file is not there.
    pub missing: u64,
    /// Files that appeared since the last look.
    pub appeared: u64,
    /// Files that vanished since the last look.
    pub vanished: u64,
    /// Files that changed since the last look.
    pub changed: u64,
    /// Files that no catalog knows.
    pub unlisted: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// A file on disk that no catalog knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlistedFile {
    /// Path below the models root, `/` between parts.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// What came of adopting files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdoptReport {
    /// Paths that are entries now.
    pub adopted: Vec<String>,
    /// Paths that are not, and why.
    pub skipped: Vec<(String, String)>,
}

impl Registry {
    /// Looks at every file below the models root by `stat` alone.
    pub async fn rescan(&self) -> Result<ScanReport> {
        self.look_at_everything().await.map(|(report, _)| report)
    }

    /// Files that no catalog knows, by path.
    pub fn unlisted_files(&self, page: &PageRequest) -> Result<Page<UnlistedFile>> {
        let after = page.cursor.as_deref().map(cursor_path).transpose()?;
        let mut all: Vec<(String, u64)> = {
            let library = self.library();
            library.unlisted().map(|(path, fact)| (path.relative(), fact.stamp.size_bytes)).collect()
        };
        all.sort_unstable();
        let total = all.len() as u64;
        let start = after.map_or(0, |after| all.partition_point(|(path, _)| *path <= after));
        let limit = page.rows() as usize;
        let is_last = start + limit >= all.len();
        let rows = all.drain(start..).take(limit);
        let items: Vec<UnlistedFile> =
            rows.map(|(path, size_bytes)| UnlistedFile { path, size_bytes }).collect();
        let last = items.last().filter(|_| !is_last);
        Ok(Page { next_cursor: last.map(|last| URL_SAFE_NO_PAD.encode(&last.path)), total, items })
    }

    /// Makes entries of unlisted files (`loras/…` in `models` too, category by folder); all of them when `paths` is empty.
    pub async fn adopt_unlisted(&self, paths: &[String]) -> Result<AdoptReport> {
        let turn = self.catalog_turn().await;
        let (mut report, mut wanted) = (AdoptReport::default(), Vec::new());
        {
            let library = self.library();
            if paths.is_empty() {
                wanted.extend(library.unlisted().map(|(path, fact)| (path.clone(), fact.stamp.size_bytes)));
                wanted.sort_unstable();
            }
            for path in paths {
                match adoptable(&library, path) {
                    Ok(file) if wanted.contains(&file) => {}
                    Ok(file) => wanted.push(file),
                    Err(reason) => report.skipped.push((path.clone(), reason)),
                }
            }
        }
        if wanted.is_empty() {
            return Ok(report);
        }
        let change = self.plan_adoption(&wanted);
        self.commit(turn, vec![change]).await?;
        report.adopted = wanted.into_iter().map(|(path, _)| path.relative()).collect();
        Ok(report)
    }

    fn plan_adoption(&self, files: &[(ModelPath, u64)]) -> CatalogChange {
        let (catalog, now) = (CatalogName::Models, self.inner.clock.now());
        let mut change = CatalogChange::of(catalog, self.next_head(catalog));
        let mut places = Places::of(self.library().catalog(catalog));
        for (path, size_bytes) in files {
            let category = category_of(path);
            let position = places.next(&category, &mut change.categories);
            let document = adopted_document(path, *size_bytes);
            let entry =
                Entry { id: EntryId::new(now), catalog, category: category.id, path: path.clone(), document };
            let changed_version = change.head.version;
            change.entries.push(Placed { entry: Arc::new(entry), position, changed_version });
        }
        change
    }

    /// Looks at everything and answers the folders that were entered, too.
    pub(super) async fn look_at_everything(&self) -> Result<(ScanReport, Vec<PathBuf>)> {
        let _turn = self.inner.look_turn.lock().await;
        let began = Instant::now();
        self.library_mut().begin_look();
        let (root, data_dir) = (self.inner.config.models_dir.clone(), self.inner.config.data_dir.clone());
        let scan = self.blocking("looking at the models folder", move || scan(&root, &data_dir)).await?;
        let changes = self.library_mut().end_look(&scan);
        self.note_unreadable(&scan);
        self.inner.files_changed.notify_one();
        if !changes.is_empty() {
            self.identify_soon();
        }
        let report = self.report_of(&scan, changes, began.elapsed());
        Ok((report, scan.folders))
    }

    fn report_of(&self, scan: &Scan, changes: Changes, elapsed: Duration) -> ScanReport {
        let library = self.library();
        let entries = || CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
        let total = entries().count() as u64;
        let present = entries().filter(|entry| library.file(&entry.path).is_some()).count() as u64;
        let Changes { appeared, vanished, changed } = changes;
        ScanReport {
            files: scan.files.len() as u64,
            present,
            missing: total - present,
            appeared,
            vanished,
            changed,
            unlisted: library.unlisted().count() as u64,
            elapsed,
        }
    }

    /// Folders that cannot be read make the installation degraded; what was known of their files stays.
    pub(super) fn note_unreadable(&self, scan: &Scan) {
        let root = &self.inner.config.models_dir;
        let trouble = scan.unreadable.first().map(|folder| {
            format!(
                "the models folder `{}` cannot be read; check that it is mounted and whose it is",
                folder.below(root).display()
            )
        });
        self.inner.health.set("models_dir", trouble);
    }
}

/// The file of a path that can become an entry, or why it cannot.
fn adoptable(library: &Library, path: &str) -> Result<(ModelPath, u64), String> {
    let path = ModelPath::parse_relative("path", path).map_err(|invalid| invalid.to_string())?;
    let fact = library.file(&path).ok_or("there is no such file below the models folder")?;
    if !library.entries_at(&path).is_empty() {
        return Err("a catalog has it already".to_owned());
    }
    if !path.file.is_model() {
        return Err("its extension is not one of a model file".to_owned());
    }
    Ok((path, fact.stamp.size_bytes))
}

pub(super) fn adopted_document(path: &ModelPath, size_bytes: u64) -> EntryDocument {
    let mut document = EntryDocument::default();
    document.set("name", path.file.stem());
    document.set("file", path.file.as_str());
    document.set("dest", path.folder.as_str());
    document.set("source", "local");
    document.set("size_gb", (size_bytes as f64 / 1e6).round() / 1e3);
    document.set("tags", Vec::<String>::new());
    document
}

fn cursor_path(cursor: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad_cursor)
}
