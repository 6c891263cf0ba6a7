//! Entries: list, find, add, import, export, remove; and what is on disk beside them.

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Api, FileName, Reply, form};
use crate::args::Catalog;
use crate::failure::{Failure, Result};

/// A whole catalog with the state of each entry.
#[derive(Debug, Deserialize)]
pub(crate) struct Listing {
    pub(crate) categories: Vec<Category>,
}

/// One category of it; entries as JSON, so that nothing of them is lost.
#[derive(Debug, Deserialize)]
pub(crate) struct Category {
    pub(crate) id: String,
    pub(crate) models: Vec<Value>,
}

/// Sums of both catalogs.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct BothStats {
    pub(crate) models: Stats,
    pub(crate) loras: Stats,
}

/// Sums; byte counts are exact.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stats {
    pub(crate) free_bytes: u64,
    pub(crate) bin_bytes: u64,
    pub(crate) unlisted_count: u64,
    pub(crate) total_count: u64,
}

/// What the commands read of an entry.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) dest: String,
    #[serde(default)]
    pub(crate) base_model: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) progress: Option<f64>,
    #[serde(default)]
    pub(crate) on_disk_bytes: u64,
    #[serde(default)]
    pub(crate) expected_bytes: u64,
    /// `unverified`, `hashed`, `verified` or `mismatch`.
    #[serde(default)]
    pub(crate) verification: String,
    /// Where CivitAI and the file's keys differ, for people.
    #[serde(default)]
    pub(crate) base_model_conflict: Option<String>,
}

/// What to add.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct AddBody {
    pub(crate) reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// What came of adding.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Added {
    /// `added`, `already_exists` or `restricted`.
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) file: Option<String>,
    #[serde(default)]
    pub(crate) dest: Option<String>,
    #[serde(default)]
    pub(crate) catalog: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// What an import did.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ImportReport {
    pub(crate) added: Vec<Value>,
    pub(crate) skipped: Vec<Value>,
    #[serde(default)]
    pub(crate) errors: Vec<ImportFault>,
}

/// One refused entry.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ImportFault {
    pub(crate) index: u64,
    #[serde(default)]
    pub(crate) file: Value,
    pub(crate) message: String,
}

/// What a look at every file found.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ScanReport {
    pub(crate) files: u64,
    pub(crate) present: u64,
    pub(crate) missing: u64,
    pub(crate) appeared: u64,
    pub(crate) vanished: u64,
    pub(crate) changed: u64,
    pub(crate) unlisted: u64,
    pub(crate) elapsed_ms: u64,
}

/// A file on disk that no catalog knows.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UnlistedFile {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
}

/// What came of making entries of such files.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AdoptReport {
    pub(crate) adopted: Vec<String>,
    #[serde(default)]
    pub(crate) skipped: Vec<NotAdopted>,
}

/// One that stayed as it was.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NotAdopted {
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl Listing {
    /// Every entry in file order, with `catalog` and `category` as `GET …/by-file` has them.
    pub(crate) fn into_entries(self, catalog: Catalog) -> Result<Vec<Reply<Entry>>> {
        let mut entries = Vec::new();
        for category in self.categories {
            for mut json in category.models {
                if let Some(fields) = json.as_object_mut() {
                    fields.insert("catalog".to_owned(), catalog.as_str().into());
                    fields.insert("category".to_owned(), category.id.clone().into());
                }
                let data = Entry::deserialize(&json)
                    .map_err(|error| Failure::new("cannot read an entry of the list").caused_by(&error))?;
                entries.push(Reply { data, json });
            }
        }
        Ok(entries)
    }
}

impl Api {
    /// The whole catalog.
    pub(crate) async fn list(&self, catalog: Catalog) -> Result<Reply<Listing>> {
        self.get(&format!("/api/admin/{}", catalog.as_str())).await
    }

    /// The sums of both catalogs.
    pub(crate) async fn stats(&self) -> Result<Reply<BothStats>> {
        self.get("/api/admin/stats").await
    }

    /// Every entry of both catalogs, in the order in which names are looked up.
    pub(crate) async fn entries(&self) -> Result<Vec<Reply<Entry>>> {
        let mut entries = Vec::new();
        for catalog in Catalog::ALL {
            entries.extend(self.list(catalog).await?.data.into_entries(catalog)?);
        }
        Ok(entries)
    }

    /// One entry.
    pub(crate) async fn entry(&self, name: &FileName) -> Result<Reply<Entry>> {
        self.get(&name.path("/api/admin/entries/by-file", "")).await
    }

    /// Adds an entry from a reference.
    pub(crate) async fn add(&self, body: &AddBody) -> Result<Reply<Added>> {
        self.post_json("/api/admin/entries", body).await
    }

    /// Adds the new entries of a catalog file.
    pub(crate) async fn import(&self, catalog: Catalog, document: &[u8]) -> Result<Reply<ImportReport>> {
        let path = format!("/api/admin/{}/import", catalog.as_str());
        self.call(Method::POST, &path, Some(form("catalog.json", "application/json", document)?)).await
    }

    /// Adds the built-in list.
    pub(crate) async fn import_builtin(&self) -> Result<Reply<ImportReport>> {
        self.post("/api/admin/models/import-builtin").await
    }

    /// The catalog file, byte for byte.
    pub(crate) async fn export(&self, catalog: Catalog) -> Result<Bytes> {
        let path = format!("/api/admin/{}/export", catalog.as_str());
        Ok(self.send(Method::GET, &path, None).await?.body)
    }

    /// Takes an entry out of its catalog.
    pub(crate) async fn remove_entry(&self, name: &FileName) -> Result<Reply<Value>> {
        self.delete(&name.path("/api/admin/models", "/catalog")).await
    }

    /// Looks at every file by `stat`.
    pub(crate) async fn scan(&self) -> Result<Reply<ScanReport>> {
        self.post("/api/admin/scan").await
    }

    /// Files that no catalog knows.
    pub(crate) async fn unlisted(&self) -> Result<Vec<Reply<UnlistedFile>>> {
        self.rows("/api/admin/unlisted").await
    }

    /// Makes entries of them; of all when `paths` is empty.
    pub(crate) async fn adopt(&self, paths: &[String]) -> Result<Reply<AdoptReport>> {
        self.post_json("/api/admin/unlisted/adopt", &serde_json::json!({ "paths": paths })).await
    }
}
