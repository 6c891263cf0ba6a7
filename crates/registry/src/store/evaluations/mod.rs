//! Evaluations: rows that a worker claims, holds by a lease, and ends; what was found, by content; pictures.

mod cells;
mod results;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::{Lease, Store, on_db};
use crate::domain::{EvaluationId, EvaluationLane, EvaluationState};
use crate::error::{Error, Result};

pub(crate) use cells::{CellState, StoredCell};
pub(crate) use results::{ResultKey, StoredResult};

const COLUMNS: &str =
    "id, state, request, files, outcome, steps_done, steps_total, is_cancelled, asked_by, error_code, error,
    created_at, started_at, finished_at";
const INSERT: &str =
    "INSERT INTO evaluations (id, state, lane, request, files, steps_done, steps_total, is_cancelled,
        asked_by, created_at)
    VALUES ($1, 'queued', $2, $3, $4, 0, $5, FALSE, $6, $7)";
const TOUCH: &str =
    "UPDATE evaluations SET files = $3, steps_done = $4, steps_total = $5, outcome = $6, lease_until = $7
    WHERE id = $1 AND holder = $2 AND state = 'running' RETURNING is_cancelled";
const FINISH: &str =
    "UPDATE evaluations SET state = $3, files = $4, steps_done = $5, steps_total = $6, outcome = $7,
        error_code = $8, error = $9, finished_at = $10, holder = NULL, lease_until = NULL
    WHERE id = $1 AND holder = $2 AND state = 'running'";
const ASK_FOR_END: &str = "UPDATE evaluations SET is_cancelled = TRUE WHERE id = $1 AND state = 'running'";
const CANCEL_WAITING: &str =
    "UPDATE evaluations SET state = 'cancelled', is_cancelled = TRUE, finished_at = $2
    WHERE id = $1 AND state = 'queued'";
const DELETE_ENDED: &str =
    "DELETE FROM evaluations WHERE id = $1 AND state IN ('completed', 'failed', 'cancelled')";
const DELETE_CELLS: &str = "DELETE FROM evaluation_cells WHERE evaluation_id = $1";

