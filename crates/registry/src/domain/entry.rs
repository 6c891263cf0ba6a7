//! One file that the catalog knows.
//!
//! The document is the JSON object that stands in the catalog file, with its fields in their order and with fields that
//! we do not know. It is the truth; the accessors here are the only readers, so that ids as number or as string and
//! missing fields are dealt with once.

use lorakeep_weights::Sha256;

use super::document::{EntryDocument, FieldValue};
use super::{CatalogName, EntryId, ModelPath};
use crate::error::Invalid;

/// One entry of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its internal id, the same for ever.
    pub id: EntryId,
    /// The catalog it is in.
    pub catalog: CatalogName,
    /// The id of its category.
    pub category: String,
    /// Where its file belongs below the models root; unique within the catalog.
    pub path: ModelPath,
    /// Everything else.
    pub document: EntryDocument,
}

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A version on CivitAI.
    Civitai {
        /// Version id.
        version_id: u64,
        /// File id; the primary file when absent.
        file_id: Option<u64>,
        /// Model id, if known.
        model_id: Option<u64>,
    },
    /// A file in a Hugging Face repository.
    HuggingFace {
        /// `owner/name` (or a bare `name`).
        repo: String,
        /// Path within the repository.
        file: String,
        /// Branch, tag or commit; `main` when absent.
        revision: Option<String>,
    },
    /// A plain address.
    Url(String),
}

/// The role of an entry in its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PairRole {
    /// For the high-noise model.
    High,
    /// For the low-noise model.
    Low,
    /// For both.
    Both,
}

impl PairRole {
    /// Every role, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::High, Self::Low, Self::Both];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Both => "both",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl Entry {
    /// Reads what must hold of a document: a safe `file` and `dest`.
    pub fn from_document(
        id: EntryId,
        catalog: CatalogName,
        category: impl Into<String>,
        document: EntryDocument,
    ) -> Result<Self, Invalid> {
        let path = document.path()?;
        Ok(Self { id, catalog, category: category.into(), path, document })
    }

    /// The file name.
    pub fn file(&self) -> &str {
        self.path.file.as_str()
    }

    /// The folder below the models root.
    pub fn dest(&self) -> &str {
        self.path.folder.as_str()
    }
}

impl EntryDocument {
    /// The text of a field; empty when absent or not a string.
    pub fn text(&self, field: &str) -> &str {
        self.get(field).and_then(FieldValue::as_str).unwrap_or_default()
    }

    /// The text of a field when there is one that is not empty.
    pub fn some_text(&self, field: &str) -> Option<&str> {
        Some(self.text(field)).filter(|text| !text.is_empty())
    }

    /// A number that may be written as number or as string, as ids are.
    pub fn id(&self, field: &str) -> Option<u64> {
        let value = self.get(field)?;
        let number =
            value.as_number().and_then(|number| number.as_u64().or_else(|| number.as_f64().and_then(whole)));
        let id = number.or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
        id.filter(|&id| id > 0)
    }

    /// The number of a field.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.get(field).and_then(FieldValue::as_f64)
    }

    /// Whether a field is `true`.
    pub fn flag(&self, field: &str) -> bool {
        self.get(field).and_then(FieldValue::as_bool).unwrap_or_default()
    }

    /// Folder and file name, judged.
    pub fn path(&self) -> Result<ModelPath, Invalid> {
        for field in ["file", "dest"] {
            if self.get(field).is_some_and(|value| value.as_str().is_none() && !value.is_null()) {
                return Err(Invalid {
                    code: "wrong_type",
                    field: field.to_owned(),
                    message: format!("`{field}` must be a string"),
                    suggestion: None,
                });
            }
        }
        ModelPath::parse(self.text("dest"), self.text("file"))
    }

    /// The name shown to people; the file name when there is none.
    pub fn name(&self) -> &str {
        self.some_text("name").unwrap_or_else(|| self.text("file"))
    }

    /// `base_model`, else what CivitAI says, else empty.
    pub fn base_model(&self) -> &str {
        self.some_text("base_model").unwrap_or_else(|| self.text("civitai_base_model"))
    }

    /// Where its bytes come from, in the contract's order: CivitAI version, Hugging Face file, address.
    pub fn origin(&self) -> Option<Origin> {
        if let Some(version_id) = self.id("civitai_version_id") {
            let (file_id, model_id) = (self.id("civitai_file_id"), self.id("civitai_model_id"));
            return Some(Origin::Civitai { version_id, file_id, model_id });
        }
        if let (Some(repo), Some(file)) = (self.some_text("hf_repo"), self.some_text("hf_file")) {
            let revision = self.some_text("hf_revision").map(str::to_owned);
            return Some(Origin::HuggingFace { repo: repo.to_owned(), file: file.to_owned(), revision });
        }
        self.some_text("url").map(|url| Origin::Url(url.to_owned()))
    }

    /// The SHA-256 that the catalog states; anything that is not 64 hex digits counts as none.
    pub fn sha256(&self) -> Option<Sha256> {
        ["sha256", "hash"].into_iter().find_map(|field| self.text(field).trim().parse().ok())
    }

    /// The size that the catalog states: exact `size_bytes`, else `size_gb` in units of 1e9 (an estimate).
    pub fn expected_bytes(&self) -> u64 {
        if let Some(exact) = self.get("size_bytes").and_then(FieldValue::as_u64) {
            return exact;
        }
        self.number("size_gb")
            .filter(|gigabytes| gigabytes.is_finite() && *gigabytes > 0.0)
            .map_or(0, |gb| (gb * 1e9) as u64)
    }

    /// The role in the pair; `both` when absent or unknown.
    pub fn pair_role(&self) -> PairRole {
        PairRole::parse(self.text("pair_role")).unwrap_or(PairRole::Both)
    }
}

/// A float that is a whole number in the safe range.
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
}
