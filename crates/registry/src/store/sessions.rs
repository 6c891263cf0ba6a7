//! Sessions of browsers, by the hash of their token.

use chrono::{DateTime, Utc};

use super::{Store, on_db};
use crate::domain::Sha256;
use crate::error::{Error, Result};

const INSERT: &str =
    "INSERT INTO sessions (token_sha256, key_proof, created_at, expires_at) VALUES ($1, $2, $3, $4)";
const FIND: &str =
    "SELECT token_sha256, key_proof, created_at, expires_at FROM sessions WHERE token_sha256 = $1";
const PROLONG: &str = "UPDATE sessions SET expires_at = $2 WHERE token_sha256 = $1";
const DELETE: &str = "DELETE FROM sessions WHERE token_sha256 = $1";
const DELETE_EXPIRED: &str = "DELETE FROM sessions WHERE expires_at <= $1";
const DELETE_ALL: &str = "DELETE FROM sessions";

/// One session, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSession {
    /// The hash of its token.
    pub(crate) token_sha256: Sha256,
    /// What only the token and the admin key together make.
    pub(crate) key_proof: String,
    /// When it began.
    pub(crate) created_at: DateTime<Utc>,
    /// When it ends unless it is used.
    pub(crate) expires_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    token_sha256: String,
    key_proof: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Store {
    /// A new session.
    pub(crate) async fn insert_session(&self, session: &StoredSession) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(INSERT)
                .bind(session.token_sha256.to_string())
                .bind(&session.key_proof)
                .bind(session.created_at)
                .bind(session.expires_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// The session of that token, also one that has expired.
    pub(crate) async fn find_session(&self, token: Sha256) -> Result<Option<StoredSession>> {
        let row: Option<Row> = on_db!(&self.read, pool => {
            sqlx::query_as(FIND).bind(token.to_string()).fetch_optional(pool).await?
        });
        row.map(Row::into_session).transpose()
    }

    /// Moves a session's end.
    pub(crate) async fn prolong_session(&self, token: Sha256, expires_at: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(PROLONG).bind(token.to_string()).bind(expires_at).execute(pool).await?;
        });
        Ok(())
    }

    /// The session is gone; one that is not there is fine.
    pub(crate) async fn delete_session(&self, token: Sha256) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE).bind(token.to_string()).execute(pool).await?; });
        Ok(())
    }

    /// Sessions that have ended by themselves are gone.
    pub(crate) async fn delete_expired_sessions(&self, now: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE_EXPIRED).bind(now).execute(pool).await?; });
        Ok(())
    }

    /// Every session is gone.
    pub(crate) async fn delete_all_sessions(&self) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE_ALL).execute(pool).await?; });
        Ok(())
    }
}

impl Row {
    fn into_session(self) -> Result<StoredSession> {
        let token_sha256 = self
            .token_sha256
            .parse()
            .map_err(|_| Error::internal("reading a session", "its hash is not one"))?;
        let (key_proof, created_at, expires_at) = (self.key_proof, self.created_at, self.expires_at);
        Ok(StoredSession { token_sha256, key_proof, created_at, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;
    use crate::store::testing::both_databases;

    fn session(name: &str, hours: i64) -> StoredSession {
        let created_at = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
        let (token_sha256, key_proof) = (Sha256::of(name.as_bytes()), name.to_owned());
        StoredSession {
            token_sha256,
            key_proof,
            created_at,
            expires_at: created_at + TimeDelta::hours(hours),
        }
    }

    both_databases! {
        async fn a_session_is_found_by_its_token_until_it_is_deleted(store: Store) {
            let (short, long) = (session("short", 1), session("long", 24));
            store.insert_session(&short).await.unwrap();
            store.insert_session(&long).await.unwrap();
            assert_eq!(store.find_session(short.token_sha256).await.unwrap(), Some(short.clone()));
            assert_eq!(store.find_session(Sha256::of(b"other")).await.unwrap(), None);
            let later = short.expires_at + TimeDelta::hours(9);
            store.prolong_session(short.token_sha256, later).await.unwrap();
            assert_eq!(store.find_session(short.token_sha256).await.unwrap().unwrap().expires_at, later);
            store.delete_expired_sessions(later).await.unwrap();
            assert_eq!(store.find_session(short.token_sha256).await.unwrap(), None);
            store.delete_session(long.token_sha256).await.unwrap();
            store.delete_session(long.token_sha256).await.unwrap();
            assert_eq!(store.find_session(long.token_sha256).await.unwrap(), None);
        }

        async fn all_sessions_go_together(store: Store) {
            for name in ["a", "b"] {
                store.insert_session(&session(name, 1)).await.unwrap();
            }
            store.delete_all_sessions().await.unwrap();
            assert_eq!(store.find_session(Sha256::of(b"a")).await.unwrap(), None);
        }
    }
}
