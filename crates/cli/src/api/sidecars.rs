//! Writing sidecars.

use serde::Deserialize;
use serde_json::json;

use super::{Api, Reply};
use crate::failure::Result;

/// A run, going on or ended.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SidecarReport {
    pub(crate) is_running: bool,
    pub(crate) total_files: u64,
    pub(crate) done_files: u64,
    pub(crate) written: u64,
    pub(crate) not_written: u64,
    /// The first thousand of those that were not written.
    pub(crate) refusals: Vec<SidecarRefusal>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// A sidecar that was left as it is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SidecarRefusal {
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl Api {
    /// Starts writing sidecars beside these files, or beside all that are present.
    pub(crate) async fn start_sidecars(
        &self,
        files: &[String],
        flavours: &[String],
    ) -> Result<Reply<SidecarReport>> {
        self.post_json("/api/admin/sidecars", &json!({ "filenames": files, "flavours": flavours })).await
    }

    /// The present or last run.
    pub(crate) async fn sidecar_report(&self) -> Result<Reply<SidecarReport>> {
        self.get("/api/admin/sidecars").await
    }

    /// Stops the present run.
    pub(crate) async fn cancel_sidecars(&self) -> Result<Reply<SidecarReport>> {
        self.delete("/api/admin/sidecars").await
    }
}
