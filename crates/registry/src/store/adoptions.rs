//! Folders that were taken over: what was asked for, how far it is, what came of it. And sidecars that we wrote.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::{AdoptionId, ModelPath, Sha256};
use crate::error::Result;

const INSERT: &str =
    "INSERT INTO adoptions (id, path, request, state, started_at) VALUES ($1, $2, $3, 'running', $4)";
const FINISH: &str =
    "UPDATE adoptions SET state = $2, finished_at = $3, error = $4, report = $5 WHERE id = $1";
const LAST: &str = "SELECT id, path, request, state, started_at, finished_at, error, report FROM adoptions
    ORDER BY started_at DESC, id DESC LIMIT 1";
const IS_DONE: &str = "SELECT COUNT(*) FROM adoptions WHERE path = $1 AND state = 'done'";
const LIST_WRITTEN: &str = "SELECT dest, file, sha256 FROM written_sidecars";
const FIND_WRITTEN: &str = "SELECT sha256 FROM written_sidecars WHERE dest = $1 AND file = $2";
const SAVE_WRITTEN: &str = "INSERT INTO written_sidecars (dest, file, sha256) VALUES ($1, $2, $3)
    ON CONFLICT (dest, file) DO UPDATE SET sha256 = excluded.sha256";

/// One adoption, as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StoredAdoption {
    pub(crate) id: Uuid,
    pub(crate) path: String,
    /// JSON.
    pub(crate) request: String,
    /// `running`, `done`, `cancelled` or `failed`.
    pub(crate) state: String,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) error: Option<String>,
    /// JSON.
    pub(crate) report: Option<String>,
}

impl Store {
    /// An adoption that begins.
    pub(crate) async fn insert_adoption(
        &self,
        id: AdoptionId,
        path: &str,
        request: &str,
        started_at: DateTime<Utc>,
    ) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(INSERT).bind(id.0).bind(path).bind(request).bind(started_at).execute(pool).await?;
        });
        Ok(())
    }

    /// An adoption that has ended.
    pub(crate) async fn finish_adoption(&self, ended: &StoredAdoption) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(FINISH)
                .bind(ended.id)
                .bind(&ended.state)
                .bind(ended.finished_at)
                .bind(&ended.error)
                .bind(&ended.report)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// The newest adoption.
    pub(crate) async fn last_adoption(&self) -> Result<Option<StoredAdoption>> {
        Ok(on_db!(&self.read, pool => sqlx::query_as(LAST).fetch_optional(pool).await)?)
    }

    /// Whether a folder was taken over whole at least once.
    pub(crate) async fn was_adopted(&self, path: &str) -> Result<bool> {
        let (count,): (i64,) =
            on_db!(&self.read, pool => sqlx::query_as(IS_DONE).bind(path).fetch_one(pool).await)?;
        Ok(count > 0)
    }

    /// The hash of what we last wrote into each sidecar.
    pub(crate) async fn list_written_sidecars(&self) -> Result<HashMap<ModelPath, Sha256>> {
        let rows: Vec<(String, String, String)> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_WRITTEN).fetch_all(pool).await)?;
        let read = |(dest, file, sha256): (String, String, String)| {
            Some((ModelPath::parse(&dest, &file).ok()?, sha256.parse().ok()?))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The hash of what we last wrote into that sidecar.
    pub(crate) async fn find_written_sidecar(&self, path: &ModelPath) -> Result<Option<Sha256>> {
        let row: Option<String> = on_db!(&self.read, pool => {
            let query = sqlx::query_scalar(FIND_WRITTEN).bind(path.folder.as_str()).bind(path.file.as_str());
            query.fetch_optional(pool).await
        })?;
        Ok(row.and_then(|sha256| sha256.parse().ok()))
    }

    /// Remembers what we wrote into that sidecar.
    pub(crate) async fn save_written_sidecar(&self, path: &ModelPath, sha256: Sha256) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_WRITTEN)
                .bind(path.folder.as_str())
                .bind(path.file.as_str())
                .bind(sha256.to_string())
                .execute(pool)
                .await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::testing::both_databases;

    both_databases! {
        async fn the_newest_adoption_is_known_with_its_end(store: Store) {
            let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
            let (first, second) = (AdoptionId::new(now), AdoptionId::new(now + TimeDelta::seconds(1)));
            assert_eq!(store.last_adoption().await.unwrap(), None);
            store.insert_adoption(first, "/studio", "{}", now).await.unwrap();
            store.insert_adoption(second, "/other", "{}", now + TimeDelta::seconds(1)).await.unwrap();
            let mut last = store.last_adoption().await.unwrap().unwrap();
            assert_eq!((last.id, last.path.as_str(), last.state.as_str()), (second.0, "/other", "running"));
            last.state = "done".to_owned();
            (last.finished_at, last.report) = (Some(now + TimeDelta::seconds(2)), Some("{}".to_owned()));
            store.finish_adoption(&last).await.unwrap();
            assert_eq!(store.last_adoption().await.unwrap(), Some(last));
            assert!(store.was_adopted("/other").await.unwrap() && !store.was_adopted("/studio").await.unwrap());
        }

        async fn what_was_last_written_into_a_sidecar_is_known(store: Store) {
            let path = ModelPath::parse("loras", "a.civitai.info").unwrap();
            for text in ["old", "new"] {
                store.save_written_sidecar(&path, Sha256::of(text.as_bytes())).await.unwrap();
            }
            let written = store.list_written_sidecars().await.unwrap();
            assert_eq!(written.into_iter().collect::<Vec<_>>(), [(path, Sha256::of(b"new"))]);
        }
    }
}
