//! File operations as a parameter, so that tests can let the k-th one fail.
//!
//! Everything that changes a disk on behalf of a transfer goes through [`Disk`]; reading does not.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FallocateFlags, RenameFlags};
use rustix::io::Errno;

/// What a transfer does to a disk. All methods block.
pub trait Disk: Debug + Send + Sync {
    /// Creates a file that did not exist, readable and writable by its owner only.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Writes all of `parts` one after the other from `offset` on; may change `parts`.
    fn write_all_at(&self, file: &File, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Sets the length and keeps the room for it. False when the file system cannot keep room and
    /// only the length was set.
    fn reserve(&self, file: &File, size: u64) -> io::Result<bool>;

    /// Cuts or extends the file.
    fn set_len(&self, file: &File, size: u64) -> io::Result<()>;

    /// Makes the content durable (`fdatasync`).
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Makes content and attributes durable (`fsync`).
    fn sync_all(&self, file: &File) -> io::Result<()>;

    /// Makes the entries of a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Renames over whatever is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames unless something is at `to`; `AlreadyExists` then, `Unsupported` where the file
    /// system cannot do it atomically.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file a second name unless something is at `to`.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Sets the permission bits.
    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()>;

    /// Bytes that may still be written to the file system of `folder`.
    fn free_space(&self, folder: &Path) -> io::Result<u64>;
}

/// The operating system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    fn write_all_at(&self, file: &File, parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        let mut parts = parts;
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            // 1024 slices is what the kernel takes at once.
            match rustix::io::pwritev(file, &parts[..parts.len().min(1024)], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn reserve(&self, file: &File, size: u64) -> io::Result<bool> {
        if size == 0 {
            return file.set_len(0).map(|()| true);
        }
        loop {
            match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return file.set_len(size).map(|()| false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        file.set_len(size)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder)?.sync_all() {
            // Some network file systems have no such thing; there is nothing more to be had there.
            Err(error) if matches!(error.raw_os_error(), Some(code) if code == Errno::INVAL.raw_os_error()) => {
                Ok(())
            }
            result => result,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
            result => Ok(result?),
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(std::fs::Permissions::from_mode(mode))
    }

    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(folder)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}
