//! What of a studio is in a folder: its catalogs, its gallery, its clone of a repository, its models.

use std::path::{Path, PathBuf};

use super::report::LeftOut;
use crate::error::{Error, Result};

/// Where programs keep models, below their folder: ComfyUI and A1111, a studio beside its ComfyUI, Stability Matrix.
const MODELS: [&str; 5] = ["models", "ComfyUI/models", "comfyui/models", "Data/Models", "Models"];
/// Folders of a models tree by which it is known when it is named itself; ComfyUI, A1111, Stability Matrix.
const MODEL_FOLDERS: [&str; 9] = [
    "checkpoints",
    "diffusion_models",
    "loras",
    "Stable-diffusion",
    "Lora",
    "StableDiffusion",
    "vae",
    "VAE",
    "unet",
];
/// What a studio keeps beside, and why it is not taken.
const LEFT: [(&str, &str); 4] = [
    ("catalogs/llm.json", "language models are not kept here; the file stays as it is"),
    ("database", "the old download history; downloads have a queue of their own here"),
    (".session_secret", "sessions of the old server; log in again with the key"),
    ("workflows", "workflows are not kept here; the folder stays as it is"),
];

/// The parts of a folder that can be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StudioFolder {
    /// The folder, every link resolved.
    pub(super) root: PathBuf,
    /// `catalogs/`.
    pub(super) catalogs: Option<PathBuf>,
    /// `assets/images/`.
    pub(super) images: Option<PathBuf>,
    /// `.repo/`.
    pub(super) repository: Option<PathBuf>,
    /// The models tree.
    pub(super) models: Option<PathBuf>,
}

impl StudioFolder {
    /// Looks at a folder; blocking. `models_dir` is this installation's models folder.
    ///
    /// `Invalid` when the path is not absolute, is no folder, or holds nothing that can be taken over.
    pub(super) fn find(path: &Path, models_dir: &Path) -> Result<Self> {
        let invalid = |code, what: &str| Error::invalid(code, "path", format!("`{}` {what}", path.display()));
        if !path.is_absolute() {
            return Err(invalid("not_absolute", "is not an absolute path; begin it with `/`"));
        }
        let root = path
            .canonicalize()
            .map_err(|error| invalid("not_readable", &format!("cannot be read: {error}; check the path")))?;
        if !root.is_dir() {
            return Err(invalid("not_a_folder", "is not a folder; give the studio's folder itself"));
        }
        let below = |relative: &str| Some(root.join(relative)).filter(|path| path.is_dir());
        let catalogs = below("catalogs")
            .filter(|folder| ["models.json", "loras.json"].iter().any(|name| folder.join(name).is_file()));
        let found = Self {
            images: below("assets/images"),
            repository: below(".repo"),
            models: models_of(&root, models_dir, catalogs.is_some()),
            catalogs,
            root: root.clone(),
        };
        let is_empty = found.catalogs.is_none()
            && found.images.is_none()
            && found.repository.is_none()
            && found.models.is_none();
        if is_empty {
            let what = "holds nothing that can be adopted; give a folder with `catalogs/`, `assets/images/`, `.repo/` \
                        or `models/`";
            return Err(invalid("nothing_to_adopt", what));
        }
        Ok(found)
    }

    /// What is there and is not taken.
    pub(super) fn left(&self) -> Vec<LeftOut> {
        let is_there = |(path, _): &&(&str, &str)| self.root.join(path).exists();
        let left = |(path, reason): &(&str, &str)| LeftOut {
            path: (*path).to_owned(),
            reason: (*reason).to_owned(),
        };
        LEFT.iter().filter(is_there).map(left).collect()
    }
}

/// The models tree that belongs to a folder, every link resolved; `None` when there is none.
///
/// It is the folder's `models/` (or what other programs call it), the folder itself when it is such a tree, or the
/// `ComfyUI/models/` beside a studio's folder.
pub fn models_tree_of(folder: &Path) -> Option<PathBuf> {
    let root = folder.canonicalize().ok()?;
    let has_catalogs = root.join("catalogs").is_dir();
    models_of(&root, Path::new(""), has_catalogs)
}

fn models_of(root: &Path, models_dir: &Path, is_studio: bool) -> Option<PathBuf> {
    let own = models_dir.canonicalize().ok();
    if own.as_deref() == Some(root) {
        return own;
    }
    let below = MODELS.iter().map(|relative| root.join(relative));
    let beside = is_studio.then(|| root.parent().map(|parent| parent.join("ComfyUI/models"))).flatten();
    let itself = MODEL_FOLDERS.iter().any(|name| root.join(name).is_dir()).then(|| root.to_owned());
    below.chain(itself).chain(beside).find_map(|path| path.canonicalize().ok().filter(|path| path.is_dir()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn made(folders: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in folders {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        folder
    }

    #[test]
    fn the_models_of_every_program_are_found() {
        for models in ["models", "ComfyUI/models", "Data/Models"] {
            let folder = made(&[models]);
            let expected = folder.path().canonicalize().unwrap().join(models);
            assert_eq!(models_tree_of(folder.path()), Some(expected), "{models}");
        }
        let tree = made(&["Stable-diffusion"]);
        assert_eq!(models_tree_of(tree.path()), tree.path().canonicalize().ok());
        let pod = made(&["studio/catalogs", "ComfyUI/models"]);
        let beside = pod.path().canonicalize().unwrap().join("ComfyUI/models");
        assert_eq!(models_tree_of(&pod.path().join("studio")), Some(beside));
        assert_eq!(models_tree_of(made(&["other"]).path()), None);
    }

    #[test]
    fn a_path_that_is_no_studio_is_refused_with_what_would_be_one() {
        let folder = made(&["empty"]);
        fs::write(folder.path().join("file"), "x").unwrap();
        let code = |path: &Path| StudioFolder::find(path, Path::new("/nowhere")).unwrap_err().code();
        assert_eq!(code(Path::new("relative")), "not_absolute");
        assert_eq!(code(&folder.path().join("missing")), "not_readable");
        assert_eq!(code(&folder.path().join("file")), "not_a_folder");
        assert_eq!(code(&folder.path().join("empty")), "nothing_to_adopt");
    }
}
