//! Generations: rows that a worker claims, holds by a lease, and ends.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::{Lease, Store, on_db};
use crate::domain::{GenerationId, GenerationState, TeamId};
use crate::error::{Error, Result};

const COLUMNS: &str =
    "id, team_id, state, idempotency_key, request_sha256, plan, pictures, is_cancelled, error_code,
    error, created_at, started_at, finished_at";
const INSERT: &str =
    "INSERT INTO generations (id, team_id, state, idempotency_key, request_sha256, plan, pictures,
        is_cancelled, created_at)
    VALUES ($1, $2, 'queued', $3, $4, $5, $6, FALSE, $7) ON CONFLICT DO NOTHING";
const TOUCH: &str = "UPDATE generations SET pictures = $3, lease_until = $4
    WHERE id = $1 AND holder = $2 AND state = 'running' RETURNING is_cancelled";
const FINISH: &str =
    "UPDATE generations SET state = $3, pictures = $4, error_code = $5, error = $6, finished_at = $7,
        holder = NULL, lease_until = NULL
    WHERE id = $1 AND holder = $2 AND state = 'running'";
const CANCEL_WAITING: &str =
    "UPDATE generations SET state = 'cancelled', is_cancelled = TRUE, finished_at = $2
    WHERE id = $1 AND state = 'queued'";
const ASK_FOR_END: &str = "UPDATE generations SET is_cancelled = TRUE WHERE id = $1 AND state = 'running'";
const REQUEUE: &str = "UPDATE generations SET state = 'queued', holder = NULL, lease_until = NULL
    WHERE state = 'running' AND (holder IS NULL OR holder = $1 OR lease_until < $2)";
const COUNT_WAITING: &str =
    "SELECT COUNT(*), COALESCE(SUM(CASE WHEN team_id = $1 THEN 1 ELSE 0 END), 0) FROM generations
    WHERE state = 'queued'";
const COUNT_BEFORE: &str = "SELECT COUNT(*) FROM generations WHERE state = 'queued' AND created_at < $1";
const COUNT_OF_TEAM: &str = "SELECT COUNT(*) FROM generations WHERE team_id = $1";
const FORGET: &str = "DELETE FROM generations WHERE finished_at < $1 RETURNING id";

