//! The queue of the metadata fetch, and what the last fetch of each entry said.

use serde_json::{Map, Value};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::EntryId;
use crate::error::Result;

const LIST: &str = "SELECT entry_id, file, position, state, error FROM metadata_fetches ORDER BY position";
const INSERT: &str = "INSERT INTO metadata_fetches (entry_id, file, position, state) ";
const OR_QUEUE: &str =
    " ON CONFLICT (entry_id) DO UPDATE SET file = excluded.file, position = excluded.position,
    state = excluded.state, error = NULL";
const CHANGE: &str = "UPDATE metadata_fetches SET state = $2, error = $3 WHERE entry_id = $1";
const REQUEUE: &str = "UPDATE metadata_fetches SET state = 'queued' WHERE state = 'fetching'";
const FORGET: &str = "DELETE FROM metadata_fetches WHERE entry_id = $1";
const LOAD_FACTS: &str = "SELECT document FROM fetched_facts WHERE entry_id = $1";
const SAVE_FACTS: &str = "INSERT INTO fetched_facts (entry_id, document) VALUES ($1, $2)
    ON CONFLICT (entry_id) DO UPDATE SET document = excluded.document";

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

    /// What the last fetch said of an entry; empty before the first.
    pub(crate) async fn load_fetched_facts(&self, id: EntryId) -> Result<Map<String, Value>> {
        let text: Option<(String,)> =
            on_db!(&self.read, pool => sqlx::query_as(LOAD_FACTS).bind(id.0).fetch_optional(pool).await)?;
        // What cannot be read counts as never said.
        Ok(text.and_then(|(text,)| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Remembers what was said of many entries, all or none.
    pub(crate) async fn save_many_fetched_facts(
        &self,
        facts: &[(EntryId, Map<String, Value>)],
    ) -> Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for (id, facts) in facts {
                let text = serde_json::to_string(facts).expect("a map with text keys is always JSON");
                sqlx::query(SAVE_FACTS).bind(id.0).bind(&text).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Remembers what a fetch said.
    pub(crate) async fn save_fetched_facts(&self, id: EntryId, facts: &Map<String, Value>) -> Result<()> {
        let text = serde_json::to_string(facts).expect("a map with text keys is always JSON");
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_FACTS).bind(id.0).bind(&text).execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

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

        async fn the_last_fetched_facts_are_kept_with_their_order(store: Store) {
            let id = EntryId::new(DateTime::UNIX_EPOCH);
            assert!(store.load_fetched_facts(id).await.unwrap().is_empty());
            for facts in [json!({"z": 1, "a": [2]}), json!({"b": "ü"})] {
                let Value::Object(facts) = facts else { unreachable!() };
                store.save_fetched_facts(id, &facts).await.unwrap();
                assert_eq!(store.load_fetched_facts(id).await.unwrap(), facts);
            }
        }
    }
}
