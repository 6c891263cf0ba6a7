//! Teams and their keys.

use chrono::{DateTime, Utc};
use lorakeep_registry::domain::{ApiVersion, Team, TeamKey, TeamScope};
use schemars::JsonSchema;
use serde::Serialize;

use super::time;

/// One team.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct TeamView {
    id: String,
    name: String,
    pinned_version: Option<&'static str>,
    created_at: String,
}

impl From<Team> for TeamView {
    fn from(team: Team) -> Self {
        Self {
            id: team.id.to_string(),
            name: team.name,
            pinned_version: team.pinned_version.map(ApiVersion::as_str),
            created_at: time(team.created_at),
        }
    }
}

/// One key, without itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct TeamKeyView {
    id: String,
    team_id: String,
    team: String,
    name: String,
    /// Its first characters.
    prefix: String,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
    scopes: Vec<&'static str>,
    calls_per_minute: Option<u32>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
}

impl TeamKeyView {
    pub(in crate::studio) fn new(key: TeamKey, now: DateTime<Utc>) -> Self {
        let status = match key.revoked_at {
            Some(_) => "revoked",
            None if key.is_in_force(now) => "active",
            None => "expired",
        };
        Self {
            id: key.id.to_string(),
            team_id: key.team_id.to_string(),
            team: key.team,
            name: key.name,
            prefix: key.lookup,
            status,
            scopes: key.scopes.into_iter().map(TeamScope::as_str).collect(),
            calls_per_minute: key.calls_per_minute,
            created_at: time(key.created_at),
            expires_at: key.expires_at.map(time),
            revoked_at: key.revoked_at.map(time),
            last_used_at: key.last_used_at.map(time),
        }
    }
}

/// A new key, with itself for once.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct NewKeyView {
    /// Not for one from elsewhere, which its owner has.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(flatten)]
    made: TeamKeyView,
}

impl NewKeyView {
    pub(in crate::studio) fn new(key: Option<String>, made: TeamKey, now: DateTime<Utc>) -> Self {
        Self { key, made: TeamKeyView::new(made, now) }
    }
}
