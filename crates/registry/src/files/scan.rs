//! A look at every file below the models root, by `stat` alone.
//!
//! A link to a file counts as the file, a link to a folder as the folder; each real folder is entered once, by its own
//! name if it has one below the root, and its other names are remembered. Hidden folders are not entered. Pipes, sockets
//! and devices are passed over without being opened.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::folder::FolderId;
use crate::domain::{FileStamp, ModelFolder, ModelPath, SafeName};

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every regular file that can be named in a catalog.
    pub(crate) files: Vec<(ModelPath, FileStamp)>,
    /// Every folder that was entered, the root first.
    pub(crate) folders: Vec<PathBuf>,
    /// Links to folders that were followed, or lead to where the look had been already.
    pub(crate) links: Vec<FollowedLink>,
    /// Further names of folders that were entered: the name, and the one that its files are known by.
    pub(crate) aliases: Vec<(ModelFolder, ModelFolder)>,
    /// Folders that could not be read; nothing is known of what is in them.
    pub(crate) unreadable: Vec<ModelFolder>,
    /// Files and folders whose names no catalog may hold: not UTF-8, or hostile.
    pub(crate) unnamed: u64,
}

/// A link to a folder.
#[derive(Debug, Clone)]
pub(crate) struct FollowedLink {
    /// Where it is below the root.
    pub(crate) folder: ModelFolder,
    /// The folder that it leads to, every link resolved.
    pub(crate) target: PathBuf,
    pub(super) id: FolderId,
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

/// Looks at everything; blocking. `data_dir` is the folder that no link leads into.
pub(crate) fn scan(root: &Path, data_dir: &Path) -> Scan {
    let mut scan = Scan::default();
    let mut way = Way::from(ModelFolder::default());
    let own = [root, data_dir].map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()));
    while let Some((folder, is_link)) = way.next() {
        let path = folder.below(root);
        let id = match scan.judge(&path, &folder, is_link, &own) {
            Ok(Some(id)) => id,
            Ok(None) => continue,
            Err(error) => {
                scan.unreadable(&path, folder, &error);
                continue;
            }
        };
        if let Some(first) = way.entered.get(&id) {
            scan.aliases.push((folder, first.clone()));
            continue;
        }
        way.entered.insert(id, folder.clone());
        match scan.folder(&path, &folder, &mut way) {
            Ok(()) => scan.folders.push(path),
            Err(error) => scan.unreadable(&path, folder, &error),
        }
    }
    scan
}

/// The folders that are still to be entered, and those that were.
#[derive(Default)]
struct Way {
    real: Vec<ModelFolder>,
    /// After all real ones, in order, so that a file always has the same name.
    linked: BTreeSet<ModelFolder>,
    entered: HashMap<FolderId, ModelFolder>,
}

impl Way {
    fn from(root: ModelFolder) -> Self {
        Self { real: vec![root], ..Self::default() }
    }

    /// The next folder, and whether it is a link.
    fn next(&mut self) -> Option<(ModelFolder, bool)> {
        let real = self.real.pop().map(|folder| (folder, false));
        real.or_else(|| self.linked.pop_first().map(|folder| (folder, true)))
    }
}

impl Scan {
    /// Which folder this is; `None` for a link that is not followed.
    fn judge(
        &mut self,
        path: &Path,
        folder: &ModelFolder,
        is_link: bool,
        own: &[PathBuf; 2],
    ) -> io::Result<Option<FolderId>> {
        let metadata = fs::metadata(path)?;
        let id = FolderId { device: metadata.dev(), inode: metadata.ino() };
        if is_link {
            let target = path.canonicalize()?;
            if !may_be_followed(&target, own) {
                let (link, target) = (path.display(), target.display());
                tracing::debug!(%link, %target, "a link to a folder of the system or of ours is not followed");
                return Ok(None);
            }
            self.links.push(FollowedLink { folder: folder.clone(), target, id });
        }
        Ok(Some(id))
    }

    fn unreadable(&mut self, path: &Path, folder: ModelFolder, error: &io::Error) {
        tracing::warn!(folder = %path.display(), %error, "a models folder cannot be read");
        self.unreadable.push(folder);
    }

