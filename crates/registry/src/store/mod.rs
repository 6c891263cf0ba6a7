//! SQLite and PostgreSQL behind one text.
//!
//! A statement is written once, in the common subset of both, and runs through [`on_db!`], which expands one expression
//! for each driver. What differs is a method of [`Db`] that returns a fragment. SQLite has one connection that writes
//! and a few that read; PostgreSQL has one pool for both.

mod activity;
mod adoptions;
mod bin;
mod catalogs;
mod connect;
mod downloads;
mod edits;
mod evaluations;
mod events;
mod file_facts;
mod files;
mod gallery;
mod generations;
mod merged;
mod metadata;
mod quarantine;
mod resumable;
mod sessions;
mod settings;
mod studio_gallery;
mod styles;
mod tags;
mod teams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod uploads;

use sqlx::{PgPool, SqlitePool};

use crate::error::{Error, Result};
pub(crate) use activity::StoredActivity;
pub(crate) use adoptions::StoredAdoption;
pub(crate) use bin::{BinFilter, BinRoot, BinState, StoredBinItem};
pub(crate) use catalogs::Beside;
pub(crate) use downloads::{Lease, STEP, StoredDownload};
pub(crate) use edits::{EntryChange, StoredEdit};
pub(crate) use evaluations::{CellState, ResultKey, StoredCell, StoredEvaluation, StoredResult};
pub(crate) use events::StoredEvent;
pub(crate) use file_facts::OfFile;
pub(crate) use gallery::{GallerySums, StoredImage};
pub(crate) use generations::StoredGeneration;
pub(crate) use metadata::StoredFetch;
pub(crate) use quarantine::StoredQuarantined;
pub(crate) use resumable::{ResumableFilter, ResumableState, StoredFailure, StoredResumable};
pub(crate) use sessions::StoredSession;
pub(crate) use studio_gallery::{StudioGalleryRows, read_studio_gallery};
pub(crate) use styles::StyleSaved;
pub(crate) use tags::StoredTag;
pub(crate) use teams::{KeyFilter, StoredTeamKey};
pub(crate) use uploads::{BinEntry, FinishedUpload, StoredUpload};

/// One pool of one of the two databases.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    /// A file in the data folder.
    Sqlite(SqlitePool),
    /// A server.
    Postgres(PgPool),
}

/// The database, opened and migrated.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// For statements that only read.
    pub(crate) read: Db,
    /// For statements and transactions that write; waits for its turn on SQLite.
    pub(crate) write: Db,
}

/// Runs one expression on whichever database it is: `on_db!(&store.read, pool => sqlx::query(SQL).execute(pool).await)`.
///
/// The expression is compiled once for each driver, so it may use neither's own types.
macro_rules! on_db {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::store::Db::Sqlite($pool) => $body,
            $crate::store::Db::Postgres($pool) => $body,
        }
    };
}
pub(crate) use on_db;

impl Db {
    /// What a SELECT inside a claiming UPDATE ends with, so that claims do not wait for each other.
    pub(crate) fn skip_locked(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        }
    }

    async fn close(&self) {
        on_db!(self, pool => pool.close().await);
    }
}

impl Store {
    /// The database's name for people.
    pub(crate) fn kind(&self) -> &'static str {
        match self.read {
            Db::Sqlite(_) => "SQLite",
            Db::Postgres(_) => "PostgreSQL",
        }
    }

    /// Whether the database answers and, as far as it can say, is sound.
    pub(crate) async fn check(&self) -> Result<()> {
        let answer: String = match &self.read {
            Db::Sqlite(pool) => sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await?,
            Db::Postgres(pool) => sqlx::query_scalar("SELECT 'ok'").fetch_one(pool).await?,
        };
        if answer == "ok" {
            return Ok(());
        }
        Err(Error::Unavailable { code: "database_damaged", message: answer })
    }

    /// Waits for running statements and closes every connection.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}
