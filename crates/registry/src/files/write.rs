//! Small files of our own: replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces the file's content: written beside it, flushed to the disk, renamed over it, the folder flushed. A link is
/// followed, so that a catalog may lie in another folder.
///
/// `may_replace` is asked at the last moment; answers whether the file was replaced.
pub(crate) fn replace_file(
    path: &Path,
    bytes: &[u8],
    may_replace: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let beside = beside(&path, &format!("{}.tmp", std::process::id()));
    let outcome = write_new(&beside, bytes).and_then(|()| {
        let is_wanted = may_replace();
        if is_wanted { fs::rename(&beside, &path).map(|()| true) } else { Ok(false) }
    });
    if !matches!(outcome, Ok(true)) {
        // Best effort: what happened before is what to tell.
        drop(fs::remove_file(&beside));
    }
    if outcome? {
        File::open(folder)?.sync_all()?;
        return Ok(true);
    }
    Ok(false)
}

/// Copies a file beside itself under a name that is free, and answers that name.
pub(crate) fn keep_copy(path: &Path, bytes: &[u8], suffix: &str) -> io::Result<PathBuf> {
    for number in 1..100 {
        let tail = if number == 1 { suffix.to_owned() } else { format!("{suffix}-{number}") };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{tail}"));
        let copy = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).open(&copy) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                file.sync_all()?;
                return Ok(copy);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A hidden name in the same folder.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_through_a_link_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(!replace_file(&link, b"refused", || false).unwrap());
        assert!(replace_file(&link, b"new", || true).unwrap());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn copies_never_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let first = keep_copy(&path, b"1", "rejected").unwrap();
        let second = keep_copy(&path, b"2", "rejected").unwrap();
        assert_eq!((fs::read(first).unwrap(), fs::read(second).unwrap()), (b"1".to_vec(), b"2".to_vec()));
    }
}
