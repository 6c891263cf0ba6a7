//! The download queue: rows that a worker claims, holds by a lease, and ends.
//!
//! Which state may follow which is the domain's rule; here a change is written only when the row still has the state
//! that the rule was asked about.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::files::{INSERT_FILES, OR_UPDATE_FILE};
use super::{Store, on_db};
use crate::domain::{Download, DownloadId, DownloadState, EntryId, FileFact, ModelPath, Trigger};
use crate::error::{Error, Result};

const COLUMNS: &str =
    "id, entry_id, dest, file, state, priority, position, is_forced, asked_by, bytes_done, bytes_total,
    attempts, error_code, error, sha256, created_at, started_at, finished_at";
const ACTIVE: &str = "state IN ('queued', 'downloading', 'retrying', 'verifying', 'paused')";
const RUNNING: &str = "state IN ('downloading', 'retrying', 'verifying')";
const ENDED: &str = "state IN ('done', 'error', 'cancelled', 'quarantined')";

/// Distance between neighbours in the queue, so that a job can be moved between two without touching others.
pub(crate) const STEP: i64 = 1 << 20;

const INSERT: &str = "INSERT INTO downloads (id, entry_id, dest, file, state, priority, position, is_forced, asked_by,
        bytes_done, bytes_total, attempts, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, (SELECT COALESCE(MAX(position), 0) + $7 FROM downloads), $8, $9, 0, $10, 0, $11)
    ON CONFLICT DO NOTHING RETURNING position";
const SAVE: &str =
    "UPDATE downloads SET state = $3, priority = $4, position = $5, is_forced = $6, asked_by = $7,
        bytes_done = $8, bytes_total = $9, attempts = $10, error_code = $11, error = $12, started_at = $13,
        finished_at = $14, holder = NULL, lease_until = NULL
    WHERE id = $1 AND state = $2";
const TOUCH: &str = "UPDATE downloads SET state = $3, bytes_done = $4, bytes_total = $5, lease_until = $6
    WHERE id = $1 AND holder = $2 AND state IN ('downloading', 'retrying', 'verifying')";
const SAVE_SHA256: &str = "UPDATE downloads SET sha256 = $2 WHERE id = $1";
const SAVE_POSITION: &str = "UPDATE downloads SET position = $2 WHERE id = $1";
/// A job as stored, with what only the queue needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredDownload {
    /// The job.
    pub(crate) download: Download,
    /// The hash of the content that this job was about to publish, lower-case hex.
    pub(crate) sha256: Option<String>,
}

