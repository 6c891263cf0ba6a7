//! Runs one test on both databases: `both_databases!(async fn name(store: Store) { … })`.
//!
//! PostgreSQL is the server of `TEST_DATABASE_URL`, a schema a test; without it that half is skipped with a loud line.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Store;

/// Makes two tests of one function.
macro_rules! both_databases {
    ($(async fn $name:ident($store:ident: Store) $body:block)+) => {
        $(async fn $name($store: $crate::store::Store) $body

        mod $name {
            #[tokio::test]
            async fn sqlite() {
                $crate::store::testing::on_sqlite(super::$name).await;
            }

            #[tokio::test]
            async fn postgres() {
                $crate::store::testing::on_postgres(super::$name).await;
            }
        })+
    };
}
pub(crate) use both_databases;

/// Runs the story on a new file.
pub(crate) async fn on_sqlite<F: Future<Output = ()>>(story: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&folder.path().join("lorakeep.db")).await.unwrap();
    story(store.clone()).await;
    store.close().await;
}

/// Runs the story in a new schema, which is dropped afterwards.
pub(crate) async fn on_postgres<F: Future<Output = ()>>(story: impl FnOnce(Store) -> F) {
    let Some(schema) = PostgresSchema::create().await else { return };
    let store = Store::open_postgres(&schema.url).await.unwrap();
    story(store.clone()).await;
    store.close().await;
    schema.drop().await;
}

/// A schema of its own on the test server.
pub(crate) struct PostgresSchema {
    name: String,
    server: String,
    /// The server's address with this schema as search path.
    pub(crate) url: String,
}

impl PostgresSchema {
    /// `None` when there is no test server.
    pub(crate) async fn create() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            eprintln!("SKIPPED on PostgreSQL: TEST_DATABASE_URL is not set");
            return None;
        };
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options[search_path]={name}");
        let schema = Self { name, server, url };
        schema.run(&format!("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}", schema.name)).await;
        Some(schema)
    }

    /// Removes it with everything in it.
    pub(crate) async fn drop(self) {
        self.run(&format!("DROP SCHEMA {} CASCADE", self.name)).await;
    }

    async fn run(&self, statements: &str) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
