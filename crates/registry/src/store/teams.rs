//! Teams and their keys.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::styles::{COUNT_UP_ALONE, PURGE_DELETED_OF_TEAM};
use super::{Store, on_db};
use crate::domain::{ApiVersion, Sha256, Team, TeamId, TeamKey, TeamKeyId, TeamScope};
use crate::error::{Error, Result};

const INSERT_TEAM: &str = "INSERT INTO teams (id, name, pinned_version, created_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO NOTHING";
const LIST_TEAMS: &str = "SELECT id, name, pinned_version, created_at FROM teams ORDER BY name";
const PIN_TEAM: &str = "UPDATE teams SET pinned_version = $2 WHERE id = $1";
const DELETE_TEAM: &str = "DELETE FROM teams WHERE id = $1";
const DELETE_TEAM_KEYS: &str = "DELETE FROM team_keys WHERE team_id = $1";
const KEY_COLUMNS: &str =
    "SELECT k.id, k.team_id, t.name AS team, t.pinned_version, k.name, k.lookup, k.key_sha256, k.scopes,
    k.calls_per_minute, k.created_at, k.expires_at, k.revoked_at, k.last_used_at
    FROM team_keys k JOIN teams t ON t.id = k.team_id";
const INSERT_KEY: &str =
    "INSERT INTO team_keys (id, team_id, name, lookup, key_sha256, scopes, calls_per_minute, created_at,
    expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (key_sha256) DO NOTHING";
const REVOKE_KEY: &str = "UPDATE team_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
const EXPIRE_KEY: &str = "UPDATE team_keys SET expires_at = $2 WHERE id = $1";
const USE_KEY: &str = "UPDATE team_keys SET last_used_at = $2 WHERE id = $1";
const COUNT_KEYS: &str = "SELECT COUNT(*) FROM team_keys";
const COUNT_KEYS_OF: &str = "SELECT COUNT(*) FROM team_keys WHERE team_id = $1";

/// A key as stored, with its hash and what its team has pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTeamKey {
    /// What is known of it.
    pub(crate) key: TeamKey,
    /// The hash of the key itself.
    pub(crate) sha256: Sha256,
    /// Of its team.
    pub(crate) pinned_version: Option<ApiVersion>,
}

/// Which keys are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyFilter<'a> {
    /// That one.
    Id(TeamKeyId),
    /// Those that begin so.
    Lookup(&'a str),
}

#[derive(sqlx::FromRow)]
struct TeamRow {
    id: Uuid,
    name: String,
    pinned_version: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: Uuid,
    team_id: Uuid,
    team: String,
    pinned_version: Option<String>,
    name: String,
    lookup: String,
    key_sha256: String,
    scopes: String,
    calls_per_minute: Option<i64>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl Store {
    /// A new team; answers whether its name was free.
    pub(crate) async fn insert_team(&self, team: &Team) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            sqlx::query(INSERT_TEAM)
                .bind(team.id.0)
                .bind(&team.name)
                .bind(team.pinned_version.map(ApiVersion::as_str))
                .bind(team.created_at)
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(rows > 0)
    }

