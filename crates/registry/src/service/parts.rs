//! Where the bytes of a job gather, and what is removed of them: `<models>/.lorakeep/parts/<id>.part` with its journal,
//! and `<models>/.lorakeep/quarantine/<id>.quarantined`. Neither has a name that a loader picks up. Parts of what goes
//! into a linked folder gather in its own hidden folder, since that may be another disk.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use uuid::Uuid;

use super::Registry;
use crate::domain::{Download, DownloadId, DownloadState, ModelFolder, QuarantineId};
use crate::error::{Error, Result};

/// The part file's ending, its journal's, and that of a copy that shares another file's bytes.
const ENDINGS: [&str; 3] = ["part", "journal", "shared"];

impl Registry {
    /// The part file of a job, on the file system that its file goes to.
    pub(crate) fn part_path(&self, download: &Download) -> PathBuf {
        let home = self.inner.tree.home_of(download.path.folder.as_str());
        self.parts_of(&home).join(format!("{}.part", download.id))
    }

    /// Where a file is kept whose content may not be loaded; `id` is that of what brought it.
    pub(crate) fn quarantine_path(&self, id: Uuid) -> PathBuf {
        self.hidden_folder().join("quarantine").join(format!("{}.quarantined", id.simple()))
    }

    /// Where parts gather that go to the models root.
    pub(super) fn parts_folder(&self) -> PathBuf {
        self.parts_of(&ModelFolder::default())
    }

    fn parts_of(&self, home: &ModelFolder) -> PathBuf {
        self.inner.tree.hidden_folder(home).join("parts")
    }

    fn hidden_folder(&self) -> PathBuf {
        self.inner.tree.hidden_folder(&ModelFolder::default())
    }

    /// Bytes on disk that a job has already.
    pub(crate) async fn part_bytes(&self, download: &Download) -> u64 {
        // Blocks and not the length: a part may be as long as its file from the start.
        tokio::fs::metadata(self.part_path(download)).await.map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Removes what a job that is given up left behind.
    pub(crate) async fn remove_parts_of(&self, id: DownloadId) -> Result<()> {
        self.remove_part_files(id).await?;
        self.remove_quarantined_of(id).await
    }

    /// Removes part and journal, wherever they are.
    pub(crate) async fn remove_part_files(&self, id: DownloadId) -> Result<()> {
        for home in self.inner.tree.homes() {
            for ending in ENDINGS {
                remove(&self.parts_of(&home).join(format!("{id}.{ending}"))).await?;
            }
        }
        Ok(())
    }

    /// Removes the quarantined file of a job that starts anew.
    pub(crate) async fn remove_quarantined_of(&self, id: DownloadId) -> Result<()> {
        remove(&self.quarantine_path(id.0)).await?;
        self.inner.store.delete_quarantined(QuarantineId(id.0)).await
    }

    /// Removes parts that no job will use again. What cannot be removed now is tried at the next start.
    pub(crate) async fn remove_orphan_parts(&self) {
        for home in self.inner.tree.homes() {
            self.remove_orphans_in(&self.parts_of(&home)).await;
        }
    }

    async fn remove_orphans_in(&self, folder: &Path) {
        let Ok(mut folder) = tokio::fs::read_dir(folder).await else { return };
        loop {
            match folder.next_entry().await {
                Ok(Some(file)) => self.remove_if_orphan(&file.path()).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the folder of parts cannot be read to its end");
                    return;
                }
            }
        }
    }

    async fn remove_if_orphan(&self, file: &Path) {
        let Some(id) = id_of(file) else { return };
        // The row and not memory: on a shared models folder another node may be writing it.
        let is_wanted = match self.inner.store.load_download(id).await {
            Ok(Some(stored)) => {
                let state = stored.download.state;
                !state.is_ended() || state == DownloadState::Error
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(download.id = %id, %error, "whose part this is cannot be looked up; it stays");
                true
            }
        };
        if is_wanted {
            return;
        }
        match remove(file).await {
            Ok(()) => {
                tracing::info!(download.id = %id, file = %file.display(), "removed a part that belongs to no download");
            }
            Err(error) => tracing::warn!(download.id = %id, %error, "an orphaned part stays"),
        }
    }
}

/// The job that a part or journal belongs to; other files in the folder are not ours.
fn id_of(file: &Path) -> Option<DownloadId> {
    let ending = file.extension()?.to_str()?;
    ENDINGS.contains(&ending).then(|| DownloadId::from_str(file.file_stem()?.to_str()?).ok())?
}

/// Removes a file; one that is not there is fine.
async fn remove(file: &Path) -> Result<()> {
    match tokio::fs::remove_file(file).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::internal(format!("`{}` cannot be removed", file.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_parts_and_journals_are_recognised() {
        let id = "0197a8c0b4c77c9fa1d23c4d5e6f7a8b";
        assert!(id_of(Path::new(&format!("/x/{id}.part"))).is_some());
        assert!(id_of(Path::new(&format!("/x/{id}.journal"))).is_some());
        for other in ["/x/notes.txt", "/x/a.part", &format!("/x/{id}"), &format!("/x/{id}.safetensors")] {
            assert!(id_of(Path::new(other)).is_none(), "{other}");
        }
    }
}
