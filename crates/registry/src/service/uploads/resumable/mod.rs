//! Uploads in pieces: begun, continued over as many connections as it takes, judged like any other when they are whole.
//!
//! The row says how many bytes are on the disk for good; only those were ever acknowledged. What the part holds beyond
//! was never, and is cut off before anything is written behind it. One writer an upload.

mod accept;
mod append;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::Digest;
use tokio::sync::OwnedMutexGuard;

use super::place::{taken, versioned};
use super::{Uploaded, empty_file, entity_type, folder_of, judged_name, part};
use crate::domain::{Caller, CallerKind, ModelPath, Right, UploadDetails, UploadId};
use crate::error::{Error, Result, Thing};
use crate::files::{io_error, remove_file};
use crate::service::{Page, Registry};
use crate::store::{ResumableFilter, ResumableState, StoredFailure, StoredResumable};

pub use append::{Append, Checksum};

/// How long an upload waits for its next piece, and how long what became of it can be asked.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// Uploads that one caller may have begun and not ended.
const OPEN_AT_ONCE: usize = 1000;
/// How long the next writer waits for one that is leaving.
const GRACE: Duration = Duration::from_secs(1);
/// The ending of a part; no loader opens it, and no start removes it while its row is there.
const ENDING: &str = "resumable";

/// What a new upload in pieces says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResumable {
    /// Name and type.
    pub details: UploadDetails,
    /// Length of the whole in bytes.
    pub length_bytes: u64,
    /// The same as the client wrote it, to be answered as it was.
    pub metadata: String,
}

/// An upload in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumableUpload {
    /// Its id.
    pub id: UploadId,
    /// Where it stands.
    pub status: ResumableStatus,
    /// What it says of itself.
    pub details: UploadDetails,
    /// The same as the client wrote it.
    pub metadata: String,
    /// Length of the whole in bytes.
    pub length_bytes: u64,
    /// Bytes that are on the disk for good.
    pub offset_bytes: u64,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it is forgotten unless something happens.
    pub expires_at: DateTime<Utc>,
}

/// Where an upload in pieces stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumableStatus {
    /// Bytes are missing.
    Receiving,
    /// All bytes are here; they are being judged.
    Accepting,
    /// It is in its place.
    Done(Box<Uploaded>),
    /// It was refused.
    Failed {
        /// Stable word.
        code: String,
        /// Why, for people.
        message: String,
        /// Of the content, when it is in quarantine.
        sha256: Option<String>,
    },
}

/// What is kept in memory of uploads that somebody works on: their turns, and how far their bytes are hashed.
#[derive(Debug, Default)]
pub(crate) struct OpenUploads(Mutex<HashMap<UploadId, Arc<tokio::sync::Mutex<Hashed>>>>);

/// How far the bytes of an upload are hashed; a restart begins anew, and the rest is read from the part.
#[derive(Debug, Clone)]
struct Hashed {
    hasher: sha2::Sha256,
    bytes: u64,
}

/// The right to change one upload.
type Turn = OwnedMutexGuard<Hashed>;

impl Default for Hashed {
    fn default() -> Self {
        Self { hasher: sha2::Sha256::new(), bytes: 0 }
    }
}