    /// All of them, by name.
    pub(crate) async fn list_teams(&self) -> Result<Vec<Team>> {
        let rows: Vec<TeamRow> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_TEAMS).fetch_all(pool).await?);
        Ok(rows.into_iter().map(TeamRow::into_team).collect())
    }

    /// Pins a version, or lets go of it.
    pub(crate) async fn pin_team(&self, id: TeamId, version: Option<ApiVersion>) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(PIN_TEAM).bind(id.0).bind(version.map(ApiVersion::as_str)).execute(pool).await?;
        });
        Ok(())
    }

    /// The team is gone with its keys and with styles of it that were deleted.
    pub(crate) async fn delete_team(&self, id: TeamId) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(DELETE_TEAM_KEYS).bind(id.0).execute(&mut *transaction).await?;
            sqlx::query(PURGE_DELETED_OF_TEAM).bind(id.0).execute(&mut *transaction).await?;
            sqlx::query(COUNT_UP_ALONE).execute(&mut *transaction).await?;
            sqlx::query(DELETE_TEAM).bind(id.0).execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(())
    }

    /// A new key; answers whether it is one that was not known.
    pub(crate) async fn insert_team_key(&self, key: &TeamKey, sha256: Sha256) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            sqlx::query(INSERT_KEY)
                .bind(key.id.0)
                .bind(key.team_id.0)
                .bind(&key.name)
                .bind(&key.lookup)
                .bind(sha256.to_string())
                .bind(written(&key.scopes))
                .bind(key.calls_per_minute.map(i64::from))
                .bind(key.created_at)
                .bind(key.expires_at)
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(rows > 0)
    }

    /// Keys by id or by their first characters.
    pub(crate) async fn find_team_keys(&self, filter: KeyFilter<'_>) -> Result<Vec<StoredTeamKey>> {
        let rows: Vec<KeyRow> = on_db!(&self.read, pool => {
            let mut query = sqlx::QueryBuilder::new(KEY_COLUMNS);
            match filter {
                KeyFilter::Id(id) => query.push(" WHERE k.id = ").push_bind(id.0),
                KeyFilter::Lookup(lookup) => query.push(" WHERE k.lookup = ").push_bind(lookup.to_owned()),
            };
            query.build_query_as().fetch_all(pool).await?
        });
        rows.into_iter().map(KeyRow::into_key).collect()
    }

    /// A page of keys, newest first, after the one with that id.
    pub(crate) async fn list_team_keys(
        &self,
        team: Option<TeamId>,
        after: Option<TeamKeyId>,
        limit: u32,
    ) -> Result<Vec<StoredTeamKey>> {
        let rows: Vec<KeyRow> = on_db!(&self.read, pool => {
            let mut query = sqlx::QueryBuilder::new(KEY_COLUMNS);
            query.push(" WHERE 1 = 1");
            if let Some(team) = team {
                query.push(" AND k.team_id = ").push_bind(team.0);
            }
            if let Some(after) = after {
                query.push(" AND k.id < ").push_bind(after.0);
            }
            query.push(" ORDER BY k.id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(pool).await?
        });
        rows.into_iter().map(KeyRow::into_key).collect()
    }

    /// How many keys there are, of one team or of all.
    pub(crate) async fn count_team_keys(&self, team: Option<TeamId>) -> Result<u64> {
        let count: i64 = on_db!(&self.read, pool => match team {
            Some(team) => sqlx::query_scalar(COUNT_KEYS_OF).bind(team.0).fetch_one(pool).await?,
            None => sqlx::query_scalar(COUNT_KEYS).fetch_one(pool).await?,
        });
        Ok(count as u64)
    }

    /// The key is refused from now on; the time of an earlier end stays.
    pub(crate) async fn revoke_team_key(&self, id: TeamKeyId, now: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(REVOKE_KEY).bind(id.0).bind(now).execute(pool).await?; });
        Ok(())
    }

    /// The key is refused from then on.
    pub(crate) async fn expire_team_key(&self, id: TeamKeyId, end: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(EXPIRE_KEY).bind(id.0).bind(end).execute(pool).await?; });
        Ok(())
    }

    /// Notes that the key was used.
    pub(crate) async fn note_team_key_use(&self, id: TeamKeyId, now: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(USE_KEY).bind(id.0).bind(now).execute(pool).await?; });
        Ok(())
    }
}

fn written(scopes: &[TeamScope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

/// A version that this program does not know any more counts as none.
fn version(text: Option<String>) -> Option<ApiVersion> {
    text.and_then(|text| ApiVersion::parse(&text).ok())
}

impl TeamRow {
    fn into_team(self) -> Team {
        let pinned_version = version(self.pinned_version);
        Team { id: TeamId(self.id), name: self.name, pinned_version, created_at: self.created_at }
    }
}

impl KeyRow {
    fn into_key(self) -> Result<StoredTeamKey> {
        let sha256 = self
            .key_sha256
            .parse()
            .map_err(|_| Error::internal("reading a key of a team", "its hash is not one"))?;
        let key = TeamKey {
            id: TeamKeyId(self.id),
            team_id: TeamId(self.team_id),
            team: self.team,
            name: self.name,
            lookup: self.lookup,
            // A scope that this program does not know any more allows nothing.
            scopes: self.scopes.split_whitespace().filter_map(|word| TeamScope::parse(word).ok()).collect(),
            calls_per_minute: self.calls_per_minute.and_then(|count| u32::try_from(count).ok()),
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.last_used_at,
        };
        Ok(StoredTeamKey { key, sha256, pinned_version: version(self.pinned_version) })
    }
}
