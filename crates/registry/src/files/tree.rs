//! The models folder with the folders that are linked into it: one rule for everything that reads or changes files
//! there (decision 26).
//!
//! Reading follows a link to a folder wherever it lies, each real folder once. Changing goes through a link only where
//! the operator made it part of the tree: a folder directly below the root that has one of ComfyUI's names, or one that
//! leads into a folder of `models_links`. Which those are is found out when the program starts; a link that appears or
//! is turned elsewhere later leads nowhere, however it is swapped.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{Folder, FolderId, remove_empty_folders};
use super::is_link_in_the_way;
use super::scan::FollowedLink;
use crate::domain::{ModelFolder, is_category_folder};

/// The models folder and what may be changed through links below it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ModelsTree(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Links that belong to the tree, with the folder that each led to at the start.
    links: BTreeMap<ModelFolder, FolderId>,
    /// Links that were there at the start and are read only.
    only_read: Vec<ModelFolder>,
}

impl ModelsTree {
    /// The tree below `root` with those of the links that belong to it; `allowed` holds resolved folders.
    pub(crate) fn new(root: &Path, links: &[FollowedLink], allowed: &[PathBuf]) -> Self {
        let belongs = |link: &&FollowedLink| {
            is_category_folder(link.folder.as_str())
                || allowed.iter().any(|folder| link.target.starts_with(folder))
        };
        let (part, others): (Vec<_>, Vec<_>) = links.iter().partition(belongs);
        Self(Arc::new(Inner {
            root: root.to_owned(),
            links: part.into_iter().map(|link| (link.folder.clone(), link.id)).collect(),
            only_read: others.into_iter().map(|link| link.folder.clone()).collect(),
        }))
    }

    /// The models root.
    pub(crate) fn root(&self) -> &Path {
        &self.0.root
    }

    /// Links that belong to the tree, and links that are only read.
    pub(crate) fn links(&self) -> (impl ExactSizeIterator<Item = &ModelFolder>, &[ModelFolder]) {
        (self.0.links.keys(), &self.0.only_read)
    }

    /// The folders that have a hidden folder of their own, on their own file system: the root, and what is linked.
    pub(crate) fn homes(&self) -> impl Iterator<Item = ModelFolder> + '_ {
        std::iter::once(ModelFolder::default()).chain(self.0.links.keys().cloned())
    }

    /// Which of them a path below the root lies in.
    pub(crate) fn home_of(&self, path: &str) -> ModelFolder {
        let links = self.0.links.keys().filter(|link| link.holds(path));
        links.max_by_key(|link| link.as_str().len()).cloned().unwrap_or_default()
    }

    /// The hidden folder beside those files, where parts and deleted files are.
    pub(crate) fn hidden_folder(&self, home: &ModelFolder) -> PathBuf {
        home.below(&self.0.root).join(super::HIDDEN)
    }

    /// Opens a folder, `/` between parts. `NOTDIR` or `LOOP` where a link is in the way that is no part of the tree.
    pub(crate) fn open(&self, below: &str) -> io::Result<Folder> {
        self.walk(Folder::root(&self.0.root)?, below, |_, _| Ok(()))
    }

    /// As [`ModelsTree::open`]; parts that are missing are made and made durable.
    pub(crate) fn create(&self, below: &str) -> io::Result<Folder> {
        std::fs::create_dir_all(&self.0.root)?;
        self.walk(Folder::root(&self.0.root)?, below, Folder::make)
    }

    /// Whether files may be put into a folder; one that is not there yet may be made.
    pub(crate) fn check(&self, folder: &ModelFolder) -> io::Result<()> {
        match self.open(folder.as_str()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn walk(
        &self,
        root: Folder,
        below: &str,
        before: impl Fn(&Folder, &str) -> io::Result<()>,
    ) -> io::Result<Folder> {
        let (mut folder, mut end) = (root, 0);
        for part in below.split('/').filter(|part| !part.is_empty()) {
            before(&folder, part)?;
            end += part.len() + usize::from(end > 0);
            folder = self.enter(&folder, part, &below[..end])?;
        }
        Ok(folder)
    }

    fn enter(&self, folder: &Folder, part: &str, so_far: &str) -> io::Result<Folder> {
        let refused = match folder.enter(part) {
            Err(error) if is_link_in_the_way(&error) => error,
            other => return other,
        };
        let Some(known) = self.0.links.get(so_far) else { return Err(refused) };
        let linked = folder.follow(part)?;
        if linked.id()? == *known { Ok(linked) } else { Err(refused) }
    }

    /// Removes the folders of `below` that are empty, the deepest first; the root stays.
    pub(crate) fn remove_empty_folders(&self, below: &str) {
        remove_empty_folders(|parent| self.open(parent), below);
    }
}
