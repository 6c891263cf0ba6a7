//! Who is let in: the admin key, teams and their keys.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Reply, segment};
use crate::failure::Result;

/// A key, shown once.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewKey {
    pub(crate) key: String,
}

/// A team of the public API.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Team {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) pinned_version: Option<String>,
    pub(crate) created_at: String,
}

/// A key of a team; with the key itself when it was just made.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TeamKey {
    #[serde(default)]
    pub(crate) key: Option<String>,
    pub(crate) team: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) status: String,
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) last_used_at: Option<String>,
}

impl Api {
    /// Replaces the admin key.
    pub(crate) async fn rotate_admin_key(&self) -> Result<Reply<NewKey>> {
        self.post("/api/admin/admin-key/rotate").await
    }

    /// Every team, by name.
    pub(crate) async fn teams(&self) -> Result<Vec<Reply<Team>>> {
        self.rows("/api/admin/teams").await
    }

    /// Makes a team.
    pub(crate) async fn create_team(&self, name: &str) -> Result<Reply<Team>> {
        self.post_json("/api/admin/teams", &json!({ "name": name })).await
    }

    /// Pins a version of the public API, or lets go of it.
    pub(crate) async fn pin_team(&self, team: &str, version: Option<&str>) -> Result<Reply<Team>> {
        let path = format!("/api/admin/teams/{}", segment(team));
        self.patch_json(&path, &json!({ "pinned_version": version })).await
    }

    /// Removes a team with its keys.
    pub(crate) async fn remove_team(&self, team: &str) -> Result<Reply<Team>> {
        self.delete(&format!("/api/admin/teams/{}", segment(team))).await
    }

    /// Keys, newest first, of one team or of all.
    pub(crate) async fn team_keys(&self, team: Option<&str>) -> Result<Vec<Reply<TeamKey>>> {
        let query = team.map(|team| format!("?team={}", segment(team))).unwrap_or_default();
        self.rows(&format!("/api/admin/keys{query}")).await
    }

    /// Makes a key, or takes one over when `new` holds it.
    pub(crate) async fn create_team_key(&self, new: &Value) -> Result<Reply<TeamKey>> {
        self.post_json("/api/admin/keys", new).await
    }

    /// Ends a key.
    pub(crate) async fn revoke_team_key(&self, key: &str) -> Result<Reply<TeamKey>> {
        self.post(&format!("/api/admin/keys/{}/revoke", segment(key))).await
    }

    /// Replaces a key, which goes on for so many seconds.
    pub(crate) async fn rotate_team_key(&self, key: &str, overlap_seconds: i64) -> Result<Reply<TeamKey>> {
        let path = format!("/api/admin/keys/{}/rotate", segment(key));
        self.post_json(&path, &json!({ "overlap_seconds": overlap_seconds })).await
    }
}
