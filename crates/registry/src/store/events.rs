//! What happened lately.

use chrono::{DateTime, Utc};

use super::{Store, on_db};
use crate::error::Result;

const LIST: &str = "SELECT position, id, kind, at, severity, message, data FROM events ORDER BY position";
const INSERT: &str = "INSERT INTO events (position, id, kind, at, severity, message, data)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (position) DO NOTHING";
const PRUNE: &str = "DELETE FROM events WHERE position <= $1";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StoredEvent {
    /// Counts up.
    pub(crate) position: i64,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) severity: String,
    pub(crate) message: String,
    /// JSON.
    pub(crate) data: String,
}

impl Store {
    /// Every event, oldest first.
    pub(crate) async fn list_events(&self) -> Result<Vec<StoredEvent>> {
        Ok(on_db!(&self.read, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// Adds events and drops those up to `oldest`.
    pub(crate) async fn add_events(&self, events: &[StoredEvent], oldest: i64) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for event in events {
                sqlx::query(INSERT)
                    .bind(event.position)
                    .bind(&event.id)
                    .bind(&event.kind)
                    .bind(event.at)
                    .bind(&event.severity)
                    .bind(&event.message)
                    .bind(&event.data)
                    .execute(&mut *transaction)
                    .await?;
            }
            sqlx::query(PRUNE).bind(oldest).execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::both_databases;

    both_databases! {
        async fn events_come_in_order_and_old_ones_go(store: Store) {
            let event = |position: i64| StoredEvent {
                position,
                id: format!("evt_{position}"),
                kind: "model.deleted".into(),
                at: DateTime::from_timestamp(position, 0).unwrap(),
                severity: "info".into(),
                message: "gone".into(),
                data: "{}".into(),
            };
            let all: Vec<StoredEvent> = (1..=4).map(event).collect();
            store.add_events(&all[..3], 0).await.unwrap();
            store.add_events(&all[2..], 2).await.unwrap();
            assert_eq!(store.list_events().await.unwrap(), all[2..]);
        }
    }
}
