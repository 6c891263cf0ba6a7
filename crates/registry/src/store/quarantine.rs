//! Files that may not be loaded, as downloads and uploads brought them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::{ModelPath, QuarantineId, Sha256};
use crate::error::Result;

const COLUMNS: &str =
    "id, source, dest, file, entity_type, file_name, size_bytes, sha256, rule, reason, quarantined_at";
const SAVE: &str =
    "INSERT INTO quarantine (id, source, dest, file, entity_type, file_name, size_bytes, sha256, rule,
        reason, quarantined_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (id) DO UPDATE SET source = excluded.source, dest = excluded.dest, file = excluded.file,
        entity_type = excluded.entity_type, file_name = excluded.file_name, size_bytes = excluded.size_bytes,
        sha256 = excluded.sha256, rule = excluded.rule, reason = excluded.reason,
        quarantined_at = excluded.quarantined_at";
const DELETE: &str = "DELETE FROM quarantine WHERE id = $1";
const COUNT: &str = "SELECT COUNT(*) FROM quarantine";

/// One quarantined file, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredQuarantined {
    /// The id of what brought it.
    pub(crate) id: QuarantineId,
    /// Whether an upload brought it, else a download did.
    pub(crate) is_upload: bool,
    /// Where it would have gone.
    pub(crate) path: ModelPath,
    /// What an upload said of itself.
    pub(crate) entity_type: Option<String>,
    /// The name that it came with.
    pub(crate) file_name: String,
    /// Length in bytes.
    pub(crate) size_bytes: u64,
    /// The content's hash.
    pub(crate) sha256: Sha256,
    /// The rule that it broke, one word.
    pub(crate) rule: Option<String>,
    /// Why, for people.
    pub(crate) reason: String,
    /// When.
    pub(crate) quarantined_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    source: String,
    dest: String,
    file: String,
    entity_type: Option<String>,
    file_name: String,
    size_bytes: i64,
    sha256: String,
    rule: Option<String>,
    reason: String,
    quarantined_at: DateTime<Utc>,
}

impl Store {
    /// A new row, or another file under the same id.
    pub(crate) async fn save_quarantined(&self, file: &StoredQuarantined) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE)
                .bind(file.id.0)
                .bind(if file.is_upload { "upload" } else { "download" })
                .bind(file.path.folder.as_str())
                .bind(file.path.file.as_str())
                .bind(&file.entity_type)
                .bind(&file.file_name)
                .bind(file.size_bytes as i64)
                .bind(file.sha256.to_string())
                .bind(&file.rule)
                .bind(&file.reason)
                .bind(file.quarantined_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// The row is gone; one that is not there is fine.
    pub(crate) async fn delete_quarantined(&self, id: QuarantineId) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE).bind(id.0).execute(pool).await?; });
        Ok(())
    }

    /// A page, newest first, after the one with that time and id.
    pub(crate) async fn list_quarantine(
        &self,
        after: Option<(DateTime<Utc>, QuarantineId)>,
        limit: u32,
    ) -> Result<Vec<StoredQuarantined>> {
        let rows: Vec<Row> = on_db!(&self.write, pool => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM quarantine");
            if let Some((time, id)) = after {
                query.push(" WHERE (quarantined_at < ").push_bind(time);
                query.push(" OR (quarantined_at = ").push_bind(time).push(" AND id < ").push_bind(id.0).push("))");
            }
            query.push(" ORDER BY quarantined_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().filter_map(Row::file).collect())
    }

    /// The files of that content, newest first.
    pub(crate) async fn find_quarantined(&self, sha256: Sha256) -> Result<Vec<StoredQuarantined>> {
        let rows: Vec<Row> = on_db!(&self.write, pool => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM quarantine WHERE sha256 = ").push_bind(sha256.to_string());
            query.push(" ORDER BY quarantined_at DESC, id DESC").build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().filter_map(Row::file).collect())
    }

    /// The file of that id.
    pub(crate) async fn find_quarantined_by_id(&self, id: QuarantineId) -> Result<Option<StoredQuarantined>> {
        let row: Option<Row> = on_db!(&self.write, pool => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM quarantine WHERE id = ").push_bind(id.0);
            query.build_query_as().fetch_optional(pool).await?
        });
        Ok(row.and_then(Row::file))
    }

    /// How many there are.
    pub(crate) async fn count_quarantine(&self) -> Result<u64> {
        let count: i64 = on_db!(&self.write, pool => sqlx::query_scalar(COUNT).fetch_one(pool).await)?;
        Ok(count as u64)
    }
}

impl Row {
    fn file(self) -> Option<StoredQuarantined> {
        Some(StoredQuarantined {
            id: QuarantineId(self.id),
            is_upload: self.source == "upload",
            path: ModelPath::parse(&self.dest, &self.file).ok()?,
            entity_type: self.entity_type,
            file_name: self.file_name,
            size_bytes: self.size_bytes as u64,
            sha256: self.sha256.parse().ok()?,
            rule: self.rule,
            reason: self.reason,
            quarantined_at: self.quarantined_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::both_databases;

    fn quarantined(second: i64, content: &str) -> StoredQuarantined {
        let now = DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        StoredQuarantined {
            id: QuarantineId::new(now),
            is_upload: second % 2 == 0,
            path: ModelPath::parse("loras/faces", "a.pt").unwrap(),
            entity_type: Some("faces".into()),
            file_name: "a.pt".into(),
            size_bytes: 9,
            sha256: Sha256::of(content.as_bytes()),
            rule: Some("global".into()),
            reason: "it imports `os.system`".into(),
            quarantined_at: now,
        }
    }

    both_databases! {
        async fn quarantined_files_are_listed_newest_first_and_found_by_hash(store: Store) {
            let files: Vec<_> = (0..3).map(|second| quarantined(second, "bad")).collect();
            for file in &files {
                store.save_quarantined(file).await.unwrap();
            }
            store.save_quarantined(&files[0]).await.unwrap();
            assert_eq!(store.count_quarantine().await.unwrap(), 3);
            let first = store.list_quarantine(None, 2).await.unwrap();
            assert_eq!(first, [files[2].clone(), files[1].clone()]);
            let after = (files[1].quarantined_at, files[1].id);
            assert_eq!(store.list_quarantine(Some(after), 2).await.unwrap(), [files[0].clone()]);
            assert_eq!(store.find_quarantined(Sha256::of(b"bad")).await.unwrap().len(), 3);
            assert!(store.find_quarantined(Sha256::of(b"good")).await.unwrap().is_empty());
            store.delete_quarantined(files[1].id).await.unwrap();
            assert_eq!(store.count_quarantine().await.unwrap(), 2);
        }
    }
}