/// An evaluation as stored; documents are the service's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEvaluation {
    pub(crate) id: EvaluationId,
    pub(crate) state: EvaluationState,
    /// The request, JSON.
    pub(crate) request: String,
    /// The files, JSON.
    pub(crate) files: String,
    /// What was found and is not kept by content, JSON.
    pub(crate) outcome: Option<String>,
    pub(crate) steps_done: u64,
    pub(crate) steps_total: u64,
    /// Somebody asked for its end.
    pub(crate) is_cancelled: bool,
    pub(crate) asked_by: String,
    pub(crate) error_code: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    state: String,
    request: String,
    files: String,
    outcome: Option<String>,
    steps_done: i64,
    steps_total: i64,
    is_cancelled: bool,
    asked_by: String,
    error_code: Option<String>,
    error: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Puts a new evaluation at the end of its lane's queue.
    pub(crate) async fn insert_evaluation(
        &self,
        evaluation: &StoredEvaluation,
        lane: EvaluationLane,
    ) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(INSERT)
                .bind(evaluation.id.0)
                .bind(lane.as_str())
                .bind(&evaluation.request)
                .bind(&evaluation.files)
                .bind(evaluation.steps_total as i64)
                .bind(&evaluation.asked_by)
                .bind(evaluation.created_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// One evaluation.
    pub(crate) async fn load_evaluation(&self, id: EvaluationId) -> Result<Option<StoredEvaluation>> {
        let sql = format!("SELECT {COLUMNS} FROM evaluations WHERE id = $1");
        let row: Option<Row> = on_db!(&self.write, pool => {
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.0).fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// Takes the oldest waiting one of a lane. Two workers never take the same one.
    pub(crate) async fn claim_evaluation(
        &self,
        lane: EvaluationLane,
        now: DateTime<Utc>,
        lease: &Lease,
    ) -> Result<Option<StoredEvaluation>> {
        let sql = format!(
            "UPDATE evaluations SET state = 'running', holder = $1, lease_until = $2,
                started_at = COALESCE(started_at, $3)
             WHERE id = (SELECT id FROM evaluations WHERE state = 'queued' AND lane = $4
                ORDER BY created_at, id LIMIT 1 {}) AND state = 'queued' RETURNING {COLUMNS}",
            self.write.skip_locked()
        );
        let row: Option<Row> = on_db!(&self.write, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(&lease.holder).bind(lease.until);
            query.bind(now).bind(lane.as_str()).fetch_optional(pool).await
        })?;
        row.map(Row::stored).transpose()
    }

    /// Notes how far a running one is and that it lives; answers whether somebody asked for its end, and none when
    /// another worker has it by now.
    pub(crate) async fn touch_evaluation(
        &self,
        evaluation: &StoredEvaluation,
        lease: &Lease,
    ) -> Result<Option<bool>> {
        let asked: Option<bool> = on_db!(&self.write, pool => {
            let query = sqlx::query_scalar(TOUCH)
                .bind(evaluation.id.0)
                .bind(&lease.holder)
                .bind(&evaluation.files)
                .bind(evaluation.steps_done as i64)
                .bind(evaluation.steps_total as i64)
                .bind(&evaluation.outcome)
                .bind(lease.until);
            query.fetch_optional(pool).await
        })?;
        Ok(asked)
    }

    /// Writes the end of a running one, if this holder still has it.
    pub(crate) async fn finish_evaluation(
        &self,
        evaluation: &StoredEvaluation,
        holder: &str,
    ) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            let query = sqlx::query(FINISH)
                .bind(evaluation.id.0)
                .bind(holder)
                .bind(evaluation.state.as_str())
                .bind(&evaluation.files)
                .bind(evaluation.steps_done as i64)
                .bind(evaluation.steps_total as i64)
                .bind(&evaluation.outcome)
                .bind(&evaluation.error_code)
                .bind(&evaluation.error)
                .bind(evaluation.finished_at);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(rows > 0)
    }

    /// Asks for the end: a waiting one is over at once, a running one hears of it from its worker.
    pub(crate) async fn cancel_evaluation(&self, id: EvaluationId, now: DateTime<Utc>) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(CANCEL_WAITING).bind(id.0).bind(now).execute(pool).await?;
            sqlx::query(ASK_FOR_END).bind(id.0).execute(pool).await?;
        });
        Ok(())
    }

    /// Puts evaluations back into the queue whose holder died: all of this installation's at its start, others' when
    /// their lease has run out.
    pub(crate) async fn requeue_abandoned_evaluations(
        &self,
        holder: &str,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        const SQL: &str = "UPDATE evaluations SET state = 'queued', holder = NULL, lease_until = NULL
            WHERE state = 'running' AND (holder IS NULL OR holder = $1 OR lease_until < $2)";
        let rows = on_db!(&self.write, pool => {
            let query = sqlx::query(SQL).bind(holder).bind(now);
            query.execute(pool).await.map(|result| result.rows_affected())
        })?;
        Ok(rows)
    }

    /// A page of evaluations, the newest first, those before `before` in that order.
    pub(crate) async fn list_evaluations(
        &self,
        before: Option<EvaluationId>,
        limit: u32,
    ) -> Result<Vec<StoredEvaluation>> {
        // Ids are ordered by time. The largest id comes before everything.
        let before = before.map_or(Uuid::max(), |id| id.0);
        let sql = format!("SELECT {COLUMNS} FROM evaluations WHERE id < $1 ORDER BY id DESC LIMIT $2");
        let rows: Vec<Row> = on_db!(&self.read, pool => {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(before).bind(i64::from(limit));
            query.fetch_all(pool).await
        })?;
        rows.into_iter().map(Row::stored).collect()
    }

    /// How many there are by state.
    pub(crate) async fn count_evaluations(&self) -> Result<Vec<(EvaluationState, u64)>> {
        const SQL: &str = "SELECT state, COUNT(*) FROM evaluations GROUP BY state";
        let rows: Vec<(String, i64)> = on_db!(&self.read, pool => sqlx::query_as(SQL).fetch_all(pool).await)?;
        let known = |(state, count): (String, i64)| {
            EvaluationState::parse(&state).map(|state| (state, count.unsigned_abs()))
        };
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Forgets an evaluation that is over, with its pictures' rows; `false` when it is not over.
    pub(crate) async fn delete_evaluation(&self, id: EvaluationId) -> Result<bool> {
        let is_gone = on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            let gone = sqlx::query(DELETE_ENDED).bind(id.0).execute(&mut *transaction).await?.rows_affected();
            if gone > 0 {
                sqlx::query(DELETE_CELLS).bind(id.0).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            gone > 0
        });
        Ok(is_gone)
    }
}

impl Row {
    fn stored(self) -> Result<StoredEvaluation> {
        let id = EvaluationId(self.id);
        let state = EvaluationState::parse(&self.state).ok_or_else(|| {
            let cause = format!("it has the unknown state `{}`", self.state);
            Error::internal(format!("the evaluation `{id}` in the database cannot be read"), cause)
        })?;
        Ok(StoredEvaluation {
            id,
            state,
            request: self.request,
            files: self.files,
            outcome: self.outcome,
            steps_done: self.steps_done.unsigned_abs(),
            steps_total: self.steps_total.unsigned_abs(),
            is_cancelled: self.is_cancelled,
            asked_by: self.asked_by,
            error_code: self.error_code,
            error: self.error,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}
