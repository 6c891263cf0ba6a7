//! Taking over the folder of another program.

use serde::{Deserialize, Serialize};

use super::{Api, Reply};
use crate::failure::Result;

/// What to adopt and how.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AdoptBody {
    pub(crate) path: String,
    pub(crate) dry_run: bool,
    pub(crate) unlisted: bool,
    /// `false`, `true` for those of the configuration, or a list of flavours.
    pub(crate) sidecars: serde_json::Value,
}

/// The present or last adoption.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Adoption {
    /// `idle`, `running`, `interrupted`, `done`, `cancelled` or `failed`.
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
    #[serde(default)]
    pub(crate) phase: String,
    #[serde(default)]
    pub(crate) done: u64,
    #[serde(default)]
    pub(crate) total: u64,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) report: Option<lorakeep_registry::AdoptionReport>,
    pub(crate) hashing: Hashing,
}

/// How far the hashing is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hashing {
    pub(crate) is_running: bool,
    #[serde(default)]
    pub(crate) current: Option<String>,
    pub(crate) done_bytes: u64,
    pub(crate) left_files: u64,
    pub(crate) left_bytes: u64,
}

impl Api {
    /// Begins to take a folder over.
    pub(crate) async fn start_adoption(&self, body: &AdoptBody) -> Result<Reply<Adoption>> {
        self.post_json("/api/admin/adopt", body).await
    }

    /// The present or last adoption.
    pub(crate) async fn adoption(&self) -> Result<Reply<Adoption>> {
        self.get("/api/admin/adopt").await
    }

    /// Stops the present one.
    pub(crate) async fn cancel_adoption(&self) -> Result<Reply<Adoption>> {
        self.delete("/api/admin/adopt").await
    }
}
