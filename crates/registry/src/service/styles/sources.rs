//! From what a style is made: an entry, or the entries of a pair.

use std::sync::Arc;

use crate::domain::{
    CatalogName, Entry, EntryId, ModelPath, PairRole, Sha256, Style, StyleFile, StyleStrengths, loader_path,
};
use crate::error::{Error, Result, Thing};
use crate::library::Library;
use crate::service::Registry;

/// What a style is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StyleSource {
    /// One entry: its id, its file name, or folder and file name.
    Entry(String),
    /// The entries that share that `pair_id`.
    Pair(String),
    /// Two entries, named as one is, that no catalog calls a pair; uploads are such.
    Halves {
        /// For the high-noise model.
        high: String,
        /// For the low-noise model.
        low: String,
    },
}

/// A file of a style as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StyleFileState {
    /// Role and strength.
    pub file: StyleFile,
    /// The entry, while a catalog has it.
    pub entry: Option<Arc<Entry>>,
    /// Whether the file is on disk.
    pub is_present: bool,
    /// Its length in bytes, while it is on disk.
    pub size_bytes: Option<u64>,
    /// Its SHA-256: of the file on disk, else as its source published it; `None` until one is known.
    pub sha256: Option<Sha256>,
}

/// The entry of a style's file: by its id, else by its place.
pub(super) fn entry_of<'a>(library: &'a Library, file: &StyleFile) -> Option<&'a Arc<Entry>> {
    library.entry(file.entry_id).or_else(|| library.entries_at(&file.path).first())
}

impl Registry {
    /// The files of a style as they stand.
    pub fn style_files(&self, style: &Style) -> Vec<StyleFileState> {
        let library = self.library();
        let state = |file: &StyleFile| {
            let entry = entry_of(&library, file).cloned();
            let path = entry.as_ref().map_or(&file.path, |entry| &entry.path);
            let fact = library.file(path);
            let sha256 = fact.and_then(|fact| fact.sha256).or_else(|| library.published(path));
            StyleFileState {
                is_present: fact.is_some(),
                size_bytes: fact.map(|fact| fact.stamp.size_bytes),
                sha256,
                entry,
                file: file.clone(),
            }
        };
        style.files.iter().map(state).collect()
    }

    /// The files that a source means, one a role, in the order of the roles.
    pub(super) fn files_of(&self, source: &StyleSource, strengths: StyleStrengths) -> Result<Vec<StyleFile>> {
        let by_role = |entry: Arc<Entry>| (entry.document.pair_role(), entry);
        let entries = match source {
            StyleSource::Entry(name) => vec![by_role(self.entry_named(name)?)],
            StyleSource::Pair(pair_id) => self.entries_of_pair(pair_id)?.into_iter().map(by_role).collect(),
            StyleSource::Halves { high, low } => {
                vec![(PairRole::High, self.entry_named(high)?), (PairRole::Low, self.entry_named(low)?)]
            }
        };
        let mut files: Vec<StyleFile> = Vec::new();
        for (role, entry) in entries {
            must_be_lora(&entry)?;
            // As for the picker: a later entry of the same role stands for an earlier one.
            files.retain(|file| file.role != role);
            files.push(StyleFile {
                role,
                entry_id: entry.id,
                path: entry.path.clone(),
                strength: strengths.of(role),
            });
        }
        files.sort_by_key(|file| file.role);
        Ok(files)
    }

    fn entry_named(&self, name: &str) -> Result<Arc<Entry>> {
        let name = name.trim();
        if let Some(entry) = name.parse().ok().and_then(|id: EntryId| self.find_entry_by_id(id)) {
            return Ok(entry);
        }
        let (dest, file) = name.rsplit_once('/').map_or((None, name), |(dest, file)| (Some(dest), file));
        let library = self.library();
        library.find(file, dest).cloned().ok_or_else(|| Error::not_found(Thing::Entry, name))
    }

    fn entries_of_pair(&self, pair_id: &str) -> Result<Vec<Arc<Entry>>> {
        let library = self.library();
        let is_of_it = |entry: &&Arc<Entry>| entry.document.text("pair_id") == pair_id;
        let entries: Vec<Arc<Entry>> = library.paired().iter().filter(is_of_it).cloned().collect();
        if entries.is_empty() {
            return Err(Error::not_found(Thing::Pair, pair_id));
        }
        Ok(entries)
    }
}

/// A style is of LoRAs alone: entries of their catalog, or below their folder.
fn must_be_lora(entry: &Entry) -> Result<()> {
    let dest = entry.dest();
    if entry.catalog == CatalogName::Loras || dest == "loras" || dest.starts_with("loras/") {
        return Ok(());
    }
    let message =
        format!("`{}` is no LoRA: it is neither in the catalog `loras` nor below `loras/`", entry.path);
    Err(Error::invalid("not_a_lora", "entry", message))
}

/// The words that the LoRAs of a style listen to, each once.
pub(super) fn trigger_words(files: &[StyleFileState]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for entry in files.iter().filter_map(|state| state.entry.as_deref()) {
        let own = ["trigger_words", "trainedWords"];
        let field = own.into_iter().find(|field| entry.document.texts(field).next().is_some());
        for word in field.into_iter().flat_map(|field| entry.document.texts(field)).map(str::trim) {
            if !word.is_empty() && !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
    }
    words
}

/// The first base model that an entry of a style says; may be empty.
pub(super) fn base_model(library: &Library, style: &Style) -> String {
    let mut names =
        style.files.iter().filter_map(|file| Some(entry_of(library, file)?.document.base_model()));
    names.find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}

impl StyleFileState {
    /// The path that a ComfyUI loader knows the file by: below its `loras` folder.
    pub fn loader_path(&self) -> String {
        loader_path(self.path())
    }

    /// Where the file is, or was last.
    pub fn path(&self) -> &ModelPath {
        self.entry.as_ref().map_or(&self.file.path, |entry| &entry.path)
    }

    /// Its part in the pair.
    pub fn role(&self) -> PairRole {
        self.file.role
    }
}
