//! Adding an entry from a reference: a CivitAI or Hugging Face link or id, an AIR, or a plain address.

use super::{EntryState, Registry};
use crate::domain::CatalogName;
use crate::error::Result;

/// What to add, and what the user wants other than the defaults that follow from the upstream's type.
#[derive(Debug, Clone, Default)]
pub struct AddRequest {
    /// `https://civitai.com/models/1?modelVersionId=2`, `civitai:2`, `urn:air:…`, `https://huggingface.co/o/r/blob/main/f`,
    /// `hf:o/r/f`, `o/r:f`, `o/r@rev:f`, or any `http(s)` address of a file.
    pub reference: String,
    /// Default: `models`.
    pub catalog: Option<CatalogName>,
    /// Default by type.
    pub category: Option<String>,
    /// Folder below the models root; default by type.
    pub dest: Option<String>,
    /// Local file name; default: the upstream's.
    pub file: Option<String>,
    /// Shown name; default: the upstream's.
    pub name: Option<String>,
    /// Default: the upstream's.
    pub base_model: Option<String>,
    /// SHA-256 that the user knows, for a plain address.
    pub sha256: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Added {
    /// A new entry.
    New(EntryState),
    /// The catalog had it.
    AlreadyExists(EntryState),
    /// The upstream does not give it out; the reason says why.
    Restricted {
        /// For people.
        reason: String,
    },
}

impl Registry {
    /// Resolves the reference, fills name, folder, size, hash and base model, and adds the entry. Downloads nothing.
    pub async fn add(&self, request: AddRequest) -> Result<Added> {
        let _ = request;
        todo!()
    }
}
