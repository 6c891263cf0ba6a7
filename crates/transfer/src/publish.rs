//! The one way to a destination: sync, gate on the open file, look again, rename, sync the folders.
//!
//! A file that can be seen at its destination is whole and durable. Nothing that was there before is
//! ever written into: it is either kept or replaced by a rename, so that whoever reads it goes on.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::hash_file;
use crate::disk::{Disk, SystemDisk};
use crate::error::TransferError;
use crate::part::{create_folder, folder_of};
use crate::request::{Admission, Gate};

/// Permission bits of a published file before the process's mask.
const PUBLISHED_MODE: u32 = 0o644;
const COPY_BLOCK: usize = 1 << 20;
const COPY_PREFIX: &str = ".lorakeep-";
const COPY_SUFFIX: &str = ".part";

/// What happens to a file that is at the destination already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It is kept, and publishing fails with [`TransferError::Exists`].
    Never,
    /// It is replaced atomically.
    Yes,
}

/// Moves the finished file at `part` to `destination`: durable when this returns, never half there.
///
/// Works across file systems by a verified copy. Blocking.
///
/// # Errors
/// [`TransferError::Exists`], or the file operation that failed; `part` is still there then, unless
/// only the last sync of a folder failed.
pub fn publish(part: &Path, destination: &Path, replace: Replace) -> Result<(), TransferError> {
    let file = File::open(part).map_err(|source| TransferError::io("open", part, source))?;
    publish_open(file, part, destination, replace)
}

/// Like [`publish`], for a `part` that was opened, and judged, by the caller: what appears at
/// `destination` is the file behind `file`, or nothing. Blocking.
///
/// # Errors
/// As [`publish`]; [`TransferError::ContentRefused`] when `part` leads to another file by now.
pub fn publish_open(
    file: File,
    part: &Path,
    destination: &Path,
    replace: Replace,
) -> Result<(), TransferError> {
    let publisher = Publisher::new(Arc::new(SystemDisk), Arc::new(file), part)?;
    publisher.sync()?;
    publisher.publish(destination, replace)
}

/// Whether `name` is that of a copy across file systems which a process that died left beside its
/// destination. Such a file is of no use.
pub fn is_unfinished_copy(name: &str) -> bool {
    name.starts_with(COPY_PREFIX) && name.ends_with(COPY_SUFFIX)
}

/// The steps of publishing one open file. Blocking.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    disk: Arc<dyn Disk>,
    file: Arc<File>,
    part: PathBuf,
    /// What the file looked like when its hash was known.
    seen: Look,
}

