//! What a folder holds and what was taken of it: the same report before and after. It is stored, and answered as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Warnings that are kept one by one; the others are counted.
const MOST_WARNINGS: usize = 200;

/// What an adoption found and took. After a dry run `added`, `taken` and the like say what would be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdoptionReport {
    /// The catalogs of the folder.
    pub catalogs: Vec<CatalogFinding>,
    /// The model files.
    pub files: FileFinding,
    /// The gallery, when there is one.
    pub gallery: Option<GalleryFinding>,
    /// The clone of a catalog repository, when there is one.
    pub repository: Option<RepositoryFinding>,
    /// What other programs wrote beside the models.
    pub sidecars: SidecarFinding,
    /// What is in the folder and is not taken, with the reason.
    pub left: Vec<LeftOut>,
    /// What could not be used and why, each naming its file.
    pub warnings: Vec<String>,
    /// How many warnings there were, also those that are not kept.
    pub warnings_total: u64,
}

/// One catalog file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CatalogFinding {
    /// `models` or `loras`.
    pub catalog: String,
    /// The file, absolute.
    pub path: String,
    /// Its version.
    pub version: Option<i64>,
    /// Its date.
    pub date: Option<String>,
    /// Entries that can be used.
    pub entries: u64,
    /// Entries that are new here.
    pub added: u64,
    /// Entries that were here already; they stay as they are.
    pub known: u64,
    /// Entries whose file is on disk.
    pub present: u64,
    /// Entries whose file is not.
    pub missing: u64,
    /// Its categories in their order.
    pub categories: Vec<CategoryFinding>,
    /// Entries that cannot be used.
    pub errors: Vec<EntryFinding>,
    /// Why the file cannot be used at all.
    pub error: Option<String>,
}

/// One category of a catalog file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryFinding {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its entries.
    pub entries: u64,
    /// Those whose file is on disk.
    pub present: u64,
    /// Those whose file is not.
    pub missing: u64,
}

/// An entry that cannot be used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryFinding {
    /// Which entry of the file, from 0.
    pub index: u64,
    /// Its `file`, as far as it has one.
    pub file: String,
    /// The field at fault.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// The model files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileFinding {
    /// The models folder of this installation.
    pub models_dir: String,
    /// The tree of models that belongs to the adopted folder, when one was found.
    pub found_in: Option<String>,
    /// Whether the two are the same; files elsewhere are not seen.
    pub is_models_dir: bool,
    /// Model files on disk.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Model files that no catalog knows, those of the adopted folder included.
    pub unlisted: u64,
    /// Unlisted files that became entries.
    pub adopted: u64,
    /// Model files whose SHA-256 is known.
    pub hashed: u64,
}

/// The gallery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GalleryFinding {
    /// The folder, absolute.
    pub path: String,
    /// Pictures.
    pub images: u64,
    /// Videos.
    pub videos: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Pictures and videos that are new here.
    pub added: u64,
    /// Those that were here already.
    pub known: u64,
    /// Files that are neither picture nor video.
    pub unusable: u64,
    /// Pictures that stand for a model by a user's choice.
    pub chosen_previews: u64,
}

/// The clone of a catalog repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RepositoryFinding {
    /// The folder, absolute.
    pub path: String,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether it was (or would be) copied; not when there is a clone here already, or when it lies here.
    pub is_taken: bool,
}

/// Sidecars and previews beside models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SidecarFinding {
    /// `.civitai.info` files.
    pub civitai_info: u64,
    /// `.json` files of A1111 and its relatives.
    pub a1111: u64,
    /// `.metadata.json` files of LoRA Manager.
    pub lora_manager: u64,
    /// `.cm-info.json` files of Stability Matrix.
    pub stability_matrix: u64,
    /// Previews.
    pub previews: u64,
    /// Sidecars that could not be read.
    pub unreadable: u64,
    /// Entries that learned something.
    pub entries_filled: u64,
    /// Previews that are new in the gallery.
    pub previews_added: u64,
    /// Sidecars that were written.
    pub written: u64,
    /// Sidecars that were not written, since somebody else's could not be kept whole.
    pub not_written: u64,
}

/// Something that is not taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// What, below the adopted folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl SidecarFinding {
    /// Adds how many there were, in the order of `SidecarFlavour::ALL`.
    pub(super) fn count(&mut self, counts: [u64; 4]) {
        let own =
            [&mut self.civitai_info, &mut self.lora_manager, &mut self.stability_matrix, &mut self.a1111];
        own.into_iter().zip(counts).for_each(|(own, count)| *own += count);
    }
}

impl AdoptionReport {
    /// Notes what could not be used; the text names the file.
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        tracing::warn!("adoption: {text}");
        self.warnings_total += 1;
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(text);
        }
    }

    /// Whether anything was taken, or would be.
    pub fn changes_anything(&self) -> bool {
        self.catalogs.iter().any(|catalog| catalog.added > 0)
            || self.gallery.as_ref().is_some_and(|gallery| gallery.added > 0 || gallery.chosen_previews > 0)
            || self.repository.as_ref().is_some_and(|repository| repository.is_taken)
            || self.files.adopted + self.sidecars.entries_filled + self.sidecars.previews_added > 0
            || self.sidecars.written > 0
    }
}