/// A generation as stored; documents are the service's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredGeneration {
    pub(crate) id: GenerationId,
    pub(crate) team_id: TeamId,
    pub(crate) state: GenerationState,
    /// The team's own name for the request.
    pub(crate) idempotency_key: Option<String>,
    /// The hash of what was asked.
    pub(crate) request_sha256: String,
    /// Everything that the pictures follow from, JSON.
    pub(crate) plan: String,
    /// One a picture, JSON.
    pub(crate) pictures: String,
    /// Somebody asked for its end.
    pub(crate) is_cancelled: bool,
    pub(crate) error_code: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    team_id: Uuid,
    state: String,
    idempotency_key: Option<String>,
    request_sha256: String,
    plan: String,
    pictures: String,
    is_cancelled: bool,
    error_code: Option<String>,
    error: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Puts a new generation at the end of the queue; `false` when the team has one under the same key.
    pub(crate) async fn insert_generation(&self, generation: &StoredGeneration) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            let query = sqlx::query(INSERT)
                .bind(generation.id.0)
                .bind(generation.team_id.0)
                .bind(&generation.idempotency_key)
                .bind(&generation.request_sha256)
                .bind(&generation.plan)
                .bind(&generation.pictures)
                .bind(generation.created_at);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(rows > 0)
    }

    /// One generation of a team.
    pub(crate) async fn find_generation(
        &self,
        team: TeamId,
        id: GenerationId,
    ) -> Result<Option<StoredGeneration>> {
        let sql = format!("SELECT {COLUMNS} FROM generations WHERE id = $1 AND team_id = $2");
        let row: Option<Row> = on_db!(&self.write, pool => {
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.0).bind(team.0).fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// What a team asked under a key of its own.
    pub(crate) async fn find_generation_of_key(
        &self,
        team: TeamId,
        key: &str,
    ) -> Result<Option<StoredGeneration>> {
        let sql = format!("SELECT {COLUMNS} FROM generations WHERE team_id = $1 AND idempotency_key = $2");
        let row: Option<Row> = on_db!(&self.write, pool => {
            sqlx::query_as(AssertSqlSafe(sql)).bind(team.0).bind(key).fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// A page of a team's generations, the newest first, those before `before` in that order, and how many there are.
    pub(crate) async fn list_generations(
        &self,
        team: TeamId,
        before: Option<GenerationId>,
        limit: u32,
    ) -> Result<(Vec<StoredGeneration>, u64)> {
        // Ids are ordered by time. The largest id comes before everything.
        let before = before.map_or(Uuid::max(), |id| id.0);
        let sql = format!(
            "SELECT {COLUMNS} FROM generations WHERE team_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        );
        let (rows, total): (Vec<Row>, i64) = on_db!(&self.read, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(team.0).bind(before).bind(i64::from(limit));
            let rows = query.fetch_all(pool).await?;
            (rows, sqlx::query_scalar(COUNT_OF_TEAM).bind(team.0).fetch_one(pool).await?)
        });
        Ok((rows.into_iter().map(Row::stored).collect::<Result<_>>()?, total.unsigned_abs()))
    }

    /// Takes the oldest waiting one. Two workers never take the same one.
    pub(crate) async fn claim_generation(
        &self,
        now: DateTime<Utc>,
        lease: &Lease,
    ) -> Result<Option<StoredGeneration>> {
        let sql = format!(
            "UPDATE generations SET state = 'running', holder = $1, lease_until = $2,
                started_at = COALESCE(started_at, $3)
             WHERE id = (SELECT id FROM generations WHERE state = 'queued' ORDER BY created_at, id LIMIT 1 {})
                AND state = 'queued' RETURNING {COLUMNS}",
            self.write.skip_locked()
        );
        let row: Option<Row> = on_db!(&self.write, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(&lease.holder).bind(lease.until).bind(now);
            query.fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// Notes what came and that its worker lives; answers whether somebody asked for its end, and none when another
    /// worker has it by now.
    pub(crate) async fn touch_generation(
        &self,
        generation: &StoredGeneration,
        lease: &Lease,
    ) -> Result<Option<bool>> {
        let asked: Option<bool> = on_db!(&self.write, pool => {
            let query = sqlx::query_scalar(TOUCH).bind(generation.id.0).bind(&lease.holder);
            query.bind(&generation.pictures).bind(lease.until).fetch_optional(pool).await
        })?;
        Ok(asked)
    }

    /// Writes the end of a running one, if this holder still has it.
    pub(crate) async fn finish_generation(
        &self,
        generation: &StoredGeneration,
        holder: &str,
    ) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            let query = sqlx::query(FINISH)
                .bind(generation.id.0)
                .bind(holder)
                .bind(generation.state.as_str())
                .bind(&generation.pictures)
                .bind(&generation.error_code)
                .bind(&generation.error)
                .bind(generation.finished_at);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(rows > 0)
    }

    /// Asks for the end: a waiting one is over at once, a running one hears of it from its worker.
    pub(crate) async fn cancel_generation(&self, id: GenerationId, now: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(CANCEL_WAITING).bind(id.0).bind(now).execute(pool).await?;
            sqlx::query(ASK_FOR_END).bind(id.0).execute(pool).await?;
        });
        Ok(())
    }

    /// Puts those back into the queue whose holder died: all of this installation's at its start, others' when their
    /// lease has run out.
    pub(crate) async fn requeue_abandoned_generations(
        &self,
        holder: &str,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let rows = on_db!(&self.write, pool => {
            let query = sqlx::query(REQUEUE).bind(holder).bind(now);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(rows)
    }

    /// How many wait, of all and of one team.
    pub(crate) async fn count_waiting_generations(&self, team: TeamId) -> Result<(u64, u64)> {
        let (all, own): (i64, i64) =
            on_db!(&self.read, pool => sqlx::query_as(COUNT_WAITING).bind(team.0).fetch_one(pool).await)?;
        Ok((all.unsigned_abs(), own.unsigned_abs()))
    }

    /// How many wait that were asked for before that moment.
    pub(crate) async fn count_generations_before(&self, moment: DateTime<Utc>) -> Result<u64> {
        let count: i64 =
            on_db!(&self.read, pool => sqlx::query_scalar(COUNT_BEFORE).bind(moment).fetch_one(pool).await)?;
        Ok(count.unsigned_abs())
    }

    /// Forgets those that were over before that moment, and answers which they were.
    pub(crate) async fn forget_generations(&self, before: DateTime<Utc>) -> Result<Vec<GenerationId>> {
        let ids: Vec<Uuid> =
            on_db!(&self.write, pool => sqlx::query_scalar(FORGET).bind(before).fetch_all(pool).await)?;
        Ok(ids.into_iter().map(GenerationId).collect())
    }
}

impl Row {
    fn stored(self) -> Result<StoredGeneration> {
        let id = GenerationId(self.id);
        let state = GenerationState::parse(&self.state).ok_or_else(|| {
            let cause = format!("it has the unknown state `{}`", self.state);
            Error::internal(format!("the generation `{id}` in the database cannot be read"), cause)
        })?;
        Ok(StoredGeneration {
            id,
            team_id: TeamId(self.team_id),
            state,
            idempotency_key: self.idempotency_key,
            request_sha256: self.request_sha256,
            plan: self.plan,
            pictures: self.pictures,
            is_cancelled: self.is_cancelled,
            error_code: self.error_code,
            error: self.error,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}
