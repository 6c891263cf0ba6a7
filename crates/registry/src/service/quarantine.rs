//! Files that may not be loaded: list them, release one by its hash, remove them.

use std::fs::File;

use chrono::{DateTime, Utc};
use lorakeep_transfer::{Replace, TransferError, publish_open};
use lorakeep_weights::digest;

use super::uploads::{Judged, transfer_error};
use super::{Page, PageRequest, Purged, Registry, bad_cursor};
use crate::domain::{Caller, DownloadId, EntryDocument, FileFact, ModelPath, QuarantineId, Sha256, UploadId};
use crate::error::{Error, Result, Thing};
use crate::files::{io_error, remove_file, stamp_at};
use crate::store::StoredQuarantined;

/// What brought a quarantined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineSource {
    /// A download.
    Download,
    /// An upload.
    Upload,
}

/// One file that may not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedFile {
    /// The id of the download or upload that brought it.
    pub id: QuarantineId,
    /// Which of the two.
    pub source: QuarantineSource,
    /// Where it would have gone.
    pub path: ModelPath,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256, by which it is released.
    pub sha256: Sha256,
    /// The rule that it broke, one word with underscores.
    pub rule: Option<String>,
    /// The same for people.
    pub reason: String,
    /// When.
    pub quarantined_at: DateTime<Utc>,
}

impl QuarantineSource {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

impl Registry {
    /// Quarantined files, newest first.
    pub async fn list_quarantine(&self, page: PageRequest) -> Result<Page<QuarantinedFile>> {
        let after =
            page.cursor.as_deref().map(|cursor| cursor_place(cursor).ok_or_else(bad_cursor)).transpose()?;
        let limit = page.rows();
        let mut files = self.inner.store.list_quarantine(after, limit + 1).await?;
        let is_last = files.len() <= limit as usize;
        files.truncate(limit as usize);
        let total = self.inner.store.count_quarantine().await?;
        let last = files.last().filter(|_| !is_last);
        let next_cursor = last.map(|file| format!("{}-{}", file.quarantined_at.timestamp_micros(), file.id));
        Ok(Page { items: files.into_iter().map(shown).collect(), next_cursor, total })
    }

    /// Puts the newest file of that content where it was to go, although it was denied; answers where it is.
    ///
    /// The content is hashed again, so that what is released is what was looked at. Only for the admin; logged.
    pub async fn release_quarantined(&self, sha256: Sha256, caller: &Caller) -> Result<ModelPath> {
        caller.require_admin()?;
        let file = self.quarantined(sha256).await?.remove(0);
        let (registry, by) = (self.clone(), caller.clone());
        self.uninterrupted(async move { registry.release(file, &by).await }).await
    }

    async fn release(&self, file: StoredQuarantined, caller: &Caller) -> Result<ModelPath> {
        let StoredQuarantined { id, sha256, .. } = file;
        let at = self.quarantine_path(id.0);
        let open = self.blocking("reading a quarantined file", move || opened(&at, sha256)).await??;
        let reason = file.reason.clone();
        let path = match &file.entity_type {
            Some(entity_type) if file.is_upload => {
                let judged = Judged {
                    id: UploadId(id.0),
                    part: self.quarantine_path(id.0),
                    file: open,
                    size_bytes: file.size_bytes,
                    sha256,
                    name: file.path.file.clone(),
                    entity_type: entity_type.clone(),
                    is_versioned: true,
                    document: EntryDocument::default(),
                };
                self.place_upload(judged, caller.name()).await?.path
            }
            _ => self.release_download(&file, open).await?,
        };
        self.inner.store.delete_quarantined(id).await?;
        tracing::warn!(%sha256, file = %path, reason, by = caller.name(), "a quarantined file was released");
        Ok(path)
    }

    /// The file of a download goes to its place; the job is over.
    async fn release_download(&self, file: &StoredQuarantined, open: File) -> Result<ModelPath> {
        let (at, path) = (self.quarantine_path(file.id.0), file.path.clone());
        let to = path.below(&self.inner.config.models_dir);
        self.require_changeable(&path).await?;
        let stamp = self
            .blocking("publishing a quarantined file", move || {
                publish_open(open, &at, &to, Replace::Never).map(|()| stamp_at(&to))
            })
            .await?;
        let stamp = stamp.map_err(|error| match error {
            TransferError::Exists(_) => {
                Error::conflict("exists", format!("`{path}` is there already; delete or move it first"))
            }
            other => transfer_error("releasing a quarantined file", other),
        })?;
        if let Some(stamp) = stamp {
            let fact = FileFact::hashed(stamp, file.sha256, None, self.inner.clock.now());
            self.library_mut().set_file(path.clone(), Some(fact));
            self.inner.files_changed.notify_one();
        }
        match self.cancel_download(DownloadId(file.id.0)).await {
            // The job may have been forgotten or be over already; the file is in its place either way.
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => Ok(path),
            Err(error) => Err(error),
        }
    }

    /// Removes every quarantined file of that content for good.
    pub async fn delete_quarantined(&self, sha256: Sha256) -> Result<Purged> {
        let files = self.quarantined(sha256).await?;
        let mut purged = Purged::default();
        for file in files {
            let at = self.quarantine_path(file.id.0);
            let removed = self.blocking("removing a quarantined file", move || remove_file(&at)).await?;
            removed.map_err(|error| io_error("a quarantined file cannot be removed", error))?;
            self.inner.store.delete_quarantined(file.id).await?;
            purged = Purged { items: purged.items + 1, bytes: purged.bytes + file.size_bytes };
        }
        Ok(purged)
    }

    async fn quarantined(&self, sha256: Sha256) -> Result<Vec<StoredQuarantined>> {
        let files = self.inner.store.find_quarantined(sha256).await?;
        if files.is_empty() {
            return Err(Error::not_found(Thing::Quarantined, sha256.to_string()));
        }
        Ok(files)
    }
}

/// The file at that path when it is still the content that was denied.
fn opened(path: &std::path::Path, sha256: Sha256) -> Result<File> {
    let gone = |error| io_error("the quarantined file cannot be read", error);
    let file = File::open(path).map_err(gone)?;
    let size = file.metadata().map_err(gone)?.len();
    let never = std::sync::atomic::AtomicBool::new(false);
    let found = digest::sha256(&file, size, |_| {}, &never)
        .map_err(|error| Error::internal("hashing a quarantined file", error))?;
    if found == sha256 {
        return Ok(file);
    }
    let message = format!("the file in quarantine is not `{sha256}` any more; it was left alone");
    Err(Error::conflict("changed", message))
}

fn shown(file: StoredQuarantined) -> QuarantinedFile {
    let source = if file.is_upload { QuarantineSource::Upload } else { QuarantineSource::Download };
    QuarantinedFile {
        id: file.id,
        source,
        path: file.path,
        size_bytes: file.size_bytes,
        sha256: file.sha256,
        rule: file.rule,
        reason: file.reason,
        quarantined_at: file.quarantined_at,
    }
}

fn cursor_place(cursor: &str) -> Option<(DateTime<Utc>, QuarantineId)> {
    let (micros, id) = cursor.split_once('-')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}
