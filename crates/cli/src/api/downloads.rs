//! The queue.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Api, FileName, Reply};
use crate::failure::Result;
use crate::units::whole_seconds;

/// What came of asking for a file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Enqueued {
    /// `queued`, `downloading` or `present`.
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) download_id: Option<String>,
}

/// One job.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Download {
    pub(crate) id: String,
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) dest: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) bytes_downloaded: u64,
    #[serde(default)]
    pub(crate) bytes_total: u64,
    #[serde(default)]
    pub(crate) speed: f64,
    #[serde(default)]
    pub(crate) eta_seconds: Option<f64>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) retry_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) retry_reason: Option<String>,
}

/// Where a job goes in the queue.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Move {
    To(&'static str),
    Priority(i64),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Changed {
    pub(crate) changed: u64,
}

impl Download {
    /// Why it waits and for how long, while it does: `the host answered 429; goes on in 42 s`.
    pub(crate) fn waits_for(&self, now: DateTime<Utc>) -> Option<String> {
        let left = (self.retry_at? - now).to_std().unwrap_or_default();
        let reason = self.retry_reason.as_deref().unwrap_or("it waits");
        Some(format!("{reason}; goes on in {}", whole_seconds(left.as_secs() + 1)))
    }

    /// Whether nothing more will happen without the user.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state.as_str(), "done" | "error" | "cancelled" | "quarantined")
    }

    /// Whether somebody works on it.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "downloading" | "retrying" | "verifying")
    }

    /// `folder/file`, which names it among others.
    pub(crate) fn path(&self) -> String {
        if self.dest.is_empty() { self.file.clone() } else { format!("{}/{}", self.dest, self.file) }
    }
}

impl Api {
    /// Asks for one file.
    pub(crate) async fn enqueue(&self, name: &FileName, force: bool) -> Result<Reply<Enqueued>> {
        let mut path = name.path("/api/admin/models/download", "");
        if force {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str("force=true");
        }
        self.post(&path).await
    }

    /// Jobs in these states, all when empty: running first, then the queue in its order, then what ended.
    pub(crate) async fn downloads(&self, states: &[&str]) -> Result<Vec<Reply<Download>>> {
        let query = if states.is_empty() { String::new() } else { format!("?state={}", states.join(",")) };
        self.rows(&format!("/api/admin/downloads{query}")).await
    }

    /// One job.
    pub(crate) async fn download(&self, id: &str) -> Result<Reply<Download>> {
        self.get(&format!("/api/admin/downloads/{}", super::segment(id))).await
    }

    /// `pause`, `resume`, `cancel` or `retry` for one job.
    pub(crate) async fn act(&self, id: &str, action: &str) -> Result<Reply<Download>> {
        self.post(&format!("/api/admin/downloads/{}/{action}", super::segment(id))).await
    }

    /// Moves one job within the queue.
    pub(crate) async fn move_to(&self, id: &str, to: Move) -> Result<Reply<Download>> {
        self.post_json(&format!("/api/admin/downloads/{}/move", super::segment(id)), &to).await
    }

    /// `pause-all` or `resume-all`; answers how many.
    pub(crate) async fn act_on_all(&self, action: &str) -> Result<(u64, Value)> {
        let reply: Reply<Changed> = self.post(&format!("/api/admin/downloads/{action}")).await?;
        Ok((reply.data.changed, reply.json))
    }
}
