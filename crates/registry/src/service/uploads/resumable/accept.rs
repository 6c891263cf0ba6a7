//! What becomes of an upload in pieces: judged and placed when it is whole, forgotten when nothing happens to it, taken
//! up again after a kill.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use sha2::Digest;

use super::{ENDING, Hashed, KEPT, ResumableUpload, Turn};
use crate::domain::{QuarantineId, Sha256, UploadId};
use crate::error::{Error, Result};
use crate::files::{io_error, remove_file};
use crate::service::Registry;
use crate::service::uploads::part::{Part, Received};
use crate::store::{ResumableFilter, ResumableState, StoredFailure, StoredResumable};

/// How often forgotten uploads are looked for.
const SWEEP: Duration = Duration::from_mins(10);
/// Uploads that one look takes.
const BATCH: u32 = 10_000;

impl Registry {
    /// Judges a whole upload and ends it. What could not be decided (a full disk, a failing database) leaves it as it is:
    /// the next empty piece, or the next start, tries again.
    pub(super) async fn accept_resumable(
        &self,
        upload: StoredResumable,
        mut turn: Turn,
    ) -> Result<ResumableUpload> {
        let received = self.received_resumable(&upload, &mut turn).await?;
        let by = upload.owner.clone().unwrap_or_else(|| "admin".to_owned());
        let refused = match self.accept_upload(upload.id, received, &upload.details, &by).await {
            Ok(_) => None,
            Err(error) => match refusal(&error) {
                Some(failure) => Some((failure, error)),
                None => return Err(error),
            },
        };
        self.fault("resumable_accepted")?;
        let (failure, error) = refused.unzip();
        let ended = self.settle_resumable(upload, failure).await?;
        drop(turn);
        match error {
            None => self.shown_resumable(ended).await,
            Some(error) => Err(error),
        }
    }

    /// Ends the row and removes what is left of the part.
    async fn settle_resumable(
        &self,
        upload: StoredResumable,
        failure: Option<StoredFailure>,
    ) -> Result<StoredResumable> {
        let expires_at = self.now() + KEPT;
        self.inner.store.end_resumable(upload.id, expires_at, failure.as_ref()).await?;
        self.remove_resumable_part(upload.id).await?;
        self.inner.open_uploads.forget(upload.id);
        let state = failure.map_or(ResumableState::Done, ResumableState::Failed);
        Ok(StoredResumable { state, expires_at, ..upload })
    }

    /// The whole content with its hash; what was not hashed while it came is read now.
    async fn received_resumable(&self, upload: &StoredResumable, turn: &mut Turn) -> Result<Received> {
        let (path, size_bytes) = (self.resumable_part(upload.id), upload.length_bytes);
        let hashed = turn.clone();
        let read = self
            .blocking("hashing an upload", move || {
                let file = File::open(&path)?;
                let length = file.metadata()?.len();
                if length != size_bytes {
                    return Err(io::Error::other(format!("it holds {length} bytes of {size_bytes}")));
                }
                let hashed = hash_rest(&file, hashed, size_bytes)?;
                Ok((Part::staying(path), file, hashed))
            })
            .await?;
        let (part, file, hashed) =
            read.map_err(|error| io_error("the part of the upload cannot be read", error))?;
        **turn = hashed.clone();
        let sha256 = Sha256::from_bytes(hashed.hasher.finalize().into());
        Ok(Received { part, file, size_bytes, sha256 })
    }

    /// Part of `open`, after uploads that were cut off: ends those whose file is in its place or in quarantine, and
    /// removes parts that no row knows.
    pub(in crate::service) async fn open_resumable(&self) -> Result<()> {
        let open = self.inner.store.list_resumable(ResumableFilter::Open, BATCH).await?;
        let known: HashSet<UploadId> = open.iter().map(|upload| upload.id).collect();
        let parts = self.parts_folder();
        self.blocking("looking at parts of uploads", move || remove_unknown(&parts, &known)).await?;
        for upload in open.into_iter().filter(|upload| upload.offset_bytes == upload.length_bytes) {
            if self.inner.store.find_done_upload(upload.id).await?.is_some() {
                self.settle_resumable(upload, None).await?;
            } else if let Some(failure) = self.quarantine_failure(upload.id).await? {
                self.settle_resumable(upload, Some(failure)).await?;
            }
        }
        Ok(())
    }

