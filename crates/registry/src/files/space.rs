//! Free space of a file system.

use std::io;
use std::path::Path;

/// Bytes that we could still write on the file system of `path`, or of the nearest folder above it that exists.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let status = rustix::fs::statvfs(existing)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}
