//! The gallery's database of the studio whose folder is adopted: its tables as JSON rows, whatever columns they have.
//!
//! It is opened from a copy, so that neither a journal nor a lock appears in somebody else's folder.

use std::path::Path;

use serde_json::{Map, Value};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row, TypeInfo, ValueRef};

use crate::error::Result;

/// The tables that are read.
const TABLES: [&str; 3] = ["gallery_images", "image_versions", "gallery_previews"];

/// What the three tables hold; one that is missing is empty.
#[derive(Debug, Default)]
pub(crate) struct StudioGalleryRows {
    pub(crate) images: Vec<Map<String, Value>>,
    pub(crate) versions: Vec<Map<String, Value>>,
    pub(crate) previews: Vec<Map<String, Value>>,
}

/// Reads a copy of the database.
pub(crate) async fn read_studio_gallery(copy: &Path) -> Result<StudioGalleryRows> {
    Ok(read(copy).await?)
}

async fn read(copy: &Path) -> sqlx::Result<StudioGalleryRows> {
    let options = SqliteConnectOptions::new().filename(copy).disable_statement_logging();
    let mut connection = options.connect().await?;
    let mut tables: [Vec<Map<String, Value>>; 3] = Default::default();
    for (name, rows) in TABLES.iter().zip(&mut tables) {
        let known: Option<(String,)> =
            sqlx::query_as("SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?")
                .bind(name)
                .fetch_optional(&mut connection)
                .await?;
        if known.is_some() {
            // The name is one of the three above.
            let statement = AssertSqlSafe(format!("SELECT * FROM {name}"));
            let found = sqlx::query(statement).fetch_all(&mut connection).await?;
            rows.extend(found.iter().map(as_json));
        }
    }
    connection.close().await?;
    let [images, versions, previews] = tables;
    Ok(StudioGalleryRows { images, versions, previews })
}

/// A row as an object; bytes count as absent.
fn as_json(row: &SqliteRow) -> Map<String, Value> {
    let columns = row.columns().iter();
    columns.map(|column| (column.name().to_owned(), value_at(row, column.ordinal()))).collect()
}

fn value_at(row: &SqliteRow, at: usize) -> Value {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    let kind = raw.type_info().name().to_owned();
    let value = match kind.as_str() {
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(at).map(Value::from),
        "REAL" => row.try_get_unchecked::<f64, _>(at).map(Value::from),
        "TEXT" | "DATE" | "DATETIME" | "TIME" => row.try_get_unchecked::<String, _>(at).map(Value::from),
        _ => return Value::Null,
    };
    value.unwrap_or_default()
}