/// What changes when somebody else touches a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Look {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Publisher {
    /// Takes a file whose content is final from now on.
    pub(crate) fn new(disk: Arc<dyn Disk>, file: Arc<File>, part: &Path) -> Result<Self, TransferError> {
        let metadata = file.metadata().map_err(|source| TransferError::io("look at", part, source))?;
        Ok(Self { disk, file, part: part.to_owned(), seen: Look::of(&metadata) })
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.seen.size
    }

    /// Makes the content durable.
    pub(crate) fn sync(&self) -> Result<(), TransferError> {
        self.disk.sync_all(&self.file).map_err(|source| TransferError::io("sync", &self.part, source))
    }

    /// Asks the gate about exactly the file that will be published.
    pub(crate) fn admit(&self, gate: &dyn Gate) -> Admission {
        gate.admit(&self.file, self.seen.size)
    }

    /// Publishes with the usual permissions.
    pub(crate) fn publish(&self, destination: &Path, replace: Replace) -> Result<(), TransferError> {
        self.move_to(destination, replace, PUBLISHED_MODE & !process_mask())
    }

    /// Puts the file away, readable by its owner only.
    pub(crate) fn quarantine(&self, to: &Path) -> Result<(), TransferError> {
        self.move_to(to, Replace::Never, 0o600)
    }

    fn move_to(&self, to: &Path, replace: Replace, mode: u32) -> Result<(), TransferError> {
        create_folder(&*self.disk, to)?;
        self.check_untouched()?;
        self.disk
            .set_mode(&self.file, mode)
            .map_err(|source| TransferError::io("set the permissions of", &self.part, source))?;
        match rename(&*self.disk, &self.part, to, replace) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.copy_to(to, replace, mode)?,
            Err(error) => return Err(rename_error(to, error)),
            Ok(()) => self.check_arrived(to)?,
        }
        self.sync_folders(to)
    }

    /// The name must still lead to the open file, and the file be as it was when it was hashed.
    fn check_untouched(&self) -> Result<(), TransferError> {
        let fail = |source| TransferError::io("look at", &self.part, source);
        let open = Look::of(&self.file.metadata().map_err(fail)?);
        let named = Look::of(&std::fs::symlink_metadata(&self.part).map_err(fail)?);
        if open == self.seen && named == self.seen {
            return Ok(());
        }
        Err(TransferError::ContentRefused {
            reason: format!("`{}` was changed by somebody else while it was checked", self.part.display()),
        })
    }

    /// Catches a swap between the look and the rename.
    fn check_arrived(&self, to: &Path) -> Result<(), TransferError> {
        let fail = |source| TransferError::io("look at", to, source);
        let arrived = std::fs::symlink_metadata(to).map_err(fail)?;
        if (arrived.dev(), arrived.ino()) == (self.seen.device, self.seen.inode) {
            return Ok(());
        }
        self.disk.remove(to).map_err(fail)?;
        Err(TransferError::ContentRefused {
            reason: format!("`{}` was swapped for another file while it was published", self.part.display()),
        })
    }

    fn sync_folders(&self, to: &Path) -> Result<(), TransferError> {
        let (target, source) = (folder_of(to), folder_of(&self.part));
        let sync = |folder: &Path| {
            self.disk.sync_folder(folder).map_err(|error| TransferError::io("sync the folder", folder, error))
        };
        sync(target)?;
        if source == target { Ok(()) } else { sync(source) }
    }

    /// Across file systems: copies beside the target, reads the copy back, and renames that.
    fn copy_to(&self, to: &Path, replace: Replace, mode: u32) -> Result<(), TransferError> {
        let copy = folder_of(to).join(format!("{COPY_PREFIX}{:016x}{COPY_SUFFIX}", fastrand::u64(..)));
        let result = self
            .copy_verified(&copy, mode)
            .and_then(|()| rename(&*self.disk, &copy, to, replace).map_err(|error| rename_error(to, error)));
        if result.is_err() {
            if let Err(error) = self.disk.remove(&copy) {
                tracing::warn!(path = %copy.display(), %error, "cannot remove an unfinished copy");
            }
            return result;
        }
        self.disk.remove(&self.part).map_err(|source| TransferError::io("remove", &self.part, source))
    }

    fn copy_verified(&self, copy: &Path, mode: u32) -> Result<(), TransferError> {
        let fail = |source| TransferError::io("copy to", copy, source);
        let target = self.disk.create(copy).map_err(fail)?;
        self.copy_content(&target).map_err(fail)?;
        self.disk.set_mode(&target, mode).map_err(fail)?;
        self.disk.sync_all(&target).map_err(fail)?;
        let (ours, theirs) = (hash_file(&self.file, self.seen.size), hash_file(&target, self.seen.size));
        if ours.map_err(fail)? == theirs.map_err(fail)? {
            return Ok(());
        }
        Err(fail(io::Error::new(io::ErrorKind::InvalidData, "the copy differs from the original")))
    }

    fn copy_content(&self, target: &File) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BLOCK];
        let mut position = 0;
        while position < self.seen.size {
            let want = (self.seen.size - position).min(COPY_BLOCK as u64) as usize;
            self.file.read_exact_at(&mut buffer[..want], position)?;
            self.disk.write_all_at(target, &mut [IoSlice::new(&buffer[..want])], position)?;
            position += want as u64;
        }
        Ok(())
    }
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path, replace: Replace) -> io::Result<()> {
    if replace == Replace::Yes {
        return disk.rename(from, to);
    }
    match disk.rename_new(from, to) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => link_and_remove(disk, from, to),
        result => result,
    }
}

/// For file systems without an atomic rename that keeps what is there: a hard link keeps it too.
/// Those that have neither get a look before the rename, the best that is to be had there.
fn link_and_remove(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.link(from, to) {
        Ok(()) => disk.remove(from),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) =>
        {
            if std::fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            disk.rename(from, to)
        }
        Err(error) => Err(error),
    }
}

fn rename_error(to: &Path, error: io::Error) -> TransferError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return TransferError::Exists(to.to_owned());
    }
    TransferError::io("rename to", to, error)
}

/// The process's mask, read without changing it.
fn process_mask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_finished_file_moves_and_what_is_there_stays_unless_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (part, to) = (folder.path().join("a.part"), folder.path().join("deep/er/a.bin"));
        std::fs::write(&part, "new").unwrap();
        publish(&part, &to, Replace::Never).unwrap();
        assert!(!part.exists());
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o644 & !process_mask());
        std::fs::write(&part, "newer").unwrap();
        assert!(matches!(publish(&part, &to, Replace::Never), Err(TransferError::Exists(_))));
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        publish(&part, &to, Replace::Yes).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"newer");
    }

    #[test]
    fn another_file_than_the_judged_one_is_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let (part, to) = (folder.path().join("a.part"), folder.path().join("a.bin"));
        std::fs::write(&part, "judged").unwrap();
        let judged = File::open(&part).unwrap();
        std::fs::write(folder.path().join("evil"), "evil").unwrap();
        std::fs::rename(folder.path().join("evil"), &part).unwrap();
        let error = publish_open(judged, &part, &to, Replace::Never).unwrap_err();
        assert_eq!(error.code(), "content_refused");
        assert!(!to.exists());
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link.part")).unwrap();
        let error = publish(&folder.path().join("link.part"), &to, Replace::Never).unwrap_err();
        assert_eq!(error.code(), "content_refused", "a link is not the file that it leads to");
    }

    #[test]
    fn copies_that_were_left_behind_are_known_by_their_names() {
        assert!(is_unfinished_copy(".lorakeep-00ff.part"));
        assert!(!is_unfinished_copy("model.part") && !is_unfinished_copy(".lorakeep-x.safetensors"));
    }
}
