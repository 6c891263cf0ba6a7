//! Teams and their keys: made, imported, replaced, ended, and recognised when a program calls with one.

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq;

use super::secrets::random_text;
use super::{Page, PageRequest, Registry, bad_cursor};
use crate::domain::{
    ApiVersion, Caller, KEY_SECRET_CHARACTERS, KeyShape, Sha256, Team, TeamCaller, TeamId, TeamKey,
    TeamKeyId, TeamScope, key_around, team_name,
};
use crate::error::{Error, Result, Thing};
use crate::store::{KeyFilter, StoredTeamKey};

/// Teams that an installation has at most; they are listed whole.
const MAX_TEAMS: usize = 1000;
/// The use of a key is written no more often than this.
const USE_WRITTEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Longest time that a replaced key goes on beside the new one.
const LONGEST_OVERLAP: TimeDelta = TimeDelta::days(90);
/// The most calls a minute that a limit can say.
const MAX_CALLS_PER_MINUTE: u32 = 1_000_000;

/// What a new key is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTeamKey {
    /// The team's id or name.
    pub team: String,
    /// What people call it.
    pub name: String,
    /// What it allows; empty is everything.
    pub scopes: Vec<TeamScope>,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// How often it may be used; `None` is no limit.
    pub calls_per_minute: Option<u32>,
}

impl Registry {
    /// Makes a team. `Conflict` (`team_exists`) when there is one of that name.
    pub async fn create_team(&self, name: &str) -> Result<Team> {
        let name = team_name("name", name)?;
        if name.is_empty() {
            return Err(Error::invalid("bad_name", "name", "a team needs a name"));
        }
        if self.list_teams().await?.len() >= MAX_TEAMS {
            return Err(Error::conflict(
                "too_many_teams",
                format!("there are {MAX_TEAMS} teams, which is the most"),
            ));
        }
        let now = self.now();
        let team = Team { id: TeamId::new(now), name, pinned_version: None, created_at: now };
        if self.inner.store.insert_team(&team).await? {
            return Ok(team);
        }
        Err(Error::conflict("team_exists", format!("there is a team `{}` already", team.name)))
    }

    /// All teams, by name.
    pub async fn list_teams(&self) -> Result<Vec<Team>> {
        self.inner.store.list_teams().await
    }

    /// The team of that id or name.
    pub async fn load_team(&self, id_or_name: &str) -> Result<Team> {
        let id = id_or_name.parse::<TeamId>().ok();
        let is_it = |team: &Team| Some(team.id) == id || team.name == id_or_name.trim();
        let found = self.list_teams().await?.into_iter().find(is_it);
        found.ok_or_else(|| Error::not_found(Thing::Team, id_or_name))
    }

    /// Pins the version of the API that a team's calls mean; `None` is the system's default again.
    pub async fn pin_team(&self, id_or_name: &str, version: Option<ApiVersion>) -> Result<Team> {
        let team = self.load_team(id_or_name).await?;
        self.inner.store.pin_team(team.id, version).await?;
        self.inner.known_team_keys.clear();
        Ok(Team { pinned_version: version, ..team })
    }

    /// Removes a team; its keys stop. `Conflict` (`team_has_styles`) while styles are for it alone; those that were deleted
    /// go with it.
    pub async fn delete_team(&self, id_or_name: &str) -> Result<Team> {
        let team = self.load_team(id_or_name).await?;
        let styles = self.inner.store.count_styles_of(team.id).await?;
        if styles > 0 {
            let message = format!(
                "the team `{}` has styles of its own ({styles}); delete them, or give them to others first",
                team.name
            );
            return Err(Error::conflict("team_has_styles", message));
        }
        self.inner.store.delete_team(team.id).await?;
        self.inner.known_team_keys.clear();
        Ok(team)
    }

    /// Makes a key; answers it once, and only its hash is kept.
    pub async fn create_team_key(&self, new: NewTeamKey) -> Result<(String, TeamKey)> {
        let key = key_around(&random_text(KEY_SECRET_CHARACTERS)?);
        let shape = KeyShape::parse(&key).expect("a made key has the shape of one");
        let made = self.insert_team_key(new, shape).await?;
        Ok((key, made))
    }

    /// Takes over a key from elsewhere, so that its programs go on as they are.
    pub async fn import_team_key(&self, new: NewTeamKey, key: &str) -> Result<TeamKey> {
        let shape = KeyShape::parse(key.trim()).filter(|shape| shape.is_legacy()).ok_or_else(|| {
            let message =
                "a key to import begins with `og_` and has at least 20 letters and digits, nothing else";
            Error::invalid("bad_key", "key", message)
        })?;
        self.insert_team_key(new, shape).await
    }

