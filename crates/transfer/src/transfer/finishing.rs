//! The end of an attempt: the last writes and the hash, then sync, gate and destination.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Arrived, Ended, Transfer, blocking};
use crate::error::TransferError;
use crate::observer::Event;
use crate::part::{Part, discard_on, folder_of, journal_path};
use crate::publish::{Publisher, Replace};
use crate::request::{Admission, Fetched, Outcome};
use crate::writer::Writer;

impl Transfer {
    /// Waits for the last writes and the hash.
    pub(super) async fn finish(&mut self, part: Part, writer: Writer) -> Result<Arrived, Ended> {
        self.observer.on_event(Event::Verifying);
        let halter = writer.halter();
        let finishing = writer.finish();
        tokio::pin!(finishing);
        let finished = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            finished = &mut finishing => Some(finished),
        };
        let Some(finished) = finished else {
            halter.halt();
            // What hangs in a slow disk's sync has nothing left that it could change.
            let _ = tokio::time::timeout(Duration::from_secs(1), finishing).await;
            return Err(TransferError::Cancelled.into());
        };
        let sha256 = finished.map_err(|error| self.explain(error))?;
        Ok(Arrived { part, sha256 })
    }

    /// Ends the writing side after a failure; its own error is the better explanation.
    pub(super) async fn wind_up(&self, writer: Writer, ended: Ended) -> Ended {
        match (writer.stop().await, ended) {
            (Err(error), Ended::WriterGone) => self.explain(error).into(),
            (Err(error), ended) => {
                tracing::warn!(part = %self.request.part.display(), %error, "the writer failed as well");
                ended
            }
            (Ok(()), ended) => ended,
        }
    }

    /// Fills in how much room is missing, which the failed write cannot know.
    fn explain(&self, error: TransferError) -> TransferError {
        match error {
            TransferError::DiskFull { path, needed: 0, .. } => {
                let disk = &self.shared.options.disk;
                let free = disk.free_space(folder_of(&path)).unwrap_or_default();
                TransferError::DiskFull { path, needed: self.shared.options.free_space_reserve, free }
            }
            error => error,
        }
    }

    /// Syncs, asks the gate, renames.
    pub(super) async fn publish(self, arrived: Arrived) -> Result<Fetched, TransferError> {
        let Arrived { part, sha256 } = arrived;
        let (disk, path) = (Arc::clone(&self.shared.options.disk), self.request.part.clone());
        let file = Arc::clone(&part.file);
        let publisher = blocking(move || Publisher::new(disk, file, &path)).await?;
        let size = publisher.size();
        if let Err(error) = self.cancellable(&publisher, Publisher::sync).await {
            // After a failed sync nobody knows what is on the disk, and the next one would lie.
            if !matches!(error, TransferError::Cancelled) {
                self.discard().await?;
            }
            return Err(error);
        }
        let gate = Arc::clone(&self.request.gate);
        let admission = self.cancellable(&publisher, move |publisher| Ok(publisher.admit(&*gate))).await?;
        let (path, outcome) = self.place(publisher, admission).await?;
        Ok(Fetched {
            path,
            size,
            sha256,
            verified: self.expected_hash() == Some(sha256),
            outcome,
            fetched_bytes: self.fetched_bytes,
            resumed_bytes: self.resumed_bytes,
            facts: self.facts,
            elapsed: self.began.elapsed(),
        })
    }

    /// Runs a step that changes nothing anybody sees, and leaves it behind when cancelled.
    async fn cancellable<T: Send + 'static>(
        &self,
        publisher: &Publisher,
        step: impl FnOnce(&Publisher) -> Result<T, TransferError> + Send + 'static,
    ) -> Result<T, TransferError> {
        let (publisher, guard) = (publisher.clone(), self.guard.clone());
        let stepping = blocking(move || {
            let result = step(&publisher);
            drop(guard);
            result
        });
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(TransferError::Cancelled),
            result = stepping => result,
        }
    }

    async fn place(
        &self,
        publisher: Publisher,
        admission: Admission,
    ) -> Result<(PathBuf, Outcome), TransferError> {
        if self.cancel.is_cancelled() {
            return Err(TransferError::Cancelled);
        }
        let disk = Arc::clone(&self.shared.options.disk);
        let journal = journal_path(&self.request.part);
        let destination = self.request.destination.clone();
        let replace = if self.request.replace { Replace::Yes } else { Replace::Never };
        let (part, guard) = (self.request.part.clone(), self.guard.clone());
        blocking(move || {
            let _guard = guard;
            let placed = match admission {
                Admission::Publish => {
                    publisher.publish(&destination, replace)?;
                    (destination, Outcome::Published)
                }
                Admission::Quarantine { to, reason } => {
                    publisher.quarantine(&to)?;
                    (to, Outcome::Quarantined { reason })
                }
                Admission::Refuse { reason } => {
                    discard_on(&*disk, &part)?;
                    return Err(TransferError::ContentRefused { reason });
                }
            };
            if let Err(error) = disk.remove(&journal) {
                tracing::warn!(path = %journal.display(), %error, "cannot remove a journal that is done with");
            }
            Ok(placed)
        })
        .await
    }
}
