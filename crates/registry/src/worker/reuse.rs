//! Content that is on disk under another name is not fetched again: it is shared by reflink or hard link (decision 17).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use lorakeep_transfer::{Gate, Replace, TransferError, publish};
use lorakeep_weights::Sha256;

use super::attempt::Attempt;
use super::failure::Failure;
use super::gate::ContentGate;
use crate::domain::{DownloadState, FileFact, ModelPath, Verification};

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
        let (registry, id) = (&self.registry, self.stored.download.id);
        let original = twin.below(&registry.inner.config.models_dir);
        let part = registry.part_path(id).with_extension("shared");
        let shared = part.clone();
        blocking(move || link(&original, &shared)).await?;
        let gate = ContentGate {
            file_name: self.stored.download.path.file.to_string(),
            quarantine: registry.quarantine_path(id),
        };
        let published = self.publish_shared(&part, sha256, gate).await;
        if published.is_err() {
            let left = part.clone();
            blocking(move || remove(&left)).await?;
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
        self.fact(&self.destination(), Some(computed), Verification::Verified)
            .map_err(|failure| failure.message)
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

/// A reflink where the file system has them, else a hard link. Nothing of the original is ever written to: files are
/// replaced by renaming only.
fn link(original: &Path, part: &Path) -> io::Result<()> {
    if let Some(folder) = part.parent() {
        fs::create_dir_all(folder)?;
    }
    remove(part)?;
    // A link in the models folder may lead anywhere; only a regular file is shared.
    if !fs::symlink_metadata(original)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    reflink(original, part).or_else(|_| {
        remove(part)?;
        fs::hard_link(original, part)
    })
}

fn reflink(original: &Path, part: &Path) -> io::Result<()> {
    let source = File::open(original)?;
    let target = OpenOptions::new().write(true).create_new(true).open(part)?;
    rustix::fs::ioctl_ficlone(&target, &source)?;
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
