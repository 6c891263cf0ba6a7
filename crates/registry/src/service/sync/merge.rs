//! Merging the repository's catalog into ours: its entries appear or update, ours and our edits stay.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::catalog_file::{self, CatalogFile, judged};
use crate::domain::{
    CatalogName, Category, Entry, EntryDocument, EntryId, FieldConflict, ModelPath, merge_entry,
};
use crate::error::{Error, Result};
use crate::library::{CatalogChange, Library, Placed};
use crate::service::Registry;
use crate::service::import::{Places, category_of};

/// The largest catalog file that is read, bytes.
const MAX_BYTES: u64 = 64 << 20;

/// What a sync did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncReport {
    /// Whether anything changed (or would).
    pub is_changed: bool,
    /// Our version before.
    pub old_version: i64,
    /// Our version after.
    pub new_version: i64,
    /// Our date after, `YYYY-MM-DD HH:MM`.
    pub new_date: String,
    /// Files that are new.
    pub added: Vec<String>,
    /// Files whose entry changed.
    pub updated: Vec<String>,
    /// Files whose entry stays different from the repository's: our own, or edited here, or taken out here.
    pub kept: Vec<String>,
    /// Fields that both sides changed; ours stay.
    pub conflicts: Vec<SyncConflict>,
    /// Entries of the repository that cannot be used, with the reason.
    pub refused: Vec<(String, String)>,
}

/// A conflict with the file it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncConflict {
    /// The entry's file.
    pub file: String,
    /// The field and both values.
    pub conflict: FieldConflict,
}

/// One usable entry of the repository.
struct Theirs {
    category: Category,
    path: ModelPath,
    fields: Map<String, Value>,
}

/// What was last merged.
type Base = HashMap<ModelPath, Map<String, Value>>;

impl Registry {
    /// Merges the work tree's catalog into `models`; with `dry_run` nothing is changed.
    ///
    /// `Unavailable` (`repo_missing`) when there is no work tree yet.
    pub async fn sync_catalog(&self, dry_run: bool) -> Result<SyncReport> {
        let path = self.repository_catalog();
        let file = self.blocking("reading the repository's catalog", move || read(&path)).await??;
        let version = file.version;
        let (theirs, refused) = usable(file);
        let base = self.inner.store.load_merged().await?;
        let turn = self.catalog_turn().await;
        let mut head = self.next_head(CatalogName::Models);
        let old_version = head.version - 1;
        head.version = head.version.max(version.unwrap_or_default());
        let now = self.now();
        let mut plan = Plan {
            change: CatalogChange::of(CatalogName::Models, head.clone()),
            report: SyncReport { old_version, refused, ..SyncReport::default() },
        };
        plan.merge(&self.library(), &theirs, &base, || EntryId::new(now));
        let Plan { change, mut report } = plan;
        report.is_changed = !change.entries.is_empty();
        (report.new_version, report.new_date) =
            if report.is_changed { (head.version, head.date) } else { (old_version, String::new()) };
        if dry_run {
            return Ok(report);
        }
        if report.is_changed {
            self.commit(turn, vec![change]).await?;
        }
        let merged: Vec<_> = theirs.into_iter().map(|entry| (entry.path, entry.fields)).collect();
        self.inner.store.save_merged(&merged).await?;
        Ok(report)
    }
}

fn read(path: &PathBuf) -> Result<CatalogFile> {
    let missing = || Error::Unavailable {
        code: "repo_missing",
        message: "Repo clone not found — run Check for Updates first".to_owned(),
    };
    let failed = |error| Error::internal("reading the repository's catalog", error);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            let message = format!("the repository's catalog is larger than {} MiB", MAX_BYTES >> 20);
            return Err(Error::invalid("too_large", "models.json", message));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(failed(error)),
    }
    Ok(catalog_file::read(&std::fs::read(path).map_err(failed)?)?)
}

fn usable(file: CatalogFile) -> (Vec<Theirs>, Vec<(String, String)>) {
    let (mut entries, mut refused): (Vec<Theirs>, _) = (Vec::new(), Vec::new());
    for group in file.groups {
        for value in group.entries {
            match judged(value) {
                Ok((_, path)) if entries.iter().any(|known| known.path == path) => {
                    refused.push((path.file.to_string(), "it stands in the catalog twice".to_owned()));
                }
                Ok((document, path)) => {
                    let category = group.category.clone().unwrap_or_else(|| category_of(&path));
                    entries.push(Theirs { category, path, fields: document.to_fields() });
                }
                Err(fault) => refused.push((fault.file, fault.message)),
            }
        }
    }
    (entries, refused)
}

struct Plan {
    change: CatalogChange,
    report: SyncReport,
}

impl Plan {
    fn merge(
        &mut self,
        library: &Library,
        theirs: &[Theirs],
        base: &Base,
        mut new_id: impl FnMut() -> EntryId,
    ) {
        let state = library.catalog(CatalogName::Models);
        let mut places = Places::of(state);
        for entry in theirs {
            let ours =
                library.entry_at(CatalogName::Models, &entry.path).and_then(|own| library.placed(own.id));
            match (ours, base.get(&entry.path)) {
                (Some(placed), base) => self.update(placed, entry, base),
                // Taken out here after it was merged.
                (None, Some(_)) => self.report.kept.push(entry.path.file.to_string()),
                (None, None) => self.add(entry, &mut places, new_id()),
            }
        }
        let is_ours = |own: &&Arc<Entry>| !theirs.iter().any(|entry| entry.path == own.path);
        self.report.kept.extend(state.entries().filter(is_ours).map(|own| own.file().to_owned()));
    }

    fn add(&mut self, theirs: &Theirs, places: &mut Places, id: EntryId) {
        let position = places.next(&theirs.category, &mut self.change.categories);
        let entry = Entry {
            id,
            catalog: CatalogName::Models,
            category: theirs.category.id.clone(),
            path: theirs.path.clone(),
            document: EntryDocument::from(theirs.fields.clone()),
        };
        self.put(entry, position);
        self.report.added.push(theirs.path.file.to_string());
    }

    fn update(&mut self, placed: &Placed, theirs: &Theirs, base: Option<&Map<String, Value>>) {
        let own = &placed.entry;
        let file = own.file().to_owned();
        let ours = own.document.to_fields();
        let merged = merge_entry(base, &ours, &theirs.fields);
        if merged.keeps_ours || !merged.conflicts.is_empty() {
            self.report.kept.push(file.clone());
        }
        let conflicts = merged.conflicts.into_iter();
        self.report.conflicts.extend(conflicts.map(|conflict| SyncConflict { file: file.clone(), conflict }));
        if merged.fields != ours {
            self.put(
                Entry { document: EntryDocument::from(merged.fields), ..Entry::clone(own) },
                placed.position,
            );
            self.report.updated.push(file);
        }
    }

    fn put(&mut self, entry: Entry, position: i64) {
        let changed_version = self.change.head.version;
        self.change.entries.push(Placed { entry: Arc::new(entry), position, changed_version });
    }
}