/// Who runs jobs, and until when they count as alive without a further sign.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// Names this installation.
    pub(crate) holder: String,
    /// When others may take the job over.
    pub(crate) until: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    entry_id: Uuid,
    dest: String,
    file: String,
    state: String,
    priority: i64,
    position: i64,
    is_forced: bool,
    asked_by: String,
    bytes_done: i64,
    bytes_total: i64,
    attempts: i64,
    error_code: Option<String>,
    error: Option<String>,
    sha256: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Adds new jobs at the end of the queue, all in one transaction; answers those that were added, with their
    /// position. A path that has a living job gets no second one.
    pub(crate) async fn insert_downloads(&self, downloads: Vec<Download>) -> Result<Vec<Download>> {
        let mut added = Vec::new();
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for mut download in downloads {
                let position: Option<i64> = sqlx::query_scalar(INSERT)
                    .bind(download.id.0)
                    .bind(download.entry_id.0)
                    .bind(download.path.folder.as_str())
                    .bind(download.path.file.as_str())
                    .bind(download.state.as_str())
                    .bind(download.priority)
                    .bind(STEP)
                    .bind(download.force)
                    .bind(download.trigger.as_str())
                    .bind(download.bytes_total as i64)
                    .bind(download.created_at)
                    .fetch_optional(&mut *transaction)
                    .await?;
                if let Some(position) = position {
                    download.position = position;
                    added.push(download);
                }
            }
            transaction.commit().await?;
        });
        Ok(added)
    }

    /// One job.
    pub(crate) async fn load_download(&self, id: DownloadId) -> Result<Option<StoredDownload>> {
        let sql = format!("SELECT {COLUMNS} FROM downloads WHERE id = $1");
        // The write pool: what was written is seen, also on a server that reads elsewhere.
        let row: Option<Row> = on_db!(&self.write, pool => {
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.0).fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// The living job of a path.
    pub(crate) async fn load_active_download(&self, path: &ModelPath) -> Result<Option<StoredDownload>> {
        let sql = format!("SELECT {COLUMNS} FROM downloads WHERE dest = $1 AND file = $2 AND {ACTIVE}");
        let row: Option<Row> = on_db!(&self.write, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(path.folder.as_str()).bind(path.file.as_str());
            query.fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// Every job that is not over for good, and what ended since a moment.
    pub(crate) async fn load_recent_downloads(&self, since: DateTime<Utc>) -> Result<Vec<StoredDownload>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM downloads
             WHERE state NOT IN ('done', 'cancelled') OR finished_at >= $1 ORDER BY created_at, id"
        );
        let rows: Vec<Row> = on_db!(&self.write, pool => {
            sqlx::query_as(AssertSqlSafe(sql)).bind(since).fetch_all(pool).await
        })?;
        rows.into_iter().map(Row::stored).collect()
    }

    /// Puts jobs back into the queue whose holder died: all of this installation's at its start, others' when their
    /// lease has run out. Parts stay.
    pub(crate) async fn requeue_abandoned_downloads(&self, holder: &str, now: DateTime<Utc>) -> Result<u64> {
        let sql = format!(
            "UPDATE downloads SET state = 'queued', holder = NULL, lease_until = NULL
             WHERE {RUNNING} AND (holder IS NULL OR holder = $1 OR lease_until < $2)"
        );
        let done = on_db!(&self.write, pool => {
            let query = sqlx::query(AssertSqlSafe(sql)).bind(holder).bind(now);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(done)
    }

    /// Takes the next job: highest priority, then lowest position. Two workers never take the same one.
    pub(crate) async fn claim_download(
        &self,
        now: DateTime<Utc>,
        lease: &Lease,
    ) -> Result<Option<StoredDownload>> {
        let sql = format!(
            "UPDATE downloads SET state = 'downloading', holder = $1, lease_until = $2, attempts = attempts + 1,
                started_at = COALESCE(started_at, $3), finished_at = NULL, error_code = NULL, error = NULL
             WHERE id = (SELECT id FROM downloads WHERE state = 'queued'
                ORDER BY priority DESC, position, id LIMIT 1 {}) AND state = 'queued' RETURNING {COLUMNS}",
            self.write.skip_locked()
        );
        let row: Option<Row> = on_db!(&self.write, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(&lease.holder).bind(lease.until).bind(now);
            query.fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// Notes how far a running job is and that it lives; `false` when somebody else has it by now.
    pub(crate) async fn touch_download(&self, download: &Download, lease: &Lease) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            let query = sqlx::query(TOUCH)
                .bind(download.id.0)
                .bind(&lease.holder)
                .bind(download.state.as_str())
                .bind(download.bytes_done as i64)
                .bind(download.bytes_total as i64)
                .bind(lease.until);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(rows > 0)
    }

    /// Remembers what is about to be published, so that a killed process knows it again.
    pub(crate) async fn save_download_sha256(&self, id: DownloadId, sha256: &str) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_SHA256).bind(id.0).bind(sha256).execute(pool).await?;
        });
        Ok(())
    }

    /// Writes a job that changed, if it still was in state `from`; `false` when it was not.
    ///
    /// `file` goes with it in the same transaction: the fact of what was published.
    pub(crate) async fn save_download(
        &self,
        from: DownloadState,
        download: &Download,
        file: Option<&FileFact>,
    ) -> Result<bool> {
        let save_file = format!("{INSERT_FILES} VALUES ($1, $2, $3, $4, $5, $6, $7, $8) {OR_UPDATE_FILE}");
        let saved = on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            let query = sqlx::query(SAVE)
                .bind(download.id.0)
                .bind(from.as_str())
                .bind(download.state.as_str())
                .bind(download.priority)
                .bind(download.position)
                .bind(download.force)
                .bind(download.trigger.as_str())
                .bind(download.bytes_done as i64)
                .bind(download.bytes_total as i64)
                .bind(download.attempts)
                .bind(&download.error_code)
                .bind(&download.error)
                .bind(download.started_at)
                .bind(download.finished_at);
            let saved = query.execute(&mut *transaction).await?.rows_affected() > 0;
            if let (true, Some(fact)) = (saved, file) {
                sqlx::query(AssertSqlSafe(save_file))
                    .bind(download.path.folder.as_str())
                    .bind(download.path.file.as_str())
                    .bind(fact.stamp.size_bytes as i64)
                    .bind(fact.stamp.modified_ns)
                    .bind(fact.stamp.inode as i64)
                    .bind(fact.sha256.map(|sha256| sha256.to_string()))
                    .bind(fact.published.map(|sha256| sha256.to_string()))
                    .bind(fact.verified_at)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            saved
        });
        Ok(saved)
    }

    /// Moves every job of one state to another; answers the changed rows.
    pub(crate) async fn change_all_downloads(
        &self,
        from: DownloadState,
        to: DownloadState,
    ) -> Result<Vec<StoredDownload>> {
        let sql = format!("UPDATE downloads SET state = $2 WHERE state = $1 RETURNING {COLUMNS}");
        let rows: Vec<Row> = on_db!(&self.write, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(from.as_str()).bind(to.as_str());
            query.fetch_all(pool).await
        })?;
        rows.into_iter().map(Row::stored).collect()
    }

    /// The waiting jobs of one priority in their order: id and position.
    pub(crate) async fn waiting_positions(&self, priority: i64) -> Result<Vec<(DownloadId, i64)>> {
        const SQL: &str =
            "SELECT id, position FROM downloads WHERE state IN ('queued', 'paused') AND priority = $1
            ORDER BY position, id";
        let rows: Vec<(Uuid, i64)> = on_db!(&self.write, pool => {
            sqlx::query_as(SQL).bind(priority).fetch_all(pool).await
        })?;
        Ok(rows.into_iter().map(|(id, position)| (DownloadId(id), position)).collect())
    }

    /// Gives jobs new positions, all or none.
    pub(crate) async fn save_positions(&self, positions: &[(DownloadId, i64)]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for (id, position) in positions {
                sqlx::query(SAVE_POSITION).bind(id.0).bind(position).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// A page of jobs: running ones, then the queue in its order, then what ended, newest first.
    pub(crate) async fn list_downloads(
        &self,
        states: &[DownloadState],
        limit: u32,
        offset: u64,
    ) -> Result<Vec<StoredDownload>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM downloads WHERE {}
             ORDER BY CASE WHEN {RUNNING} THEN 0 WHEN {ENDED} THEN 2 ELSE 1 END,
                CASE WHEN {ENDED} THEN 0 ELSE -priority END, CASE WHEN {ENDED} THEN 0 ELSE position END,
                finished_at DESC, id DESC
             LIMIT $1 OFFSET $2",
            among(states)
        );
        let rows: Vec<Row> = on_db!(&self.read, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(i64::from(limit)).bind(offset as i64);
            query.fetch_all(pool).await
        })?;
        rows.into_iter().map(Row::stored).collect()
    }

    /// How many jobs there are in these states; in all when there are none.
    pub(crate) async fn count_downloads(&self, states: &[DownloadState]) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) FROM downloads WHERE {}", among(states));
        let count: i64 = on_db!(&self.read, pool => {
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await
        })?;
        Ok(count.unsigned_abs())
    }

    /// Forgets the oldest ended jobs beyond `keep`; quarantined ones stay, their files do too.
    pub(crate) async fn prune_downloads(&self, keep: u64) -> Result<u64> {
        const SQL: &str = "DELETE FROM downloads WHERE id IN (SELECT id FROM downloads
            WHERE state IN ('done', 'error', 'cancelled') ORDER BY finished_at DESC, id DESC LIMIT 10000 OFFSET $1)";
        let gone = on_db!(&self.write, pool => {
            sqlx::query(SQL).bind(keep as i64).execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(gone)
    }
}

