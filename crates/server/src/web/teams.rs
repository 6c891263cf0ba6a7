//! Teams of the public API and their keys.

use askama::Template;
use axum::extract::State;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use lorakeep_registry::PageRequest;
use lorakeep_registry::domain::{ApiVersion, Team, TeamKey, TeamScope};
use serde::Deserialize;

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;
use crate::extract::{FileName, Query};

/// Keys on a page.
const SHOWN: u32 = 50;

#[derive(Template)]
#[template(path = "teams.html")]
struct TeamsPage {
    frame: Frame,
    teams: Vec<Team>,
}

#[derive(Template)]
#[template(path = "team.html")]
struct TeamPage {
    frame: Frame,
    team: Team,
    keys: Vec<KeyRow>,
    total: u64,
    next: Option<String>,
    versions: Vec<ApiVersion>,
    scopes: [TeamScope; TeamScope::ALL.len()],
}

/// One key as the page shows it.
struct KeyRow {
    id: String,
    name: String,
    /// Its first characters.
    lookup: String,
    state: &'static str,
    scopes: String,
    calls_per_minute: Option<u32>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    is_in_force: bool,
}

/// Where a page of keys begins.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    cursor: Option<String>,
}

pub(super) async fn list(State(app): AppState, headers: HeaderMap) -> Page {
    let teams = app.registry().list_teams().await?;
    page::render(&headers, &TeamsPage { frame: Frame::new("/teams"), teams })
}

pub(super) async fn show(
    State(app): AppState,
    FileName(team): FileName,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Page {
    let registry = app.registry();
    let team = registry.load_team(&team).await?;
    let request = PageRequest { limit: Some(SHOWN), cursor: from.cursor };
    let keys = registry.list_team_keys(Some(&team.id.to_string()), &request).await?;
    let now = registry.now();
    let template = TeamPage {
        frame: Frame::new("/teams"),
        team,
        keys: keys.items.into_iter().map(|key| KeyRow::new(key, now)).collect(),
        total: keys.total,
        next: keys.next_cursor,
        versions: ApiVersion::all().collect(),
        scopes: TeamScope::ALL,
    };
    page::render(&headers, &template)
}

impl KeyRow {
    fn new(key: TeamKey, now: DateTime<Utc>) -> Self {
        let is_in_force = key.is_in_force(now);
        let state = match key.revoked_at {
            Some(_) => "revoked",
            None if is_in_force => "active",
            None => "expired",
        };
        Self {
            id: key.id.to_string(),
            name: key.name,
            lookup: key.lookup,
            state,
            scopes: key.scopes.into_iter().map(shown).collect::<Vec<_>>().join(", "),
            calls_per_minute: key.calls_per_minute,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            is_in_force,
        }
    }
}

/// What a scope allows, for people.
fn shown(scope: TeamScope) -> &'static str {
    match scope {
        TeamScope::ReadStyles => "list styles",
        TeamScope::Generate => "make pictures",
    }
}

impl TeamPage {
    /// Where the body begins that makes a key of this team.
    fn key_body(&self) -> String {
        serde_json::json!({ "team": self.team.id.to_string() }).to_string()
    }

    fn is_pinned(&self, version: &ApiVersion) -> bool {
        self.team.pinned_version == Some(*version)
    }

    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn default_version(&self) -> ApiVersion {
        ApiVersion::DEFAULT
    }

    #[expect(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "templates call it on their page, with what they loop over"
    )]
    fn shown(&self, scope: &TeamScope) -> &'static str {
        shown(*scope)
    }
}
