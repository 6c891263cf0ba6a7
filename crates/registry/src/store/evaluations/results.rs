//! What was computed of a content, by one version of the tool.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::error::Result;
use crate::store::{Store, on_db};

const FIND: &str =
    "SELECT document, scope, frobenius_total, effective_rank, computed_at FROM evaluation_results
    WHERE kind = $1 AND content = $2 AND tool = $3 AND options = $4";
const SAVE: &str =
    "INSERT INTO evaluation_results (kind, content, tool, options, scope, frobenius_total, effective_rank,
        document, computed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
const REPLACE: &str = "INSERT INTO evaluation_results (kind, content, tool, options, document, computed_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (kind, content, tool, options) DO UPDATE SET document = $5, computed_at = $6";
const POPULATION: &str = "SELECT frobenius_total, effective_rank FROM evaluation_results
    WHERE kind = 'file' AND scope = $1 AND tool = $2 AND options = $3 AND content <> $4";

/// What a result is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ResultKey {
    /// `file`, `pair`, `series` or `base`.
    pub(crate) kind: &'static str,
    /// SHA-256 of the content; of each content, joined by colons.
    pub(crate) content: String,
    /// Version of the tool.
    pub(crate) tool: String,
    /// What was asked, as far as it changes the numbers.
    pub(crate) options: String,
}

/// What was computed.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub(crate) struct StoredResult {
    /// JSON.
    pub(crate) document: String,
    /// Architecture and algorithm, within which files are comparable.
    pub(crate) scope: Option<String>,
    /// The norm of all changes.
    pub(crate) frobenius_total: Option<f64>,
    /// The median over modules.
    pub(crate) effective_rank: Option<f64>,
    /// When.
    pub(crate) computed_at: DateTime<Utc>,
}

impl Store {
    /// What is known of a content.
    pub(crate) async fn find_result(&self, key: &ResultKey) -> Result<Option<StoredResult>> {
        let found = on_db!(&self.write, pool => {
            let query = sqlx::query_as(FIND).bind(key.kind).bind(&key.content).bind(&key.tool);
            query.bind(&key.options).fetch_optional(pool).await
        })?;
        Ok(found)
    }

    /// Keeps what was computed; the first word holds.
    pub(crate) async fn save_result(&self, key: &ResultKey, result: &StoredResult) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE)
                .bind(key.kind)
                .bind(&key.content)
                .bind(&key.tool)
                .bind(&key.options)
                .bind(&result.scope)
                .bind(result.frobenius_total)
                .bind(result.effective_rank)
                .bind(&result.document)
                .bind(result.computed_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Keeps a document that grows; the last word holds.
    pub(crate) async fn replace_result(
        &self,
        key: &ResultKey,
        document: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        on_db!(&self.write, pool => {
            let query = sqlx::query(REPLACE).bind(key.kind).bind(&key.content).bind(&key.tool);
            query.bind(&key.options).bind(document).bind(now).execute(pool).await?;
        });
        Ok(())
    }

    /// Norm and effective rank of every other content of a scope.
    pub(crate) async fn result_population(
        &self,
        scope: &str,
        key: &ResultKey,
    ) -> Result<Vec<(Option<f64>, Option<f64>)>> {
        let rows = on_db!(&self.read, pool => {
            let query = sqlx::query_as(POPULATION).bind(scope).bind(&key.tool).bind(&key.options);
            query.bind(&key.content).fetch_all(pool).await
        })?;
        Ok(rows)
    }
}
