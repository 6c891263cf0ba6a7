//! One content under two names: shared by reflink or hard link (decision 17).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Gives `copy` the bytes of `original`: a reflink where the file system has them, else a hard link. What was at `copy`
/// is removed.
///
/// Nothing of the original is ever written to: files are replaced by renaming only.
pub(crate) fn share_bytes(original: &Path, copy: &Path) -> io::Result<()> {
    if let Some(folder) = copy.parent() {
        fs::create_dir_all(folder)?;
    }
    remove_file(copy)?;
    // A link in the models folder may lead anywhere; only a regular file is shared.
    if !fs::symlink_metadata(original)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    reflink(original, copy).or_else(|_| {
        remove_file(copy)?;
        fs::hard_link(original, copy)
    })
}

fn reflink(original: &Path, copy: &Path) -> io::Result<()> {
    let source = File::open(original)?;
    let target = OpenOptions::new().write(true).create_new(true).open(copy)?;
    rustix::fs::ioctl_ficlone(&target, &source)?;
    Ok(())
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove_file(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
