//! Content that is on disk under another name is not fetched again: it is shared by reflink or hard link (decision 17).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use lorakeep_transfer::{Gate, Replace, TransferError, publish};
use lorakeep_weights::Sha256;

use super::attempt::Attempt;
use super::failure::Failure;
use super::gate::ContentGate;
use crate::domain::{DownloadState, FileFact, ModelPath};
use crate::files::{remove_file, share_bytes};

impl Attempt {
    /// Publishes a copy that shares its bytes with a present file of that content. `None` when there is none, or when
    /// sharing fails for whatever reason: the bytes are fetched then.
    pub(super) async fn reuse(&self, sha256: Sha256) -> Result<Option<FileFact>, Failure> {
        if self.stored.download.force {
            return Ok(None);
        }
        for twin in self.twins(sha256) {
            if self.live.cancel.is_cancelled() {
                return Ok(None);
            }
            self.live.enter(DownloadState::Verifying);
            match self.share(&twin, sha256).await {
                Ok(fact) => {
                    tracing::info!(
                        download.id = %self.stored.download.id,
                        twin = %twin,
                        "the same content is on disk; its bytes are shared"
                    );
                    return Ok(Some(fact));
                }
                Err(reason) => {
                    tracing::warn!(download.id = %self.stored.download.id, twin = %twin, reason, "content is not shared");
                }
            }
        }
        self.live.enter(DownloadState::Downloading);
        Ok(None)
    }

    /// Present files that had this content when they were last hashed.
    fn twins(&self, sha256: Sha256) -> Vec<ModelPath> {
        let library = self.registry.library();
        let twins = library
            .files()
            .iter()
            .filter(|(path, fact)| fact.sha256 == Some(sha256) && **path != self.stored.download.path);
        twins.map(|(path, _)| path.clone()).take(3).collect()
    }

    async fn share(&self, twin: &ModelPath, sha256: Sha256) -> Result<FileFact, String> {
        let (registry, download) = (&self.registry, &self.stored.download);
        let original = twin.below(&registry.inner.config.models_dir);
        let part = registry.part_path(download).with_extension("shared");
        let shared = part.clone();
        blocking(move || share_bytes(&original, &shared)).await?;
        let gate = ContentGate {
            file_name: self.stored.download.path.file.to_string(),
            quarantine: registry.quarantine_path(download.id.0),
            broken_rule: Arc::default(),
        };
        let published = self.publish_shared(&part, sha256, gate).await;
        if published.is_err() {
            let left = part.clone();
            blocking(move || remove_file(&left)).await?;
        }
        published
    }

    /// Verifies what was linked, never what was remembered, and publishes it.
    async fn publish_shared(
        &self,
        part: &Path,
        sha256: Sha256,
        gate: ContentGate,
    ) -> Result<FileFact, String> {
        let computed = self.hash(part.to_owned()).await.map_err(|failure| failure.message)?;
        if computed != sha256 {
            return Err("its content has changed since it was hashed".to_owned());
        }
        let (part, destination) = (part.to_owned(), self.destination());
        blocking(move || {
            let file = File::open(&part)?;
            let size = file.metadata()?.len();
            match gate.admit(&file, size) {
                lorakeep_transfer::Admission::Publish => {}
                _ => return Err(io::Error::other("its content may not be loaded under this name")),
            }
            publish(&part, &destination, Replace::Never).map_err(publish_error)
        })
        .await?;
        self.fact(&self.destination(), Some(computed), Some(sha256)).map_err(|failure| failure.message)
    }
}

fn publish_error(error: TransferError) -> io::Error {
    io::Error::other(error)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| "it ended unexpectedly".to_owned())?;
    done.map_err(|error| error.to_string())
}