impl OpenUploads {
    fn of(&self, id: UploadId) -> Arc<tokio::sync::Mutex<Hashed>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(id).or_default())
    }

    fn forget(&self, id: UploadId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Registry {
    /// Begins an upload in pieces; what is said of it is judged now, its content when it is whole.
    ///
    /// `Unavailable` (`disk_full`) when the disk has no room for all of it.
    pub async fn begin_resumable(&self, new: NewResumable, caller: &Caller) -> Result<ResumableUpload> {
        self.check_upload(&new.details)?;
        if new.length_bytes == 0 {
            return Err(empty_file());
        }
        let limit = self.settings().max_upload_bytes;
        if new.length_bytes > limit {
            return Err(part::too_large(limit));
        }
        self.refuse_taken(&new.details)?;
        let owner = owner_of(caller);
        let open = self.inner.store.list_resumable(ResumableFilter::Of(owner), OPEN_AT_ONCE as u32).await?;
        if open.iter().filter(|upload| upload.state == ResumableState::Receiving).count() >= OPEN_AT_ONCE {
            let message = format!("{OPEN_AT_ONCE} uploads are open already; end some of them first");
            return Err(Error::Busy { message, retry_after_seconds: Some(60) });
        }
        self.require_space(new.length_bytes).await?;
        let now = self.now();
        let upload = StoredResumable {
            id: UploadId::new(now),
            state: ResumableState::Receiving,
            details: new.details,
            metadata: new.metadata,
            length_bytes: new.length_bytes,
            offset_bytes: 0,
            owner: owner.map(str::to_owned),
            created_at: now,
            expires_at: now + KEPT,
        };
        self.inner.store.insert_resumable(&upload).await?;
        tracing::info!(
            upload.id = %upload.id, file = upload.details.file_name, size_bytes = upload.length_bytes,
            by = caller.name(), "an upload in pieces began"
        );
        self.shown_resumable(upload).await
    }

    /// A name that is taken and may not get a version is refused before its bytes are sent.
    fn refuse_taken(&self, details: &UploadDetails) -> Result<()> {
        if details.use_safe_filename {
            return Ok(());
        }
        let folder = folder_of(&entity_type(details)?)?;
        let name = judged_name(&details.file_name)?;
        let path = ModelPath { folder, file: versioned(&name, 1)? };
        if self.is_taken(&path) { Err(taken(&name)) } else { Ok(()) }
    }

    /// One of the caller's uploads in pieces; an admin sees everybody's.
    pub async fn find_resumable(&self, id: UploadId, caller: &Caller) -> Result<ResumableUpload> {
        // Whoever writes may be leaving: its last bytes count then.
        drop(self.resumable_turn(id).await);
        let upload = self.load_resumable(id, Some(caller)).await?;
        if upload.state != ResumableState::Receiving {
            self.inner.open_uploads.forget(id);
        }
        self.shown_resumable(upload).await
    }

    /// The caller's uploads in pieces, newest first; everybody's for an admin.
    pub async fn list_resumable(&self, caller: &Caller) -> Result<Page<ResumableUpload>> {
        let owner = if sees_all(caller) { None } else { owner_of(caller) };
        let rows = self.inner.store.list_resumable(ResumableFilter::Of(owner), OPEN_AT_ONCE as u32).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            items.push(self.shown_resumable(row).await?);
        }
        Ok(Page { total: items.len() as u64, items, next_cursor: None })
    }

    /// Ends an upload in pieces and removes what came of it. What is in its place already stays there.
    pub async fn end_resumable(&self, id: UploadId, caller: &Caller) -> Result<()> {
        self.load_resumable(id, Some(caller)).await?;
        let turn = self.resumable_turn(id).await.ok_or_else(locked)?;
        let registry = self.clone();
        self.uninterrupted(async move {
            registry.forget_resumable(id).await?;
            drop(turn);
            Ok(())
        })
        .await
    }

    /// Row and part go; the caller holds the turn.
    async fn forget_resumable(&self, id: UploadId) -> Result<()> {
        self.inner.store.delete_resumable(id).await?;
        self.remove_resumable_part(id).await?;
        self.inner.open_uploads.forget(id);
        Ok(())
    }

    async fn remove_resumable_part(&self, id: UploadId) -> Result<()> {
        let part = self.resumable_part(id);
        let removed = self.blocking("removing the part of an upload", move || remove_file(&part)).await?;
        removed.map_err(|error| io_error("the part of an upload cannot be removed", error))
    }

    /// The turn of that upload; `None` while somebody else works on it.
    async fn resumable_turn(&self, id: UploadId) -> Option<Turn> {
        let turn = self.inner.open_uploads.of(id);
        tokio::time::timeout(GRACE, turn.lock_owned()).await.ok()
    }

    /// The row, when the caller may know of it.
    async fn load_resumable(&self, id: UploadId, caller: Option<&Caller>) -> Result<StoredResumable> {
        let not_found = || Error::not_found(Thing::Upload, id.to_string());
        let Some(upload) = self.inner.store.list_resumable(ResumableFilter::Id(id), 1).await?.pop() else {
            self.inner.open_uploads.forget(id);
            return Err(not_found());
        };
        let is_visible =
            caller.is_none_or(|caller| sees_all(caller) || upload.owner.as_deref() == owner_of(caller));
        if is_visible { Ok(upload) } else { Err(not_found()) }
    }

    fn resumable_part(&self, id: UploadId) -> PathBuf {
        self.parts_folder().join(format!("{id}.{ENDING}"))
    }

    async fn shown_resumable(&self, upload: StoredResumable) -> Result<ResumableUpload> {
        let status = match upload.state {
            ResumableState::Receiving if upload.offset_bytes < upload.length_bytes => {
                ResumableStatus::Receiving
            }
            ResumableState::Receiving => ResumableStatus::Accepting,
            ResumableState::Done => match self.inner.store.find_done_upload(upload.id).await? {
                Some(done) => ResumableStatus::Done(Box::new(self.uploaded(done))),
                None => return Err(Error::not_found(Thing::Upload, upload.id.to_string())),
            },
            ResumableState::Failed(StoredFailure { code, text, sha256 }) => {
                ResumableStatus::Failed { code, message: text, sha256 }
            }
        };
        Ok(ResumableUpload {
            id: upload.id,
            status,
            details: upload.details,
            metadata: upload.metadata,
            length_bytes: upload.length_bytes,
            offset_bytes: upload.offset_bytes,
            created_at: upload.created_at,
            expires_at: upload.expires_at,
        })
    }
}

/// Whose upload it is: a token's subject, or nobody's but the admin's.
fn owner_of(caller: &Caller) -> Option<&str> {
    match &caller.kind {
        CallerKind::Token(token) => Some(&token.subject),
        CallerKind::Admin | CallerKind::Team(_) | CallerKind::Anonymous => None,
    }
}

fn sees_all(caller: &Caller) -> bool {
    caller.require(Right::AdminUpload).is_ok()
}

fn locked() -> Error {
    Error::conflict("upload_locked", "another request is writing to this upload; try again when it has ended")
}

#[cfg(test)]
mod tests;