    fn folder(&mut self, path: &Path, folder: &ModelFolder, way: &mut Way) -> io::Result<()> {
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
                Seen::Folder { is_link } => match folder.child(name) {
                    Ok(child) if is_link => drop(way.linked.insert(child)),
                    Ok(child) => way.real.push(child),
                    Err(_) => self.unnamed += 1,
                },
                Seen::Other => {}
            }
        }
        Ok(())
    }
}

/// Folders of the system that hold no models, whoever links to them.
const SYSTEM: [&str; 9] = ["/bin", "/boot", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];

/// Whether a link to that folder is followed: not above the models or the data folder, where everything lies, not into
/// the data folder but for models, not into the system.
fn may_be_followed(target: &Path, [models, data]: &[PathBuf; 2]) -> bool {
    let holds_everything = models.starts_with(target) || data.starts_with(target);
    let is_ours = target.starts_with(data) && !target.starts_with(models);
    !holds_everything && !is_ours && !SYSTEM.iter().any(|folder| target.starts_with(folder))
}

enum Seen {
    File(FileStamp),
    Folder { is_link: bool },
    Other,
}

/// One item of a folder; one that vanishes while it is looked at is nothing.
fn stamp_or_folder(item: &DirEntry) -> Seen {
    let Ok(kind) = item.file_type() else { return Seen::Other };
    if kind.is_dir() {
        return Seen::Folder { is_link: false };
    }
    let metadata = if kind.is_symlink() { fs::metadata(item.path()) } else { item.metadata() };
    match metadata {
        Ok(metadata) if metadata.is_file() => Seen::File(FileStamp::of(&metadata)),
        Ok(metadata) if metadata.is_dir() => Seen::Folder { is_link: true },
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
        let scan = scan(&root, &folder.path().join("data"));
        assert_eq!(names(&scan), ["a.pt", "linked/c.pt", "vae/deep/b.pt", "vae/link.pt"]);
        assert_eq!(scan.unnamed, 2);
        assert_eq!(scan.folders.len(), 4);
        assert!(scan.unreadable.is_empty());
    }

    #[test]
    fn each_folder_is_entered_once_by_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let (root, big) = (folder.path().join("models"), folder.path().join("big"));
        for path in [root.join("diffusion_models/wan"), big.join("loras/deep"), big.join("vae")] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(root.join("diffusion_models/wan/a.pt"), "x").unwrap();
        fs::write(big.join("loras/deep/b.pt"), "x").unwrap();
        symlink("diffusion_models", root.join("unet")).unwrap();
        symlink(big.join("loras"), root.join("loras")).unwrap();
        symlink(&big, root.join("zoo")).unwrap();
        symlink(big.join("loras"), big.join("loras/deep/loop")).unwrap();
        let scan = scan(&root, &folder.path().join("data"));
        assert_eq!(names(&scan), ["diffusion_models/wan/a.pt", "loras/deep/b.pt"]);
        let mut aliases: Vec<_> = scan.aliases.iter().map(|(own, first)| format!("{own}={first}")).collect();
        aliases.sort();
        assert_eq!(aliases, ["loras/deep/loop=loras", "unet=diffusion_models", "zoo/loras=loras"]);
    }

    #[test]
    fn links_that_hold_everything_or_lead_into_the_system_or_our_data_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (root, data) = (folder.path().join("data/models"), folder.path().join("data"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir(data.join("bin")).unwrap();
        for (name, target) in [
            ("up", Path::new("..")),
            ("all", Path::new("/")),
            ("system", Path::new("/etc")),
            ("data", data.as_path()),
            ("bin", &data.join("bin")),
            ("self", Path::new(".")),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        let scan = scan(&root, &data);
        assert_eq!((scan.folders.len(), scan.links.len(), scan.unreadable.len()), (1, 0, 0));
    }

    #[test]
    fn the_root_may_be_a_link_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        fs::write(folder.path().join("real/a.pt"), "x").unwrap();
        symlink(folder.path().join("real"), folder.path().join("models")).unwrap();
        assert_eq!(names(&scan(&folder.path().join("models"), Path::new("/data"))), ["a.pt"]);
        assert_eq!(
            scan(&folder.path().join("missing"), Path::new("/data")).unreadable,
            [ModelFolder::default()]
        );
    }
}
