//! Opening the database: the file or the server, its settings, its schema.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Db, Store};
use crate::error::{Error, Result, full_or_read_only};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a statement waits for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that read beside the one that writes.
const SQLITE_READERS: u32 = 3;
/// Connections to a PostgreSQL server.
const POSTGRES_CONNECTIONS: u32 = 10;

impl Store {
    /// Opens (and at first makes) the SQLite file and brings its schema up to date.
    ///
    /// A file that is no database, or one of a newer version, is an error; it is never deleted or written to.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self> {
        create_private(path).map_err(|error| {
            Error::internal(format!("the database `{}` cannot be opened", path.display()), error)
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .optimize_on_close(true, None);
        let broken = |error| broken_file(path, error);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(broken)?;
        SQLITE.run(&write).await.map_err(|error| migration_error(error, &path.display().to_string()))?;
        let read = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .idle_timeout(Duration::from_mins(1))
            .connect_lazy_with(reading(options));
        Ok(Self { read: Db::Sqlite(read), write: Db::Sqlite(write) })
    }

    /// Connects to the PostgreSQL server and brings its schema up to date.
    pub(crate) async fn open_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            let message =
                "the database address is not understood; it looks like `postgres://user@host/database`";
            Error::invalid("bad_configuration", "database.url", message)
        })?;
        let server = format!("PostgreSQL on `{}`", options.get_host());
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|error| Error::Unavailable {
                code: "database_unreachable",
                message: format!("{server} cannot be reached: {error}"),
            })?;
        POSTGRES.run(&pool).await.map_err(|error| migration_error(error, &server))?;
        Ok(Self { read: Db::Postgres(pool.clone()), write: Db::Postgres(pool) })
    }
}

/// What readers have otherwise: they cannot write, and keep few pages, since lists are read from memory.
fn reading(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.pragma("query_only", "ON").pragma("cache_size", "-512").optimize_on_close(false, None)
}

/// Makes the file readable by its owner alone before SQLite opens it; its companions take over the mode.
fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

fn broken_file(path: &Path, error: sqlx::Error) -> Error {
    if !is_damaged(&error) {
        return error.into();
    }
    Error::Unavailable { code: "database_damaged", message: damaged(&path.display().to_string()) }
}

fn damaged(name: &str) -> String {
    format!(
        "the database `{name}` is damaged; nothing was changed. Restore it from a backup, or move it away: the catalogs \
         are read again from `catalogs/` and the models folder is scanned again"
    )
}

/// SQLite's `SQLITE_CORRUPT` (11) and `SQLITE_NOTADB` (26), extended codes included.
fn is_damaged(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let code = code.and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|code| code & 0xff), Some(11 | 26))
}

fn migration_error(error: MigrateError, name: &str) -> Error {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            Error::Unavailable {
                code: "database_newer",
                message: format!(
                    "the database `{name}` was written by a newer lorakeep (schema {version}); start that version, or \
                 restore a backup from before the update"
                ),
            }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) if is_damaged(&error) => {
            Error::Unavailable { code: "database_damaged", message: damaged(name) }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)
            if full_or_read_only(&error).is_some() =>
        {
            error.into()
        }
        other => Error::internal(
            format!("the schema of the database `{name}` cannot be brought up to date"),
            other,
        ),
    }
}