    async fn insert_team_key(&self, new: NewTeamKey, shape: KeyShape<'_>) -> Result<TeamKey> {
        let (team, now) = (self.load_team(&new.team).await?, self.now());
        judge_limits(&new, now)?;
        let key = TeamKey {
            id: TeamKeyId::new(now),
            team_id: team.id,
            team: team.name,
            name: team_name("name", &new.name)?,
            lookup: shape.lookup().to_owned(),
            scopes: if new.scopes.is_empty() { TeamScope::ALL.into() } else { new.scopes },
            calls_per_minute: new.calls_per_minute,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        if self.inner.store.insert_team_key(&key, shape.sha256()).await? {
            return Ok(key);
        }
        Err(Error::conflict("key_exists", format!("the key `{}…` is known already", key.lookup)))
    }

    /// Keys, newest first; of one team when it is named by id or name.
    pub async fn list_team_keys(&self, team: Option<&str>, page: &PageRequest) -> Result<Page<TeamKey>> {
        let team = match team {
            Some(team) => Some(self.load_team(team).await?.id),
            None => None,
        };
        let after = page.cursor.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let rows = page.rows();
        let mut items = self.inner.store.list_team_keys(team, after, rows + 1).await?;
        let has_more = items.len() > rows as usize;
        items.truncate(rows as usize);
        let next_cursor = items.last().filter(|_| has_more).map(|last| last.key.id.to_string());
        let total = self.inner.store.count_team_keys(team).await?;
        Ok(Page { items: items.into_iter().map(|stored| stored.key).collect(), next_cursor, total })
    }

    /// Ends a key, named by its id or by its first characters; it stops everywhere within a second.
    pub async fn revoke_team_key(&self, id_or_lookup: &str) -> Result<TeamKey> {
        let key = self.load_team_key(id_or_lookup).await?.key;
        self.inner.store.revoke_team_key(key.id, self.now()).await?;
        self.inner.known_team_keys.clear();
        Ok(self.load_team_key(&key.id.to_string()).await?.key)
    }

    /// Makes a key like another one, which ends after `overlap` (at most 90 days), so that programs can be changed one
    /// after the other. A key that has ended is not replaced.
    pub async fn rotate_team_key(&self, id_or_lookup: &str, overlap: TimeDelta) -> Result<(String, TeamKey)> {
        let (old, now) = (self.load_team_key(id_or_lookup).await?.key, self.now());
        if !(TimeDelta::zero()..=LONGEST_OVERLAP).contains(&overlap) {
            return Err(Error::invalid(
                "out_of_bounds",
                "overlap_seconds",
                "the overlap must be from 0 s to 90 days",
            ));
        }
        if !old.is_in_force(now) {
            return Err(Error::conflict(
                "key_ended",
                format!("the key `{}…` has ended; make a new one", old.lookup),
            ));
        }
        let new = NewTeamKey {
            team: old.team_id.to_string(),
            name: old.name,
            scopes: old.scopes,
            expires_at: old.expires_at,
            calls_per_minute: old.calls_per_minute,
        };
        let made = self.create_team_key(new).await?;
        let end = old.expires_at.map_or(now + overlap, |end| end.min(now + overlap));
        self.inner.store.expire_team_key(old.id, end).await?;
        self.inner.known_team_keys.clear();
        Ok(made)
    }

    /// Who calls with that key; `None` for one that is unknown, has expired or was ended.
    ///
    /// Hashes are compared in constant time; a key that cannot be one costs no look into the database.
    pub async fn find_team_caller(&self, key: &str) -> Result<Option<Caller>> {
        let Some(shape) = KeyShape::parse(key) else { return Ok(None) };
        let (sha256, now) = (shape.sha256(), self.now());
        let found = match self.inner.known_team_keys.find(&sha256) {
            Some(known) => Some(known),
            None => self.look_up_team_key(shape, sha256).await?,
        };
        let Some(stored) = found.filter(|stored| stored.key.is_in_force(now)) else { return Ok(None) };
        self.note_use(&stored.key, now);
        Ok(Some(Caller::team(TeamCaller {
            team_id: stored.key.team_id,
            team: stored.key.team,
            key_id: stored.key.id,
            scopes: stored.key.scopes,
            calls_per_minute: stored.key.calls_per_minute,
            pinned_version: stored.pinned_version,
        })))
    }

    async fn look_up_team_key(&self, shape: KeyShape<'_>, sha256: Sha256) -> Result<Option<StoredTeamKey>> {
        let candidates = self.inner.store.find_team_keys(KeyFilter::Lookup(shape.lookup())).await?;
        let is_it = |stored: &StoredTeamKey| bool::from(stored.sha256.as_bytes().ct_eq(sha256.as_bytes()));
        let found = candidates.into_iter().find(is_it);
        if let Some(stored) = &found {
            self.inner.known_team_keys.keep(sha256, stored.clone());
        }
        Ok(found)
    }

    /// Written beside the request, which does not wait for it.
    fn note_use(&self, key: &TeamKey, now: DateTime<Utc>) {
        if key.last_used_at.is_some_and(|last| now - last < USE_WRITTEN_EVERY) {
            return;
        }
        let due = self.inner.known_key_uses.find(&key.id).is_none();
        if !due {
            return;
        }
        self.inner.known_key_uses.keep(key.id, ());
        let (registry, id) = (self.clone(), key.id);
        self.inner.tasks.spawn(async move {
            if let Err(error) = registry.inner.store.note_team_key_use(id, now).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the use of a key was not noted");
            }
        });
    }

    async fn load_team_key(&self, id_or_lookup: &str) -> Result<StoredTeamKey> {
        let text = id_or_lookup.trim().trim_end_matches('…');
        let filter = text.parse().map_or(KeyFilter::Lookup(text), KeyFilter::Id);
        let mut found = self.inner.store.find_team_keys(filter).await?;
        match (found.pop(), found.is_empty()) {
            (Some(key), true) => Ok(key),
            (Some(_), false) => {
                let message = format!("several keys begin with `{text}`; name one by its id");
                Err(Error::conflict("ambiguous_key", message))
            }
            (None, _) => Err(Error::not_found(Thing::TeamKey, text)),
        }
    }
}

fn judge_limits(new: &NewTeamKey, now: DateTime<Utc>) -> Result<()> {
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::invalid("out_of_bounds", "expires_at", "a new key must end in the future"));
    }
    if new.calls_per_minute.is_some_and(|calls| !(1..=MAX_CALLS_PER_MINUTE).contains(&calls)) {
        let message =
            format!("`calls_per_minute` must be from 1 to {MAX_CALLS_PER_MINUTE}; `null` is no limit");
        return Err(Error::invalid("out_of_bounds", "calls_per_minute", message));
    }
    Ok(())
}
