//! The queue of the metadata fetch, and what the last fetch of each entry said.

use sqlx::QueryBuilder;
use uuid::Uuid;

use super::edits::{written, written_origins};
use super::{Store, on_db};
use crate::domain::{EntryId, Sayings};
use crate::error::Result;

const LIST: &str = "SELECT entry_id, file, position, state, error FROM metadata_fetches ORDER BY position";
const INSERT: &str = "INSERT INTO metadata_fetches (entry_id, file, position, state) ";
const OR_QUEUE: &str =
    " ON CONFLICT (entry_id) DO UPDATE SET file = excluded.file, position = excluded.position,
    state = excluded.state, error = NULL";
const CHANGE: &str = "UPDATE metadata_fetches SET state = $2, error = $3 WHERE entry_id = $1";
const REQUEUE: &str = "UPDATE metadata_fetches SET state = 'queued' WHERE state = 'fetching'";
const FORGET: &str = "DELETE FROM metadata_fetches WHERE entry_id = $1";
/// Also part of transactions that change entries.
pub(super) const SAVE_FACTS: &str =
    "INSERT INTO fetched_facts (entry_id, document, origins) VALUES ($1, $2, $3)
    ON CONFLICT (entry_id) DO UPDATE SET document = excluded.document, origins = excluded.origins";

/// Rows a statement.
const ROWS_A_STATEMENT: usize = 500;

/// One entry of the queue.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StoredFetch {
    pub(crate) entry_id: Uuid,
    pub(crate) file: String,
    pub(crate) position: i64,
    pub(crate) state: String,
    pub(crate) error: Option<String>,
}

impl Store {
    /// Puts what an interrupted run held back into the queue, and answers everything in the order of the queue.
    pub(crate) async fn load_fetches(&self) -> Result<Vec<StoredFetch>> {
        on_db!(&self.write, pool => sqlx::query(REQUEUE).execute(pool).await.map(drop))?;
        Ok(on_db!(&self.read, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// Queues these, all or none.
    pub(crate) async fn queue_fetches(&self, fetches: &[(EntryId, String, i64)]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for some in fetches.chunks(ROWS_A_STATEMENT) {
                let mut statement = QueryBuilder::new(INSERT);
                statement.push_values(some, |mut row, (id, file, position)| {
                    row.push_bind(id.0).push_bind(file).push_bind(position).push_bind("queued");
                });
                statement.push(OR_QUEUE).build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Says where one stands.
    pub(crate) async fn change_fetch(&self, id: EntryId, state: &str, error: Option<&str>) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(CHANGE).bind(id.0).bind(state).bind(error).execute(pool).await?;
        });
        Ok(())
    }

    /// Forgets one whose entry is gone.
    pub(crate) async fn forget_fetch(&self, id: EntryId) -> Result<()> {
        on_db!(&self.write, pool => sqlx::query(FORGET).bind(id.0).execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Remembers what fetches said of an entry, and who said it.
    pub(crate) async fn save_fetched_facts(&self, id: EntryId, sayings: &Sayings) -> Result<()> {
        let (said, origins) = (written(&sayings.said), written_origins(&sayings.origins));
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_FACTS).bind(id.0).bind(&said).bind(&origins).execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::store::testing::both_databases;

    both_databases! {
        async fn fetches_are_queued_again_after_an_interruption(store: Store) {
            let ids: Vec<EntryId> = (0..3).map(|_| EntryId::new(DateTime::UNIX_EPOCH)).collect();
            let rows: Vec<_> =
                ids.iter().enumerate().map(|(at, id)| (*id, format!("{at}.pt"), 3 - at as i64)).collect();
            store.queue_fetches(&rows).await.unwrap();
            store.change_fetch(ids[0], "fetching", None).await.unwrap();
            store.change_fetch(ids[1], "error", Some("HTTP 404")).await.unwrap();
            store.forget_fetch(ids[2]).await.unwrap();
            let seen: Vec<(String, String, Option<String>)> =
                store.load_fetches().await.unwrap().into_iter().map(|row| (row.file, row.state, row.error)).collect();
            assert_eq!(seen, [
                ("1.pt".to_owned(), "error".to_owned(), Some("HTTP 404".to_owned())),
                ("0.pt".to_owned(), "queued".to_owned(), None),
            ]);
            store.queue_fetches(&rows[1..2]).await.unwrap();
            assert_eq!(store.load_fetches().await.unwrap()[0].error, None);
        }
    }
}
