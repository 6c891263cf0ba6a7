//! The catalogs' face on disk: written after each change, read again when somebody edits it (decision 3).
//!
//! A face is known by the hash of its bytes. Before one is written its hash is remembered beside the old one, so that a
//! process killed in between takes neither for an edit.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use lorakeep_weights::digest;

use super::import::{Edit, plan_edit};
use super::{ImportFault, Registry};
use crate::domain::catalog_file::{self, CatalogFile};
use crate::domain::{CatalogName, EntryId, Sha256};
use crate::error::{Error, Result};
use crate::files::{keep_copy, replace_file};

/// How long changes are collected before a face is written; longer when writing takes long.
const COLLECT: Duration = Duration::from_millis(200);
/// How often the files are looked at by `stat`.
const LOOK: Duration = Duration::from_secs(1);
/// After this long a text that cannot be read is taken for finished; editors save in steps.
const SETTLE: Duration = Duration::from_millis(500);
/// Refused entries that are logged one by one.
const MAX_LOGGED_FAULTS: usize = 20;

/// A face with its hash.
struct Face {
    /// Empty when the face is the one that was written last.
    bytes: Vec<u8>,
    sha256: String,
    /// What the file looked like before it was read.
    stamp: Option<FaceStamp>,
}

/// Length and time, which an edit changes.
type FaceStamp = (u64, SystemTime);

impl Registry {
    /// Takes over what was edited while nothing ran, and only that: the files are written later.
    ///
    /// A file that cannot be read is told by the health; the database has what was last known.
    pub(in crate::service) async fn open_catalog_files(&self) -> Result<()> {
        for catalog in CatalogName::ALL {
            match self.read_face(catalog).await {
                Ok(face) => drop(self.take_over(catalog, face.as_ref()).await?),
                Err(error) => self.note_trouble(catalog, Some(&error)),
            }
        }
        Ok(())
    }

