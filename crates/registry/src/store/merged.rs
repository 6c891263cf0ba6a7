//! What a sync last merged from the repository.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sqlx::QueryBuilder;

use super::{Store, on_db};
use crate::domain::ModelPath;
use crate::error::Result;

const LIST: &str = "SELECT dest, file, document FROM merged_entries";
const CLEAR: &str = "DELETE FROM merged_entries";
const INSERT: &str = "INSERT INTO merged_entries (dest, file, document) ";

/// Rows a statement.
const ROWS_A_STATEMENT: usize = 500;

impl Store {
    /// Every entry that was merged; what cannot be read counts as never merged.
    pub(crate) async fn load_merged(&self) -> Result<HashMap<ModelPath, Map<String, Value>>> {
        let rows: Vec<(String, String, String)> =
            on_db!(&self.read, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        let read = |(dest, file, document): (String, String, String)| {
            Some((ModelPath::parse(&dest, &file).ok()?, serde_json::from_str(&document).ok()?))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Replaces all of them.
    pub(crate) async fn save_merged(&self, merged: &[(ModelPath, Map<String, Value>)]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(CLEAR).execute(&mut *transaction).await?;
            for some in merged.chunks(ROWS_A_STATEMENT) {
                let mut statement = QueryBuilder::new(INSERT);
                statement.push_values(some, |mut row, (path, document)| {
                    row.push_bind(path.folder.as_str())
                        .push_bind(path.file.as_str())
                        .push_bind(serde_json::to_string(document).expect("a map with text keys is always JSON"));
                });
                statement.build().execute(&mut *transaction).await?;
            }
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
        async fn the_last_merge_replaces_the_one_before(store: Store) {
            let path = |file: &str| ModelPath::parse("vae", file).unwrap();
            for file in ["a.pt", "b.pt"] {
                store.save_merged(&[(path(file), Map::new())]).await.unwrap();
            }
            let merged = store.load_merged().await.unwrap();
            assert_eq!(merged.into_keys().collect::<Vec<_>>(), [path("b.pt")]);
        }
    }
}
