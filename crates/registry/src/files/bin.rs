//! Where deleted files go: a bin on every file system, so that deleting and restoring are renames.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::HIDDEN;
use super::folder::{Folder, remove_empty_folders};
use super::tree::ModelsTree;
use crate::domain::{BinItemId, ModelPath};

/// The two folders that bin paths are below.
#[derive(Debug, Clone)]
pub(crate) struct BinFolders {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The models folder.
    pub(crate) models: ModelsTree,
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
/// Hidden from the scan.
const IN_MODELS: &str = ".lorakeep/bin";

impl BinFolders {
    /// Where a deleted file may go, best first: the data folder, the models folder, the linked folder that holds it, its
    /// own folder. Each is on another file system when folders are mounted separately; the last never is.
    pub(crate) fn places(&self, path: &ModelPath, id: BinItemId) -> Vec<BinPlace> {
        let dest = path.folder.as_str();
        let home = self.models.home_of(dest);
        let place = |is_in_models, folder, name| BinPlace { is_in_models, folder, name };
        let mut places = vec![
            place(false, joined(IN_DATA, dest), path.file.to_string()),
            place(true, joined(IN_MODELS, dest), path.file.to_string()),
        ];
        // ComfyUI walks through these folders, so the name must not be one that it loads.
        for folder in [home.as_str(), dest] {
            places.push(place(true, joined(folder, IN_MODELS), format!("{id}.deleted")));
        }
        places
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

    /// Whether freeing the file makes room at `path`.
    pub(crate) fn makes_room_at(&self, place: &BinPlace, path: &Path) -> bool {
        // Of the nearest folder that exists, since that is where a new one would be.
        let device =
            |path: &Path| path.ancestors().find_map(|path| fs::metadata(path).ok()).map(|found| found.dev());
        device(&self.absolute(place)) == device(path)
    }

    fn root(&self, place: &BinPlace) -> &Path {
        if place.is_in_models { self.models.root() } else { &self.data }
    }

    fn open(&self, place: &BinPlace) -> io::Result<Folder> {
        if place.is_in_models {
            self.models.open(&place.folder)
        } else {
            Folder::open(&self.data, &place.folder)
        }
    }

    /// The absolute path of a place.
    pub(crate) fn absolute(&self, place: &BinPlace) -> PathBuf {
        self.root(place).join(place.path())
    }

    /// Moves a file into the bin.
    pub(crate) fn take(&self, path: &ModelPath, place: &BinPlace) -> io::Result<()> {
        let from = self.models.open(path.folder.as_str())?;
        let to = if place.is_in_models {
            self.models.create(&place.folder)?
        } else {
            Folder::create(&self.data, &place.folder)?
        };
        from.move_to(path.file.as_str(), &to, &place.name)
    }

    /// Moves a file back.
    pub(crate) fn give_back(&self, place: &BinPlace, path: &ModelPath) -> io::Result<()> {
        let from = self.open(place)?;
        let to = self.models.create(path.folder.as_str())?;
        from.move_to(&place.name, &to, path.file.as_str())?;
        self.tidy(place);
        Ok(())
    }

    /// Removes a file of the bin for good.
    pub(crate) fn purge(&self, place: &BinPlace) -> io::Result<()> {
        match self.open(place) {
            Ok(folder) => folder.remove(&place.name)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.tidy(place);
        Ok(())
    }

    /// Whether something is at that place.
    pub(crate) fn holds(&self, place: &BinPlace) -> bool {
        let item = self.open(place).and_then(|folder| folder.item(&place.name));
        matches!(item, Ok(Some(_)))
    }

    /// Whether what was at that place is there no more. Of a disk that is not mounted nothing is said.
    pub(crate) fn lost(&self, place: &BinPlace) -> bool {
        match self.open(place).and_then(|folder| folder.item(&place.name)) {
            Ok(found) => found.is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let beside = place.folder.split(HIDDEN).next().unwrap_or_default();
                !place.is_in_models || self.models.open(beside).is_ok()
            }
            Err(_) => false,
        }
    }

    fn tidy(&self, place: &BinPlace) {
        if place.is_in_models {
            self.models.remove_empty_folders(&place.folder);
        } else {
            remove_empty_folders(|below| Folder::open(&self.data, below), &place.folder);
        }
    }

    /// Every file in the two usual places, with where it was before; for files that no row knows.
    pub(crate) fn all(&self) -> Vec<(BinPlace, ModelPath, u64)> {
        let mut found = Vec::new();
        for (is_in_models, root, top) in
            [(false, self.data.as_path(), IN_DATA), (true, self.models.root(), IN_MODELS)]
        {
            let mut folders = vec![String::new()];
            while let Some(dest) = folders.pop() {
                let folder = joined(top, &dest);
                for item in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
                    let Ok(name) = item.file_name().into_string() else { continue };
                    match item.metadata() {
                        Ok(metadata) if metadata.is_dir() => {
                            folders.push(joined(&dest, &name));
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

/// Two folders as one path; either may be empty.
fn joined(top: &str, below: &str) -> String {
    let slash = if top.is_empty() || below.is_empty() { "" } else { "/" };
    format!("{top}{slash}{below}")
}

/// The text cut to that many bytes.
fn shortened(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
