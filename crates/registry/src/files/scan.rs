//! A look at every file below the models root, by `stat` alone.
//!
//! A link to a file counts as the file; folders that are links are not entered (the root itself may be one), nor are
//! hidden ones. Pipes, sockets and devices are passed over without being opened.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::{FileStamp, ModelFolder, ModelPath, SafeName};

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every regular file that can be named in a catalog.
    pub(crate) files: Vec<(ModelPath, FileStamp)>,
    /// Every folder that was entered, the root first.
    pub(crate) folders: Vec<PathBuf>,
    /// Folders that could not be read; nothing is known of what is in them.
    pub(crate) unreadable: Vec<ModelFolder>,
    /// Files and folders whose names no catalog may hold: not UTF-8, or hostile.
    pub(crate) unnamed: u64,
}

impl FileStamp {
    /// What `stat` says.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// The stamp of a regular file or of a link to one; `None` when there is none.
pub(crate) fn stamp_at(path: &Path) -> Option<FileStamp> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then(|| FileStamp::of(&metadata))
}

/// Looks at everything; blocking.
pub(crate) fn scan(root: &Path) -> Scan {
    let mut scan = Scan::default();
    let mut folders = vec![ModelFolder::default()];
    while let Some(folder) = folders.pop() {
        let path = folder.below(root);
        match scan.folder(&path, &folder, &mut folders) {
            Ok(()) => scan.folders.push(path),
            Err(error) => {
                tracing::warn!(folder = %path.display(), %error, "a models folder cannot be read");
                scan.unreadable.push(folder);
            }
        }
    }
    scan
}

impl Scan {
    fn folder(&mut self, path: &Path, folder: &ModelFolder, below: &mut Vec<ModelFolder>) -> io::Result<()> {
        for item in fs::read_dir(path)? {
            let item = item?;
            let name = item.file_name();
            let Some(name) = name.to_str() else {
                self.unnamed += 1;
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            match stamp_or_folder(&item) {
                Seen::File(stamp) => match SafeName::parse("file", name) {
                    Ok(file) => self.files.push((ModelPath { folder: folder.clone(), file }, stamp)),
                    Err(_) => self.unnamed += 1,
                },
                Seen::Folder => match folder.child(name) {
                    Ok(child) => below.push(child),
                    Err(_) => self.unnamed += 1,
                },
                Seen::Other => {}
            }
        }
        Ok(())
    }
}

enum Seen {
    File(FileStamp),
    Folder,
    Other,
}

/// One item of a folder; one that vanishes while it is looked at is nothing.
fn stamp_or_folder(item: &DirEntry) -> Seen {
    let Ok(kind) = item.file_type() else { return Seen::Other };
    if kind.is_dir() {
        return Seen::Folder;
    }
    let metadata = if kind.is_symlink() { fs::metadata(item.path()) } else { item.metadata() };
    match metadata {
        Ok(metadata) if metadata.is_file() => Seen::File(FileStamp::of(&metadata)),
        _ => Seen::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(scan: &Scan) -> Vec<String> {
        let mut names: Vec<String> = scan.files.iter().map(|(path, _)| path.relative()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_and_links_to_files_are_seen_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("models"), folder.path().join("outside"));
        for path in [root.join("vae/deep"), root.join(".hidden"), outside.clone()] {
            fs::create_dir_all(path).unwrap();
        }
        for path in
            [root.join("a.pt"), root.join("vae/deep/b.pt"), outside.join("c.pt"), root.join(".hidden/d.pt")]
        {
            fs::write(path, "x").unwrap();
        }
        symlink(outside.join("c.pt"), root.join("vae/link.pt")).unwrap();
        symlink(outside.join("gone.pt"), root.join("vae/broken.pt")).unwrap();
        symlink(&outside, root.join("linked")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("vae/pipe.pt"), rustix::fs::Mode::RUSR).unwrap();
        fs::write(root.join("-flag.pt"), "x").unwrap();
        fs::write(root.join(OsStr::from_bytes(b"\xff.pt")), "x").unwrap();
        fs::write(root.join(".dot.pt"), "x").unwrap();
        let scan = scan(&root);
        assert_eq!(names(&scan), ["a.pt", "vae/deep/b.pt", "vae/link.pt"]);
        assert_eq!(scan.unnamed, 2);
        assert_eq!(scan.folders.len(), 3);
        assert!(scan.unreadable.is_empty());
    }

    #[test]
    fn the_root_may_be_a_link_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        fs::write(folder.path().join("real/a.pt"), "x").unwrap();
        symlink(folder.path().join("real"), folder.path().join("models")).unwrap();
        assert_eq!(names(&scan(&folder.path().join("models"))), ["a.pt"]);
        assert_eq!(scan(&folder.path().join("missing")).unreadable, [ModelFolder::default()]);
    }
}
