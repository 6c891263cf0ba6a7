//! The clone of a catalog repository that `sync` reads: copied once, so that the next sync works as it did.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::report::RepositoryFinding;
use super::run::Run;
use crate::error::Result;

/// Folders of a clone that are entered, at most; a clone has a few hundred.
const MAX_DEPTH: usize = 64;

impl Run {
    /// Copies the clone, when there is none here.
    pub(super) async fn repository(&mut self) -> Result<()> {
        let Some(source) = self.folder.repository.clone() else { return Ok(()) };
        let target = self.registry.inner.config.data_dir.join(".repo");
        let look = source.clone();
        let found = self.registry.blocking("looking at a repository", move || found(&look)).await?;
        let mut finding =
            RepositoryFinding { path: source.display().to_string(), ..RepositoryFinding::default() };
        match found {
            Ok(files) => {
                self.begin("repository", files.len() as u64);
                finding.files = files.len() as u64;
                finding.bytes = files.iter().map(|file| file.size_bytes).sum();
                finding.is_taken = !target.exists();
                if finding.is_taken && !self.request.is_dry {
                    self.copy(&source, &target, files).await?;
                }
            }
            Err(error) => self.report.warn(format!("`{}` cannot be read: {error}", source.display())),
        }
        self.report.repository = Some(finding);
        Ok(())
    }

    /// Copies beside the target and renames, so that half a clone is never seen.
    async fn copy(&mut self, source: &Path, target: &Path, files: Vec<Found>) -> Result<()> {
        let part = target.with_file_name(".repo.part");
        let (from, to, stop) = (source.to_owned(), target.to_owned(), self.stop.clone());
        let copied = self
            .registry
            .blocking("copying a repository", move || {
                copy_all(&from, &part, &files, &stop).and_then(|()| fs::rename(&part, &to))
            })
            .await?;
        if let Err(error) = copied
            && !self.stop.is_cancelled()
        {
            self.report.warn(format!("`{}` was not copied: {error}", source.display()));
        }
        Ok(())
    }
}

/// One file of the clone.
struct Found {
    relative: PathBuf,
    size_bytes: u64,
}

/// Every regular file; links are left out, since they may lead anywhere.
fn found(root: &Path) -> io::Result<Vec<Found>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(root.join(&folder))? {
            let item = item?;
            let (kind, relative) = (item.file_type()?, folder.join(item.file_name()));
            if kind.is_dir() && relative.components().count() < MAX_DEPTH {
                folders.push(relative);
            } else if kind.is_file() {
                files.push(Found { relative, size_bytes: item.metadata()?.len() });
            }
        }
    }
    Ok(files)
}

fn copy_all(source: &Path, part: &Path, files: &[Found], stop: &CancellationToken) -> io::Result<()> {
    match fs::remove_dir_all(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir(part)?;
    for file in files {
        if stop.is_cancelled() {
            return Err(io::Error::other("it was cancelled"));
        }
        let target = part.join(&file.relative);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(source.join(&file.relative), target)?;
    }
    Ok(())
}
