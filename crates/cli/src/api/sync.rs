//! Following a catalog in a repository.

use serde::Deserialize;

use super::{Api, Reply};
use crate::failure::Result;

/// What the repository has.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UpdateCheck {
    /// `update_available` or `up_to_date`.
    pub(crate) status: String,
    pub(crate) version: i64,
    #[serde(default)]
    pub(crate) remote_version: Option<i64>,
    #[serde(default)]
    pub(crate) remote_date: Option<String>,
}

/// What a sync did, or would do.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SyncReport {
    /// `updated`, `would_update` or `up_to_date`.
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) version: Option<i64>,
    #[serde(default)]
    pub(crate) new_version: Option<i64>,
    #[serde(default)]
    pub(crate) added: Vec<String>,
    #[serde(default)]
    pub(crate) updated: Vec<String>,
    #[serde(default)]
    pub(crate) kept: Vec<String>,
    #[serde(default)]
    pub(crate) conflicts: Vec<SyncConflict>,
}

/// A field that both sides changed; the one here stays.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SyncConflict {
    pub(crate) file: String,
    pub(crate) field: String,
}

impl Api {
    /// Clones or fetches the configured repository.
    pub(crate) async fn check_updates(&self) -> Result<Reply<UpdateCheck>> {
        self.post("/api/admin/models/check-updates").await
    }

    /// Merges the repository's catalog.
    pub(crate) async fn sync(&self, dry_run: bool) -> Result<Reply<SyncReport>> {
        let path = "/api/admin/models/sync";
        if dry_run { self.post(&format!("{path}?dry_run=true")).await } else { self.post(path).await }
    }
}
