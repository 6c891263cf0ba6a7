//! Where deleted files go: on their own file system, so that deleting and restoring are renames.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::folder::{Folder, remove_empty_folders};
use crate::domain::{BinItemId, ModelPath};

/// The two folders that bin paths are below.
#[derive(Debug, Clone)]
pub(crate) struct BinFolders {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The models folder.
    pub(crate) models: PathBuf,
}

/// A place in the bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BinPlace {
    /// Below the models folder, else below the data folder.
    pub(crate) is_in_models: bool,
    /// Folder below that, `/` between parts.
    pub(crate) folder: String,
    /// File name.
    pub(crate) name: String,
}

impl BinPlace {
    /// Folder and name as one path below its root.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    /// The place of a stored path.
    pub(crate) fn of(is_in_models: bool, path: &str) -> Self {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Self { is_in_models, folder: folder.to_owned(), name: name.to_owned() }
    }
}

/// The first part of every place below the data folder.
const IN_DATA: &str = "bin/models";
/// Hidden from the scan, and in no folder that ComfyUI looks into.
const IN_MODELS: &str = ".lorakeep/bin";

impl BinFolders {
    /// Where a deleted file may go, best first: the data folder, the models folder, its own folder. Each is on another
    /// file system when folders are mounted separately; the last never is.
    pub(crate) fn places(path: &ModelPath, id: BinItemId) -> [BinPlace; 3] {
        let dest = path.folder.as_str();
        let below = |top: &str| if dest.is_empty() { top.to_owned() } else { format!("{top}/{dest}") };
        let beside = if dest.is_empty() { IN_MODELS.to_owned() } else { format!("{dest}/{IN_MODELS}") };
        let place = |is_in_models, folder, name| BinPlace { is_in_models, folder, name };
        [
            place(false, below(IN_DATA), path.file.to_string()),
            place(true, below(IN_MODELS), path.file.to_string()),
            // ComfyUI walks through this folder, so the name must not be one that it loads.
            place(true, beside, format!("{id}.deleted")),
        ]
    }

    /// The same place under a name that nobody else has.
    pub(crate) fn unique(place: &BinPlace, id: BinItemId) -> BinPlace {
        let id = id.to_string();
        let tail = &id[id.len() - 12..];
        let name = match place.name.rsplit_once('.') {
            Some((stem, extension)) => format!("{}.{tail}.{extension}", shortened(stem, 200)),
            None => format!("{}.{tail}", shortened(&place.name, 200)),
        };
        BinPlace { name, ..place.clone() }
    }

    /// Whether freeing a file of the one makes room in the other.
    pub(crate) fn share_a_file_system(&self) -> bool {
        let device = |folder: &Path| fs::metadata(folder).map(|metadata| metadata.dev()).ok();
        device(&self.data) == device(&self.models)
    }

    fn root(&self, place: &BinPlace) -> &Path {
        if place.is_in_models { &self.models } else { &self.data }
    }

    /// The absolute path of a place.
    pub(crate) fn absolute(&self, place: &BinPlace) -> PathBuf {
        self.root(place).join(place.path())
    }

    /// Moves a file into the bin.
    pub(crate) fn take(&self, path: &ModelPath, place: &BinPlace) -> io::Result<()> {
        let from = Folder::open(&self.models, path.folder.as_str())?;
        let to = Folder::create(self.root(place), &place.folder)?;
        from.move_to(path.file.as_str(), &to, &place.name)
    }

    /// Moves a file back.
    pub(crate) fn give_back(&self, place: &BinPlace, path: &ModelPath) -> io::Result<()> {
        let from = Folder::open(self.root(place), &place.folder)?;
        let to = Folder::create(&self.models, path.folder.as_str())?;
        from.move_to(&place.name, &to, path.file.as_str())?;
        self.tidy(place);
        Ok(())
    }

    /// Removes a file of the bin for good.
    pub(crate) fn purge(&self, place: &BinPlace) -> io::Result<()> {
        match Folder::open(self.root(place), &place.folder) {
            Ok(folder) => folder.remove(&place.name)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.tidy(place);
        Ok(())
    }

    /// Whether something is at that place.
    pub(crate) fn holds(&self, place: &BinPlace) -> bool {
        let item = Folder::open(self.root(place), &place.folder).and_then(|folder| folder.item(&place.name));
        matches!(item, Ok(Some(_)))
    }

    fn tidy(&self, place: &BinPlace) {
        remove_empty_folders(self.root(place), &place.folder);
    }

    /// Every file in the two usual places, with where it was before; for files that no row knows.
    pub(crate) fn all(&self) -> Vec<(BinPlace, ModelPath, u64)> {
        let mut found = Vec::new();
        for (is_in_models, root, top) in [(false, &self.data, IN_DATA), (true, &self.models, IN_MODELS)] {
            let mut folders = vec![String::new()];
            while let Some(dest) = folders.pop() {
                let folder = if dest.is_empty() { top.to_owned() } else { format!("{top}/{dest}") };
                for item in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
                    let Ok(name) = item.file_name().into_string() else { continue };
                    match item.metadata() {
                        Ok(metadata) if metadata.is_dir() => {
                            folders.push(if dest.is_empty() { name } else { format!("{dest}/{name}") });
                        }
                        Ok(metadata) if metadata.is_file() || metadata.is_symlink() => {
                            if let Ok(path) = ModelPath::parse(&dest, &name) {
                                found.push((
                                    BinPlace { is_in_models, folder: folder.clone(), name },
                                    path,
                                    metadata.len(),
                                ));
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        found
    }
}

/// The text cut to that many bytes.
fn shortened(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