impl Row {
    fn stored(self) -> Result<StoredDownload> {
        let id = DownloadId(self.id);
        let unreadable = |cause: String| {
            Error::internal(format!("the download `{id}` in the database cannot be read"), cause)
        };
        let state = DownloadState::parse(&self.state)
            .ok_or_else(|| unreadable(format!("it has the unknown state `{}`", self.state)))?;
        let path = ModelPath::parse(&self.dest, &self.file).map_err(|error| unreadable(error.to_string()))?;
        let download = Download {
            id,
            entry_id: EntryId(self.entry_id),
            path,
            state,
            priority: self.priority,
            position: self.position,
            force: self.is_forced,
            trigger: Trigger::parse(&self.asked_by),
            bytes_done: self.bytes_done.max(0).unsigned_abs(),
            bytes_total: self.bytes_total.max(0).unsigned_abs(),
            attempts: self.attempts,
            error_code: self.error_code,
            error: self.error,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        };
        Ok(StoredDownload { download, sha256: self.sha256 })
    }
}

/// A condition on the state; the words are ours, so nothing foreign gets into the statement.
fn among(states: &[DownloadState]) -> String {
    if states.is_empty() {
        return "TRUE".to_owned();
    }
    let words: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
    format!("state IN ({})", words.join(", "))
}

#[cfg(test)]
mod tests;
