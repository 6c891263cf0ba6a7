//! Teams of the public API and their keys.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderName;
use http::header::CACHE_CONTROL;
use lorakeep_registry::NewTeamKey;
use lorakeep_registry::domain::{ApiVersion, TeamScope};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::{self, FileName, Json, OptionalJson, PageQuery, Query};
use super::views::{NewKeyView, PageView, TeamKeyView, TeamView};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

/// A key is shown once and kept by nobody.
const NOWHERE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];
/// How long a replaced key goes on when nobody says, seconds: a day.
const OVERLAP_SECONDS: i64 = 86_400;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/teams", get(list_teams).post(create_team))
        .route("/api/admin/teams/{team}", get(show_team).patch(change_team).delete(delete_team))
        .route("/api/admin/keys", get(list_keys).post(create_key))
        .route("/api/admin/keys/{key}/revoke", post(revoke_key))
        .route("/api/admin/keys/{key}/rotate", post(rotate_key))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Teams and keys",
        [
            Operation::get("/api/admin/teams", "The teams by name").json::<PageView<TeamView>>(),
            Operation::post("/api/admin/teams", "Makes a team")
                .body::<TeamBody>(json!({"name": "north"}))
                .json::<TeamView>()
                .refuses([409]),
            Operation::get("/api/admin/teams/{team}", "One team").json::<TeamView>(),
            Operation::patch("/api/admin/teams/{team}", "Pins the version that its calls mean; null lets go")
                .body::<TeamChange>(json!({"pinned_version": "2026-05-15"}))
                .json::<TeamView>(),
            Operation::delete("/api/admin/teams/{team}", "Removes a team; its keys stop").json::<TeamView>(),
            Operation::get("/api/admin/keys", "Keys, newest first")
                .query::<KeysQuery>()
                .json::<PageView<TeamKeyView>>()
                .refuses([404]),
            Operation::post("/api/admin/keys", "Makes a key, or takes over one that begins with `og_`")
                .body::<KeyBody>(json!({"team": "$TEAM", "name": "generator", "scopes": ["styles:read"]}))
                .json::<NewKeyView>()
                .refuses([404, 409]),
            Operation::post(
                "/api/admin/keys/{key}/rotate",
                "Makes a key like it; the old one goes on for a while",
            )
            .optional_body::<RotateBody>(json!({"overlap_seconds": 3600}))
            .json::<NewKeyView>()
            .refuses([409]),
            Operation::post("/api/admin/keys/{key}/revoke", "Ends a key on every server within a second")
                .json::<TeamKeyView>(),
        ],
    )
}

async fn list_teams(State(app): AppState) -> Result<JsonBody<PageView<TeamView>>, Refusal> {
    let teams = app.registry().list_teams().await?;
    Ok(JsonBody(PageView::all(teams.into_iter().map(TeamView::from).collect())))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TeamBody {
    name: String,
}

async fn create_team(
    State(app): AppState,
    Json(body): Json<TeamBody>,
) -> Result<JsonBody<TeamView>, Refusal> {
    Ok(JsonBody(app.registry().create_team(&body.name).await?.into()))
}

async fn show_team(State(app): AppState, FileName(team): FileName) -> Result<JsonBody<TeamView>, Refusal> {
    Ok(JsonBody(app.registry().load_team(&team).await?.into()))
}

/// `null` lets go of the version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent stays, null lets go")]
struct TeamChange {
    #[serde(default, deserialize_with = "extract::present")]
    pinned_version: Option<Option<String>>,
}

async fn change_team(
    State(app): AppState,
    FileName(team): FileName,
    Json(body): Json<TeamChange>,
) -> Result<JsonBody<TeamView>, Refusal> {
    let team = match body.pinned_version {
        None => app.registry().load_team(&team).await?,
        Some(version) => {
            let version = version.as_deref().map(ApiVersion::parse).transpose()?;
            app.registry().pin_team(&team, version).await?
        }
    };
    Ok(JsonBody(team.into()))
}

async fn delete_team(State(app): AppState, FileName(team): FileName) -> Result<JsonBody<TeamView>, Refusal> {
    Ok(JsonBody(app.registry().delete_team(&team).await?.into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct KeysQuery {
    team: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn list_keys(
    State(app): AppState,
    Query(query): Query<KeysQuery>,
) -> Result<JsonBody<PageView<TeamKeyView>>, Refusal> {
    let page = PageQuery::new(query.limit, query.cursor).into();
    let keys = app.registry().list_team_keys(query.team.as_deref(), &page).await?;
    let now = app.registry().now();
    Ok(JsonBody(PageView::new(keys, |key| TeamKeyView::new(key, now))))
}

/// A new key; with `key` one from elsewhere is taken over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    team: String,
    key: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    calls_per_minute: Option<u32>,
}

async fn create_key(State(app): AppState, Json(body): Json<KeyBody>) -> Result<impl IntoResponse, Refusal> {
    let KeyBody { team, key, name, scopes, expires_at, calls_per_minute } = body;
    let scopes = scopes.iter().map(|word| TeamScope::parse(word)).collect::<Result<_, _>>()?;
    let new = NewTeamKey { team, name, scopes, expires_at, calls_per_minute };
    let (key, made) = if let Some(key) = key {
        (None, app.registry().import_team_key(new, &key).await?)
    } else {
        let (key, made) = app.registry().create_team_key(new).await?;
        (Some(key), made)
    };
    Ok((NOWHERE, JsonBody(NewKeyView::new(key, made, app.registry().now()))))
}

async fn revoke_key(State(app): AppState, FileName(key): FileName) -> Result<JsonBody<TeamKeyView>, Refusal> {
    let revoked = app.registry().revoke_team_key(&key).await?;
    Ok(JsonBody(TeamKeyView::new(revoked, app.registry().now())))
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    overlap_seconds: Option<i64>,
}

async fn rotate_key(
    State(app): AppState,
    FileName(key): FileName,
    OptionalJson(body): OptionalJson<RotateBody>,
) -> Result<impl IntoResponse, Refusal> {
    let seconds = body.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    // What no time span can hold is out of the bounds as well.
    let overlap = TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX);
    let (key, made) = app.registry().rotate_team_key(&key, overlap).await?;
    Ok((NOWHERE, JsonBody(NewKeyView::new(Some(key), made, app.registry().now()))))
}
