//! Run-time settings and other single values, by name.

use std::collections::BTreeMap;

use super::{Store, on_db};
use crate::error::Result;

const LIST_SETTINGS: &str = "SELECT name, value FROM settings";
const FIND_SETTING: &str = "SELECT value FROM settings WHERE name = $1";
const SAVE_SETTING: &str = "INSERT INTO settings (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const INSERT_SETTING: &str =
    "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const DELETE_SETTING: &str = "DELETE FROM settings WHERE name = $1";

impl Store {
    /// All of them.
    pub(crate) async fn list_settings(&self) -> Result<BTreeMap<String, String>> {
        let rows: Vec<(String, String)> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_SETTINGS).fetch_all(pool).await)?;
        Ok(rows.into_iter().collect())
    }

    /// One of them.
    pub(crate) async fn find_setting(&self, name: &str) -> Result<Option<String>> {
        Ok(on_db!(&self.read, pool => {
            sqlx::query_scalar(FIND_SETTING).bind(name).fetch_optional(pool).await?
        }))
    }

    /// Sets them together.
    pub(crate) async fn save_settings(&self, settings: &[(&str, String)]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for (name, value) in settings {
                sqlx::query(SAVE_SETTING).bind(*name).bind(value).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Forgets one, so that the configuration counts again.
    pub(crate) async fn delete_setting(&self, name: &str) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(DELETE_SETTING).bind(name).execute(pool).await?;
        });
        Ok(())
    }

    /// Sets one unless it is set; answers whether it did.
    pub(crate) async fn insert_setting(&self, name: &str, value: &str) -> Result<bool> {
        let count: u64 = on_db!(&self.write, pool => {
            sqlx::query(INSERT_SETTING).bind(name).bind(value).execute(pool).await?.rows_affected()
        });
        Ok(count > 0)
    }
}
