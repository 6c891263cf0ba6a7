//! Moving and removing files below a root without ever following a link on the way (`openat` part by part), so that a
//! folder that is swapped for a link leads nowhere.

use std::io::{self, Write};
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, fstat, fsync, linkat, mkdirat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

/// An opened folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// What tells a folder from every other on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FolderId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What a name in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A link, whatever it leads to.
    Link,
    /// A folder.
    Folder,
    /// A pipe, a socket, a device.
    Other,
}

/// A name in a folder, looked at without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// What it is.
    pub(crate) kind: Kind,
    /// Length in bytes; of a link, of the link itself.
    pub(crate) size_bytes: u64,
}

impl Folder {
    /// Opens a root, which may be a link.
    pub(crate) fn root(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Opens a folder below `root`, `/` between parts; only the root may be a link.
    pub(crate) fn open(root: &Path, below: &str) -> io::Result<Self> {
        let mut folder = Self::root(root)?;
        for part in below.split('/').filter(|part| !part.is_empty()) {
            folder = folder.enter(part)?;
        }
        Ok(folder)
    }

    /// As [`Folder::open`]; parts that are missing are made and made durable.
    pub(crate) fn create(root: &Path, below: &str) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let mut folder = Self::root(root)?;
        for part in below.split('/').filter(|part| !part.is_empty()) {
            folder.make(part)?;
            folder = folder.enter(part)?;
        }
        Ok(folder)
    }

    /// Makes a folder in this one, durably; one that is there is fine.
    pub(super) fn make(&self, part: &str) -> io::Result<()> {
        match mkdirat(&self.0, part, Mode::from_raw_mode(0o777)) {
            Ok(()) => Ok(fsync(&self.0)?),
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a folder in this one; a link is refused.
    pub(super) fn enter(&self, part: &str) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(openat(&self.0, part, flags, Mode::empty())?))
    }

    /// Opens the folder that a link in this one leads to; whoever follows looks whether it is the right one.
    pub(super) fn follow(&self, part: &str) -> io::Result<Self> {
        Ok(Self(openat(&self.0, part, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Which folder it is, whatever it is called.
    pub(super) fn id(&self) -> io::Result<FolderId> {
        let status = fstat(&self.0)?;
        Ok(FolderId { device: status.st_dev, inode: status.st_ino })
    }

    /// What that name is; `None` when there is none.
    pub(crate) fn item(&self, name: &str) -> io::Result<Option<Item>> {
        let status = match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => status,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let kind = match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Directory => Kind::Folder,
            _ => Kind::Other,
        };
        Ok(Some(Item { kind, size_bytes: u64::try_from(status.st_size).unwrap_or_default() }))
    }

    /// Opens a file for reading; a link is not followed.
    pub(crate) fn read(&self, name: &str) -> io::Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// Replaces a file's content, or makes the file: written beside it, made durable, renamed over it. What stands there
    /// is looked at before by the caller; a link that took its place is replaced and not followed.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = format!(".lorakeep-{:x}.tmp", fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file: std::fs::File =
            openat(&self.0, beside.as_str(), flags, Mode::from_raw_mode(0o666))?.into();
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(&self.0, beside.as_str(), &self.0, name)?));
        if written.is_err() {
            // Best effort: what happened before is what to tell.
            let _ = unlinkat(&self.0, beside.as_str(), AtFlags::empty());
        }
        written?;
        Ok(fsync(&self.0)?)
    }

    /// Moves a file to another folder of the same file system under a name that is free there; durable when it returns.
    ///
    /// `AlreadyExists` when the name is taken, `CrossesDevices` on another file system; nothing has happened then.
    pub(crate) fn move_to(&self, name: &str, target: &Self, target_name: &str) -> io::Result<()> {
        match renameat_with(&self.0, name, &target.0, target_name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                // A file system that cannot rename without replacing can usually link, which never replaces.
                linkat(&self.0, name, &target.0, target_name, AtFlags::empty())?;
                unlinkat(&self.0, name, AtFlags::empty())?;
            }
            Err(error) => return Err(error.into()),
        }
        fsync(&target.0)?;
        fsync(&self.0)?;
        Ok(())
    }

    /// Removes a file (or a link, never what it leads to); one that is gone is fine. Durable when it returns.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) => fsync(&self.0)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Removes the folders of `below` that are empty, the deepest first; the root stays. `open` opens what is below it.
pub(super) fn remove_empty_folders(open: impl Fn(&str) -> io::Result<Folder>, below: &str) {
    let mut parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    while let Some(last) = parts.pop() {
        let removed = open(&parts.join("/"))
            .and_then(|parent| unlinkat(&parent.0, last, AtFlags::REMOVEDIR).map_err(io::Error::from));
        if removed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_moves_but_never_onto_another() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("from")).unwrap();
        for name in ["a", "b"] {
            fs::write(root.path().join("from").join(name), name).unwrap();
        }
        let from = Folder::open(root.path(), "from").unwrap();
        let to = Folder::create(root.path(), "to/deep").unwrap();
        from.move_to("a", &to, "x").unwrap();
        assert_eq!(from.move_to("b", &to, "x").expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(root.path().join("to/deep/x")).unwrap(), b"a");
        assert_eq!(from.item("a").unwrap(), None);
        assert_eq!(from.item("b").unwrap(), Some(Item { kind: Kind::File, size_bytes: 1 }));
        to.remove("x").unwrap();
        to.remove("x").unwrap();
        remove_empty_folders(|below| Folder::open(root.path(), below), "to/deep");
        assert!(!root.path().join("to").exists());
    }

    #[test]
    fn no_link_is_followed_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("outside/deep")).unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("outside/canary"), "alive").unwrap();
        symlink(folder.path().join("outside"), folder.path().join("root/link")).unwrap();
        symlink(folder.path().join("outside/canary"), folder.path().join("root/file")).unwrap();
        symlink(folder.path().join("root"), folder.path().join("alias")).unwrap();
        let root = folder.path().join("alias");
        assert!(Folder::open(&root, "link").is_err());
        assert!(Folder::open(&root, "link/deep").is_err());
        assert!(Folder::create(&root, "link/new").is_err());
        assert!(!folder.path().join("outside/new").exists());
        let opened = Folder::open(&root, "").unwrap();
        assert_eq!(opened.item("file").unwrap().unwrap().kind, Kind::Link);
        opened.remove("file").unwrap();
        assert_eq!(fs::read(folder.path().join("outside/canary")).unwrap(), b"alive");
    }
}
