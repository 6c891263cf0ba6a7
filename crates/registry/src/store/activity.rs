//! The activity log.

use chrono::{DateTime, Utc};

use super::{Store, on_db};
use crate::error::Result;

const LIST: &str = "SELECT id, at, level, message FROM activity ORDER BY id";
pub(super) const INSERT_ACTIVITY: &str =
    "INSERT INTO activity (id, at, level, message) VALUES ($1, $2, $3, $4)";
pub(super) const PRUNE_ACTIVITY: &str = "DELETE FROM activity WHERE id <= $1";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StoredActivity {
    /// Counts up.
    pub(crate) id: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) level: String,
    pub(crate) message: String,
}

impl Store {
    /// Every line, oldest first.
    pub(crate) async fn list_activity(&self) -> Result<Vec<StoredActivity>> {
        Ok(on_db!(&self.read, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// Adds a line and drops those up to `oldest`.
    pub(crate) async fn add_activity(&self, line: &StoredActivity, oldest: i64) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(INSERT_ACTIVITY)
                .bind(line.id)
                .bind(line.at)
                .bind(&line.level)
                .bind(&line.message)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(PRUNE_ACTIVITY).bind(oldest).execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Drops the lines up to that one.
    pub(crate) async fn prune_activity(&self, last: i64) -> Result<()> {
        on_db!(&self.write, pool => sqlx::query(PRUNE_ACTIVITY).bind(last).execute(pool).await.map(drop))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::both_databases;

    both_databases! {
        async fn lines_come_in_order_and_old_ones_go(store: Store) {
            for id in 1..=4 {
                let at = DateTime::from_timestamp(id, 0).unwrap();
                let line = StoredActivity { id, at, level: "info".into(), message: format!("{id}") };
                store.add_activity(&line, id - 3).await.unwrap();
            }
            let ids = |lines: Vec<StoredActivity>| lines.into_iter().map(|line| line.id).collect::<Vec<_>>();
            assert_eq!(ids(store.list_activity().await.unwrap()), [2, 3, 4]);
            store.prune_activity(4).await.unwrap();
            assert!(store.list_activity().await.unwrap().is_empty());
        }
    }
}
