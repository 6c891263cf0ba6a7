//! Deleted files that can come back. A row is written before a file moves and settled after it, so that a killed
//! process leaves a state that says what it was doing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::{BinItemId, ModelPath, Sha256};
use crate::error::Result;

const COLUMNS: &str = "id, dest, file, root, bin_path, size_bytes, sha256, state, deleted_at";
const INSERT_ITEM: &str =
    "INSERT INTO bin_items (id, dest, file, root, bin_path, size_bytes, sha256, state, deleted_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const SET_STATE: &str = "UPDATE bin_items SET state = $2 WHERE id = $1";
const DELETE_ITEM: &str = "DELETE FROM bin_items WHERE id = $1";
const SUMS: &str =
    "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM bin_items WHERE state = 'kept'";

/// What is being done with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinState {
    /// The file moves into the bin.
    MovingIn,
    /// The file is in the bin.
    Kept,
    /// The file moves back to its place.
    MovingOut,
    /// The file is being removed for good.
    Purging,
}

/// Which folder a bin path is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinRoot {
    /// The data folder.
    Data,
    /// The models folder, when that is another file system.
    Models,
}

/// One deleted file, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBinItem {
    /// Its id.
    pub(crate) id: BinItemId,
    /// Where it was.
    pub(crate) path: ModelPath,
    /// Which folder `bin_path` is below.
    pub(crate) root: BinRoot,
    /// Where it is now, below `root`, `/` between parts.
    pub(crate) bin_path: String,
    /// Length in bytes.
    pub(crate) size_bytes: u64,
    /// The content's hash, when it was known.
    pub(crate) sha256: Option<Sha256>,
    /// What is being done with it.
    pub(crate) state: BinState,
    /// When it was deleted.
    pub(crate) deleted_at: DateTime<Utc>,
}

/// Which items are listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BinFilter {
    /// All that are kept.
    All,
    /// Kept and deleted at that time or before.
    DeletedUntil(DateTime<Utc>),
    /// Left by a killed process.
    Unsettled,
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    id: Uuid,
    dest: String,
    file: String,
    root: String,
    bin_path: String,
    size_bytes: i64,
    sha256: Option<String>,
    state: String,
    deleted_at: DateTime<Utc>,
}

impl Store {
    /// Items, oldest first.
    pub(crate) async fn list_bin(&self, filter: BinFilter) -> Result<Vec<StoredBinItem>> {
        let rows: Vec<ItemRow> = on_db!(&self.write, pool => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM bin_items WHERE ");
            match filter {
                BinFilter::All => query.push("state = 'kept'"),
                BinFilter::DeletedUntil(time) => query.push("state = 'kept' AND deleted_at <= ").push_bind(time),
                BinFilter::Unsettled => query.push("state <> 'kept'"),
            };
            query.push(" ORDER BY deleted_at, id").build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().filter_map(ItemRow::item).collect())
    }

    /// A page of kept items, newest first, after the one with that time and id.
    pub(crate) async fn list_bin_page(
        &self,
        after: Option<(DateTime<Utc>, BinItemId)>,
        limit: u32,
    ) -> Result<Vec<StoredBinItem>> {
        let rows: Vec<ItemRow> = on_db!(&self.read, pool => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM bin_items WHERE state = 'kept'");
            if let Some((time, id)) = after {
                query.push(" AND (deleted_at < ").push_bind(time);
                query.push(" OR (deleted_at = ").push_bind(time).push(" AND id < ").push_bind(id.0).push("))");
            }
            query.push(" ORDER BY deleted_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().filter_map(ItemRow::item).collect())
    }

    /// One item.
    pub(crate) async fn find_bin_item(&self, id: BinItemId) -> Result<Option<StoredBinItem>> {
        let row: Option<ItemRow> = on_db!(&self.read, pool => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM bin_items WHERE id = ").push_bind(id.0);
            query.build_query_as().fetch_optional(pool).await?
        });
        Ok(row.and_then(ItemRow::item))
    }

    /// A new item.
    pub(crate) async fn insert_bin_item(&self, item: &StoredBinItem) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(INSERT_ITEM)
                .bind(item.id.0)
                .bind(item.path.folder.as_str())
                .bind(item.path.file.as_str())
                .bind(item.root.as_str())
                .bind(&item.bin_path)
                .bind(item.size_bytes as i64)
                .bind(item.sha256.map(|sha256| sha256.to_string()))
                .bind(item.state.as_str())
                .bind(item.deleted_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// What is being done with an item.
    pub(crate) async fn set_bin_state(&self, id: BinItemId, state: BinState) -> Result<()> {
        on_db!(&self.write, pool => sqlx::query(SET_STATE).bind(id.0).bind(state.as_str()).execute(pool).await?.rows_affected());
        Ok(())
    }

    /// The item is gone: restored, or removed for good.
    pub(crate) async fn delete_bin_item(&self, id: BinItemId) -> Result<()> {
        on_db!(&self.write, pool => sqlx::query(DELETE_ITEM).bind(id.0).execute(pool).await?.rows_affected());
        Ok(())
    }

    /// Number and bytes of kept items.
    pub(crate) async fn bin_sums(&self) -> Result<(u64, u64)> {
        let (items, bytes): (i64, i64) =
            on_db!(&self.write, pool => sqlx::query_as(SUMS).fetch_one(pool).await)?;
        Ok((items as u64, bytes as u64))
    }
}

impl ItemRow {
    fn item(self) -> Option<StoredBinItem> {
        Some(StoredBinItem {
            id: BinItemId(self.id),
            path: ModelPath::parse(&self.dest, &self.file).ok()?,
            root: BinRoot::parse(&self.root)?,
            bin_path: self.bin_path,
            size_bytes: self.size_bytes as u64,
            sha256: self.sha256.and_then(|text| text.parse().ok()),
            state: BinState::parse(&self.state)?,
            deleted_at: self.deleted_at,
        })
    }
}

impl BinState {
    const ALL: [Self; 4] = [Self::MovingIn, Self::Kept, Self::MovingOut, Self::Purging];

    fn as_str(self) -> &'static str {
        match self {
            Self::MovingIn => "moving_in",
            Self::Kept => "kept",
            Self::MovingOut => "moving_out",
            Self::Purging => "purging",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl BinRoot {
    fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Models => "models",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Data, Self::Models].into_iter().find(|root| root.as_str() == name)
    }
}
