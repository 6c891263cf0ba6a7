//! The file under construction, with its journal: opened where an earlier run left it, or new.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, SystemDisk};
use crate::error::TransferError;
use crate::journal::{Journal, Loaded, Subject, fresh_path};
use crate::request::Expected;

/// A part file and what is known of its content. All methods block.
#[derive(Debug)]
pub(crate) struct Part {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    pub(crate) file: Arc<File>,
    /// What an earlier run left, if it can be believed.
    pub(crate) known: Option<Loaded>,
}

/// Where the journal of a part file lies.
pub(crate) fn journal_path(part: &Path) -> PathBuf {
    part.with_extension("journal")
}

impl Part {
    /// Opens `path` with what its journal says, when that agrees with `expected`; else starts anew.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        expected: &Expected,
    ) -> Result<Self, TransferError> {
        if let Some((file, known)) = Self::left_over(path, expected) {
            let disk = Arc::clone(disk);
            return Ok(Self { disk, path: path.to_owned(), file: Arc::new(file), known: Some(known) });
        }
        Self::create(disk, path)
    }

    /// Removes what is there and starts an empty file.
    pub(crate) fn create(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, TransferError> {
        create_folder(&**disk, path)?;
        discard_on(&**disk, path)?;
        let file = disk.create(path).map_err(|source| TransferError::io("create", path, source))?;
        Ok(Self { disk: Arc::clone(disk), path: path.to_owned(), file: Arc::new(file), known: None })
    }

    fn left_over(path: &Path, expected: &Expected) -> Option<(File, Loaded)> {
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(no_follow).open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let known = Journal::load(&journal_path(path), &file)?;
        let agrees = expected.size.is_none_or(|size| size == known.header.size)
            && (expected.sha256.is_none() || expected.sha256 == known.header.sha256());
        (agrees && !known.trusted.is_empty()).then_some((file, known))
    }

    /// Checks that `size` bytes fit, keeps the room, and starts the journal when `subject` is given.
    pub(crate) fn prepare(
        &self,
        size: u64,
        reserve: u64,
        subject: Option<Subject>,
    ) -> Result<Option<Journal>, TransferError> {
        self.check_space(size, reserve)?;
        self.disk.reserve(&self.file, size).map_err(|source| self.full_or(size, reserve, source))?;
        let path = journal_path(&self.path);
        subject
            .map(|subject| {
                Journal::create(Arc::clone(&self.disk), &path, &self.file, subject, self.known.as_ref())
            })
            .transpose()
            .map_err(|source| TransferError::io("write the journal of", &self.path, source))
    }

    /// Fails when less than `size` bytes, without what the file holds already, and `reserve` are free.
    pub(crate) fn check_space(&self, size: u64, reserve: u64) -> Result<(), TransferError> {
        let (needed, free) = self.space(size, reserve)?;
        if needed <= free {
            return Ok(());
        }
        Err(TransferError::DiskFull { path: self.path.clone(), needed, free })
    }

    fn space(&self, size: u64, reserve: u64) -> Result<(u64, u64), TransferError> {
        let fail = |source| TransferError::io("look up the free space for", &self.path, source);
        // `blocks` counts in units of 512 bytes whatever the file system's own are.
        let held = self.file.metadata().map_err(fail)?.blocks() * 512;
        let free = self.disk.free_space(folder_of(&self.path)).map_err(fail)?;
        let missing = size.saturating_sub(held);
        Ok((if missing == 0 { 0 } else { missing.saturating_add(reserve) }, free))
    }

    fn full_or(&self, size: u64, reserve: u64, source: io::Error) -> TransferError {
        match TransferError::io("reserve room for", &self.path, source) {
            TransferError::DiskFull { path, .. } => {
                let (needed, free) = self.space(size, reserve).unwrap_or((size, 0));
                TransferError::DiskFull { path, needed, free }
            }
            other => other,
        }
    }
}

/// Removes what a transfer that is not to go on has left: the part, and its journal first, so that it
/// never speaks of a newer part. What is not there is fine. Blocking.
///
/// # Errors
/// The file that cannot be removed.
pub fn discard(part: &Path) -> Result<(), TransferError> {
    discard_on(&SystemDisk, part)
}

pub(crate) fn discard_on(disk: &dyn Disk, part: &Path) -> Result<(), TransferError> {
    let journal = journal_path(part);
    [fresh_path(&journal), journal, part.to_owned()]
        .iter()
        .try_for_each(|path| disk.remove(path).map_err(|source| TransferError::io("remove", path, source)))
}

/// Creates the folder that `file` is to lie in, durably with all its new parents.
pub(crate) fn create_folder(disk: &dyn Disk, file: &Path) -> Result<(), TransferError> {
    let folder = folder_of(file);
    if folder.is_dir() {
        return Ok(());
    }
    let fail = |source| TransferError::io("create the folder", folder, source);
    let existing = folder.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(fail)?;
    // A file in a folder that is lost in a power cut is lost too.
    let mut parent = folder_of(folder);
    loop {
        disk.sync_folder(parent).map_err(fail)?;
        if parent == existing || parent == Path::new(".") {
            return Ok(());
        }
        parent = folder_of(parent);
    }
}

/// The folder of a file; `.` for a bare name.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
