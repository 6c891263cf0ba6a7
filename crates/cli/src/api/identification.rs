//! Looking files up by their hash, and the same content more than once.

use serde::Deserialize;

use super::bin::BinItem;
use super::{Api, Reply};
use crate::failure::Result;

/// A run of looking up, going on or ended.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LookupReport {
    pub(crate) is_running: bool,
    pub(crate) total_files: u64,
    pub(crate) done_files: u64,
    pub(crate) total_bytes: u64,
    pub(crate) done_bytes: u64,
    #[serde(default)]
    pub(crate) error: Option<String>,
    pub(crate) files: Vec<LookedUp>,
}

/// What is known of one file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LookedUp {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) civitai: Option<Found>,
    #[serde(default)]
    pub(crate) file_facts: Option<SaidOfFile>,
    #[serde(default)]
    pub(crate) applied: Vec<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// A version on CivitAI.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    #[serde(default)]
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) base_model: Option<String>,
}

/// What a file says of itself, as far as the table shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SaidOfFile {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) base_model: Option<String>,
    #[serde(default)]
    pub(crate) confidence: f64,
}

/// Files that are there more than once.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Duplicates {
    pub(crate) items: Vec<DuplicateGroup>,
    pub(crate) total: u64,
    pub(crate) wasted_bytes: u64,
    pub(crate) unhashed_files: u64,
    pub(crate) unhashed_bytes: u64,
}

/// The same files.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DuplicateGroup {
    /// `content` or `tensors`.
    pub(crate) same: String,
    pub(crate) wasted_bytes: u64,
    pub(crate) files: Vec<DuplicateFile>,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DuplicateFile {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    #[serde(default)]
    pub(crate) is_listed: bool,
    #[serde(default)]
    pub(crate) is_shared: bool,
    #[serde(default)]
    pub(crate) is_kept: bool,
}

impl Api {
    /// Starts looking files up; those that name no source when none is named.
    pub(crate) async fn start_lookup(&self, paths: &[String], apply: bool) -> Result<Reply<LookupReport>> {
        self.post_json("/api/admin/identify", &serde_json::json!({ "paths": paths, "apply": apply })).await
    }

    /// The present or last run.
    pub(crate) async fn lookup(&self) -> Result<Reply<LookupReport>> {
        self.get("/api/admin/identify").await
    }

    /// Stops the present run.
    pub(crate) async fn cancel_lookup(&self) -> Result<Reply<LookupReport>> {
        self.delete("/api/admin/identify").await
    }

    /// The same content more than once.
    pub(crate) async fn duplicates(&self) -> Result<Reply<Duplicates>> {
        self.get("/api/admin/duplicates").await
    }

    /// Moves a copy to the bin; another one must be there.
    pub(crate) async fn bin_duplicate(&self, path: &str) -> Result<Reply<BinItem>> {
        self.post_json("/api/admin/duplicates/bin", &serde_json::json!({ "path": path })).await
    }
}