    /// Writes after changes and reads after edits until the registry stops.
    pub(in crate::service) fn start_catalog_files(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            let mut seen = [None, None];
            let mut look = tokio::time::interval(LOOK);
            loop {
                let is_changed = tokio::select! {
                    () = registry.inner.stopping.cancelled() => return,
                    () = registry.inner.catalogs_changed.notified() => true,
                    _ = look.tick() => registry.were_faces_touched(&mut seen),
                };
                if is_changed {
                    // What was written here is looked at once more: an edit may have come right after it.
                    registry.rest(COLLECT).await;
                    let began = Instant::now();
                    registry.sync_catalog_files().await;
                    registry.rest(began.elapsed() * 4).await;
                }
            }
        });
    }

    /// Brings files and database together once; what fails is told by the health.
    pub(in crate::service) async fn sync_catalog_files(&self) {
        let _turn = self.inner.face_turn.lock().await;
        for catalog in CatalogName::ALL {
            let outcome = self.sync_catalog_file(catalog).await;
            self.note_trouble(catalog, outcome.as_ref().err());
        }
    }

    fn note_trouble(&self, catalog: CatalogName, error: Option<&Error>) {
        let trouble = error.map(|error| format!("`{catalog}.json`: {error}"));
        let is_news = self.inner.health.set(format!("catalog_file_{catalog}"), trouble);
        if let Some(error) = error.filter(|_| is_news) {
            tracing::error!(%catalog, error = error as &dyn std::error::Error, "the catalog file cannot be kept");
        }
    }

    async fn sync_catalog_file(&self, catalog: CatalogName) -> Result<()> {
        let face = self.read_face(catalog).await?;
        let is_understood = self.take_over(catalog, face.as_ref()).await?;
        let head = self.library().catalog(catalog).head.clone();
        let is_same = head.face_sha256.as_deref() == face.as_ref().map(|face| face.sha256.as_str());
        let is_behind = head.version != head.face_version || (is_understood && !is_same);
        if head.version == 0 || !is_behind {
            return Ok(());
        }
        let stamp = face.as_ref().and_then(|face| face.stamp);
        if let Some(face) = face.filter(|_| !is_understood) {
            self.keep_aside(catalog, face.bytes).await?;
        }
        self.write_face(catalog, stamp).await
    }

    /// Takes over an edit, if the face is one. Answers whether the face is understood; one that is not stays as it is.
    async fn take_over(&self, catalog: CatalogName, face: Option<&Face>) -> Result<bool> {
        let Some(face) = face else { return Ok(true) };
        let health = format!("catalog_edit_{catalog}");
        if self.is_own_face(catalog, &face.sha256) {
            self.inner.health.set(health, None);
            return Ok(true);
        }
        let bytes = face.bytes.clone();
        match self.blocking("reading the catalog file", move || catalog_file::read(&bytes)).await? {
            Ok(file) => {
                self.take_edit(catalog, face, file).await?;
                self.inner.health.set(health, None);
                Ok(true)
            }
            Err(invalid) => {
                let trouble = format!("`{catalog}.json` was edited but {}", invalid.message);
                if self.inner.health.set(health, Some(trouble)) {
                    tracing::warn!(%catalog, field = %invalid.field, "{}; the last good state is kept", invalid.message);
                }
                Ok(false)
            }
        }
    }

    fn is_own_face(&self, catalog: CatalogName, sha256: &str) -> bool {
        let library = self.library();
        let known = library.catalog(catalog).head.face_sha256.as_deref().unwrap_or_default();
        known.split(' ').any(|known| known == sha256)
    }

    async fn take_edit(&self, catalog: CatalogName, face: &Face, file: CatalogFile) -> Result<()> {
        let turn = self.catalog_turn().await;
        let now = self.inner.clock.now();
        let head = self.next_head(catalog);
        let Edit { mut change, faults, removed, is_faithful } =
            plan_edit(&self.library(), catalog, head, file, || EntryId::new(now));
        if !faults.is_empty() {
            self.report_left_out(catalog, face, &faults).await?;
        }
        if is_faithful {
            (change.head.face_version, change.head.face_sha256) =
                (change.head.version, Some(face.sha256.clone()));
        }
        let (added_or_changed, gone) = (change.entries.len(), change.removed.len());
        self.commit(turn, vec![change]).await?;
        tracing::info!(%catalog, added_or_changed, removed = gone, "took over an edited catalog file");
        for path in removed.iter().filter(|path| self.library().entries_at(path).is_empty()) {
            self.cancel_jobs_at(path).await?;
        }
        Ok(())
    }

    /// Entries of an edited file that cannot be used are logged, and the file is kept, since the next one is without.
    async fn report_left_out(&self, catalog: CatalogName, face: &Face, faults: &[ImportFault]) -> Result<()> {
        for fault in faults.iter().take(MAX_LOGGED_FAULTS) {
            tracing::warn!(%catalog, index = fault.index, file = %fault.file, field = %fault.field,
                "an entry of the edited catalog file is left out: {}", fault.message);
        }
        self.keep_aside(catalog, face.bytes.clone()).await
    }

    /// Keeps bytes that are about to be replaced.
    async fn keep_aside(&self, catalog: CatalogName, bytes: Vec<u8>) -> Result<()> {
        let path = self.face_path(catalog);
        let suffix = format!("rejected-{}", self.inner.clock.now().format("%Y%m%d-%H%M%S"));
        let kept =
            self.blocking("keeping the catalog file", move || keep_copy(&path, &bytes, &suffix)).await?;
        let kept = kept.map_err(|error| self.face_error(catalog, "copied", error))?;
        tracing::warn!(%catalog, "the edited catalog file could not be used whole; it is kept as `{}`", kept.display());
        Ok(())
    }

    /// Writes the face, unless the file was touched since it was read; then the next look reads it first.
    async fn write_face(&self, catalog: CatalogName, read: Option<FaceStamp>) -> Result<()> {
        let state = self.library().catalog(catalog).clone();
        let version = state.head.version;
        let bytes = self.blocking("writing the catalog file", move || state.to_file()).await?;
        let sha256 = Sha256::of(&bytes).to_string();
        let old = self.library().catalog(catalog).head.face_sha256.clone().unwrap_or_default();
        let old = old.split(' ').next().unwrap_or_default();
        self.remember_face(catalog, None, format!("{old} {sha256}")).await?;
        self.fault("face_remembered")?;
        let path = self.face_path(catalog);
        let write = move || replace_file(&path, &bytes, || stamp_of(&path) == read);
        let outcome = self.blocking("writing the catalog file", write).await?;
        if outcome.map_err(|error| self.face_error(catalog, "written", error))? {
            self.fault("face_replaced")?;
            self.remember_face(catalog, Some(version), sha256).await?;
        }
        Ok(())
    }

    async fn remember_face(&self, catalog: CatalogName, version: Option<i64>, sha256: String) -> Result<()> {
        let _turn = self.catalog_turn().await;
        let version = version.unwrap_or(self.library().catalog(catalog).head.face_version);
        self.inner.store.save_face(catalog, version, &sha256).await?;
        self.library_mut().set_face(catalog, version, sha256);
        Ok(())
    }

    /// The file once it is at rest; `None` when there is none. One that nobody edited is hashed and not held.
    async fn read_face(&self, catalog: CatalogName) -> Result<Option<Face>> {
        let path = self.face_path(catalog);
        let mut stamp = stamp_of(&path);
        let own = path.clone();
        match self.blocking("hashing the catalog file", move || hash_of(&own)).await? {
            Ok(sha256) if self.is_own_face(catalog, &sha256) => {
                return Ok(Some(Face { bytes: Vec::new(), sha256, stamp }));
            }
            // Reading it whole says what is wrong.
            Ok(_) | Err(_) => {}
        }
        let read = || tokio::fs::read(&path);
        let mut bytes = match read().await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.face_error(catalog, "read", error)),
        };
        if !is_finished(&bytes) {
            tokio::time::sleep(SETTLE).await;
            stamp = stamp_of(&path);
            bytes = read().await.map_err(|error| self.face_error(catalog, "read", error))?;
        }
        Ok(Some(Face { sha256: Sha256::of(&bytes).to_string(), bytes, stamp }))
    }

    /// Whether a file differs from the last look.
    fn were_faces_touched(&self, seen: &mut [Option<FaceStamp>; 2]) -> bool {
        let now = CatalogName::ALL.map(|catalog| stamp_of(&self.face_path(catalog)));
        std::mem::replace(seen, now) != now
    }

    fn face_path(&self, catalog: CatalogName) -> PathBuf {
        self.inner.config.data_dir.join("catalogs").join(format!("{catalog}.json"))
    }

    fn face_error(&self, catalog: CatalogName, what: &str, error: io::Error) -> Error {
        let path = self.face_path(catalog);
        crate::files::io_error(&format!("the catalog file `{}` cannot be {what}", path.display()), error)
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let sha256 = digest::sha256(&file, size, |_| (), &AtomicBool::new(false)).map_err(io::Error::other)?;
    Ok(sha256.to_string())
}

/// One `stat`, which is quick enough to do in place.
fn stamp_of(path: &Path) -> Option<FaceStamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Whether the text ends as an object or an array does.
fn is_finished(bytes: &[u8]) -> bool {
    let last = bytes.iter().rev().find(|byte| !byte.is_ascii_whitespace());
    matches!(last, Some(b'}' | b']'))
}

#[cfg(test)]
mod tests;