    /// Why that upload is in quarantine, when it is.
    async fn quarantine_failure(&self, id: UploadId) -> Result<Option<StoredFailure>> {
        if !self.quarantine_path(id.0).exists() {
            return Ok(None);
        }
        let row = self.inner.store.find_quarantined_by_id(QuarantineId(id.0)).await?;
        Ok(row.map(|row| StoredFailure {
            code: "quarantined".to_owned(),
            text: row.reason,
            sha256: Some(row.sha256.to_string()),
        }))
    }

    /// Judges what is whole already, and forgets from time to time what nobody continued.
    pub(in crate::service) fn start_uploads(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            registry.accept_whole().await;
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    () = registry.inner.stopping.cancelled() => return,
                    _ = tick.tick() => {}
                }
                if let Err(error) = registry.forget_expired().await {
                    tracing::error!(error = &error as &dyn std::error::Error, "old uploads were not removed");
                }
            }
        });
    }

    /// Uploads that were whole when the process was killed.
    pub(super) async fn accept_whole(&self) {
        let open = self.inner.store.list_resumable(ResumableFilter::Open, BATCH).await;
        let open =
            open.inspect_err(|error| tracing::error!(%error, "uploads cannot be read")).unwrap_or_default();
        for upload in open.into_iter().filter(|upload| upload.offset_bytes == upload.length_bytes) {
            if self.inner.stopping.is_cancelled() {
                return;
            }
            let id = upload.id;
            match self.accept_again(id).await {
                Ok(()) => tracing::info!(upload.id = %id, "an upload that was cut off is finished"),
                Err(error) => {
                    tracing::warn!(upload.id = %id, %error, "an upload that was cut off is not finished");
                }
            }
        }
    }

    async fn accept_again(&self, id: UploadId) -> Result<()> {
        let Some(turn) = self.resumable_turn(id).await else { return Ok(()) };
        // A client may have been faster.
        let upload = self.load_resumable(id, None).await?;
        if upload.state == ResumableState::Receiving {
            self.accept_resumable(upload, turn).await?;
        }
        Ok(())
    }

    /// Removes uploads that expired, and the memory of those that are over.
    pub(in crate::service) async fn forget_expired(&self) -> Result<()> {
        let expired = self.inner.store.list_resumable(ResumableFilter::ExpiredAt(self.now()), BATCH).await?;
        for upload in expired {
            let Some(_turn) = self.resumable_turn(upload.id).await else { continue };
            self.forget_resumable(upload.id).await?;
            if upload.state == ResumableState::Receiving {
                tracing::info!(
                    upload.id = %upload.id, file = upload.details.file_name, offset_bytes = upload.offset_bytes,
                    "an upload that nobody continued is removed"
                );
            }
        }
        Ok(())
    }
}

/// What of an error ends an upload; `None` when it may work another time.
fn refusal(error: &Error) -> Option<StoredFailure> {
    let sha256 = match error {
        Error::Quarantined { sha256, .. } => Some(sha256.clone()),
        Error::Invalid(_) | Error::Conflict { code: "exists", .. } => None,
        _ => return None,
    };
    Some(StoredFailure { code: error.code().to_owned(), text: error.to_string(), sha256 })
}

fn hash_rest(file: &File, mut hashed: Hashed, size_bytes: u64) -> io::Result<Hashed> {
    let mut block = vec![0; 1 << 20];
    while hashed.bytes < size_bytes {
        let count = (size_bytes - hashed.bytes).min(block.len() as u64) as usize;
        file.read_exact_at(&mut block[..count], hashed.bytes)?;
        hashed.hasher.update(&block[..count]);
        hashed.bytes += count as u64;
    }
    Ok(hashed)
}

fn remove_unknown(parts: &Path, known: &HashSet<UploadId>) {
    for item in fs::read_dir(parts).into_iter().flatten().flatten() {
        let file = item.path();
        let Some(id) = id_of(&file) else { continue };
        if known.contains(&id) {
            continue;
        }
        match remove_file(&file) {
            Ok(()) => tracing::info!(file = %file.display(), "removed the part of an upload that is over"),
            Err(error) => tracing::warn!(file = %file.display(), %error, "the part of an upload stays"),
        }
    }
}

fn id_of(file: &Path) -> Option<UploadId> {
    let is_ours = file.extension().is_some_and(|ending| ending == ENDING);
    is_ours.then(|| file.file_stem()?.to_str()?.parse().ok()).flatten()
}
