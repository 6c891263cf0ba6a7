//! A registry on folders of its own, on SQLite and on PostgreSQL.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{TimeZone, Utc};
use lorakeep_registry::clock::FixedClock;
use lorakeep_registry::config::{Config, ConfigFlags};
use lorakeep_registry::{Registry, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Makes two tests of one function, one a database.
macro_rules! both_databases {
    ($(async fn $name:ident($home:ident: Home) $body:block)+) => {
        $(async fn $name($home: $crate::harness::Home) $body

        mod $name {
            #[tokio::test]
            async fn sqlite() {
                $crate::harness::on_sqlite(super::$name).await;
            }

            #[tokio::test]
            async fn postgres() {
                $crate::harness::on_postgres(super::$name).await;
            }
        })+
    };
}
pub(crate) use both_databases;

/// Folders and a database; registries are opened on it one after the other.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) data: PathBuf,
    pub(crate) models: PathBuf,
    pub(crate) clock: FixedClock,
    database_url: Option<String>,
}

/// Runs the story on SQLite.
pub(crate) async fn on_sqlite<F: Future<Output = ()>>(story: impl FnOnce(Home) -> F) {
    let folder = tempfile::tempdir().unwrap();
    story(Home::below(folder.path(), None)).await;
}

/// Runs the story on a schema of its own, which is dropped afterwards.
#[expect(clippy::print_stderr, reason = "a half that is left out must be seen")]
pub(crate) async fn on_postgres<F: Future<Output = ()>>(story: impl FnOnce(Home) -> F) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
        eprintln!("SKIPPED on PostgreSQL: TEST_DATABASE_URL is not set");
        return;
    };
    let schema = format!("registry_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    run(&server, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")).await;
    let separator = if server.contains('?') { '&' } else { '?' };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{server}{separator}options[search_path]={schema}");
    story(Home::below(folder.path(), Some(url))).await;
    run(&server, &format!("DROP SCHEMA {schema} CASCADE")).await;
}

async fn run(server: &str, statements: &str) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

impl Home {
    fn below(folder: &Path, database_url: Option<String>) -> Self {
        let (data, models) = (folder.join("data"), folder.join("models"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&models).unwrap();
        let clock = FixedClock::at(Utc.with_ymd_and_hms(2026, 5, 6, 7, 8, 9).unwrap());
        Self { data, models, clock, database_url }
    }

    pub(crate) fn config(&self) -> Config {
        self.config_with(&[])
    }

    pub(crate) fn config_with(&self, environment: &[(&str, &str)]) -> Config {
        let flags = ConfigFlags {
            data_dir: Some(self.data.clone()),
            models_dir: Some(self.models.clone()),
            database_url: self.database_url.clone(),
            ..ConfigFlags::default()
        };
        let env = |name: &str| environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        Config::load(&flags, &env).unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Registry> {
        Registry::open(self.config(), Arc::new(self.clock.clone())).await
    }

    pub(crate) async fn open(&self) -> Registry {
        self.try_open().await.unwrap()
    }

    /// Two processes on one database, each with a data folder of its own; none on SQLite, which has one process.
    pub(crate) async fn open_two(&self) -> Option<(Registry, Registry)> {
        self.database_url.as_ref()?;
        let other = Self { data: self.data.join("other"), models: self.models.join("other"), ..self.clone() };
        Some((self.open().await, other.open().await))
    }

    /// The text of a catalog file.
    pub(crate) fn catalog(&self, name: &str) -> String {
        fs::read_to_string(self.catalog_path(name)).unwrap()
    }

    pub(crate) fn catalog_path(&self, name: &str) -> PathBuf {
        self.data.join("catalogs").join(format!("{name}.json"))
    }

    pub(crate) fn write_catalog(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.data.join("catalogs")).unwrap();
        fs::write(self.catalog_path(name), text).unwrap();
    }

    /// Makes a file below the models root.
    pub(crate) fn write_model(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.models.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Waits until it holds, for ten seconds at most.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
