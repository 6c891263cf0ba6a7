//! Uploads: the row that is written before a file appears and done with its entry, and the entries of uploaded files
//! that lie in the bin.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, StoredActivity, on_db};
use crate::domain::{BinItemId, CatalogName, EntryDocument, EntryId, ModelPath, Sha256, UploadId};
use crate::error::{Error, Result};

const INSERT: &str =
    "INSERT INTO uploads (id, state, dest, file, entity_type, file_name, size_bytes, sha256, document,
        uploaded_by, uploaded_at)
    VALUES ($1, 'publishing', $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// Part of the transaction that makes the entry.
pub(super) const FINISH_UPLOAD: &str = "UPDATE uploads SET state = 'done' WHERE id = $1";
const DELETE: &str = "DELETE FROM uploads WHERE id = $1";
const UNFINISHED: &str =
    "SELECT id, dest, file, entity_type, file_name, size_bytes, sha256, document, uploaded_by,
        uploaded_at
    FROM uploads WHERE state = 'publishing'";
const FIND_DONE: &str =
    "SELECT id, dest, file, entity_type, file_name, size_bytes, sha256, document, uploaded_by,
        uploaded_at
    FROM uploads WHERE state = 'done' AND id = $1";
const SAVE_BIN_ENTRY: &str = "INSERT INTO bin_entries (bin_item_id, entry_id, catalog, category, document)
    VALUES ($1, $2, $3, $4, $5)";
const LIST_BIN_ENTRIES: &str = "SELECT bin_item_id, entry_id, catalog, category, document FROM bin_entries";
const DELETE_BIN_ENTRY: &str = "DELETE FROM bin_entries WHERE bin_item_id = $1";

/// One upload, as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredUpload {
    /// Its id.
    pub(crate) id: UploadId,
    /// Where the file goes.
    pub(crate) path: ModelPath,
    /// What it shows.
    pub(crate) entity_type: String,
    /// The name that it was sent with.
    pub(crate) file_name: String,
    /// Length in bytes.
    pub(crate) size_bytes: u64,
    /// The content's hash.
    pub(crate) sha256: Sha256,
    /// The entry that it becomes.
    pub(crate) document: EntryDocument,
    /// Who sent it.
    pub(crate) uploaded_by: String,
    /// When.
    pub(crate) uploaded_at: DateTime<Utc>,
}

/// What ends in the transaction that makes an upload's entry: its row, with a line of the activity log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinishedUpload {
    /// Which upload.
    pub(crate) id: UploadId,
    /// What the log says of it.
    pub(crate) line: StoredActivity,
    /// Lines of the log up to that one go.
    pub(crate) oldest: i64,
}

/// The entry of a file that lies in the bin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BinEntry {
    /// Which item of the bin.
    pub(crate) item: BinItemId,
    /// The entry's id.
    pub(crate) id: EntryId,
    /// The catalog that it was in.
    pub(crate) catalog: CatalogName,
    /// The id of its category.
    pub(crate) category: String,
    /// Everything else.
    pub(crate) document: EntryDocument,
}

#[derive(sqlx::FromRow)]
struct UploadRow {
    id: Uuid,
    dest: String,
    file: String,
    entity_type: String,
    file_name: String,
    size_bytes: i64,
    sha256: String,
    document: String,
    uploaded_by: String,
    uploaded_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct BinEntryRow {
    bin_item_id: Uuid,
    entry_id: Uuid,
    catalog: String,
    category: String,
    document: String,
}

impl Store {
    /// An upload whose file is about to appear.
    pub(crate) async fn insert_upload(&self, upload: &StoredUpload) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(INSERT)
                .bind(upload.id.0)
                .bind(upload.path.folder.as_str())
                .bind(upload.path.file.as_str())
                .bind(&upload.entity_type)
                .bind(&upload.file_name)
                .bind(upload.size_bytes as i64)
                .bind(upload.sha256.to_string())
                .bind(upload.document.to_stored())
                .bind(&upload.uploaded_by)
                .bind(upload.uploaded_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Forgets an upload whose file did not appear.
    pub(crate) async fn delete_upload(&self, id: UploadId) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE).bind(id.0).execute(pool).await?; });
        Ok(())
    }

    /// What a killed process left: the file may be there, the entry is not.
    pub(crate) async fn unfinished_uploads(&self) -> Result<Vec<StoredUpload>> {
        let rows: Vec<UploadRow> =
            on_db!(&self.write, pool => sqlx::query_as(UNFINISHED).fetch_all(pool).await)?;
        rows.into_iter().map(UploadRow::upload).collect()
    }

    /// An upload whose entry was made.
    pub(crate) async fn find_done_upload(&self, id: UploadId) -> Result<Option<StoredUpload>> {
        let row: Option<UploadRow> =
            on_db!(&self.write, pool => sqlx::query_as(FIND_DONE).bind(id.0).fetch_optional(pool).await)?;
        row.map(UploadRow::upload).transpose()
    }

    /// Keeps the entry of a file that went into the bin.
    pub(crate) async fn save_bin_entry(&self, entry: &BinEntry) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_BIN_ENTRY)
                .bind(entry.item.0)
                .bind(entry.id.0)
                .bind(entry.catalog.as_str())
                .bind(&entry.category)
                .bind(entry.document.to_stored())
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Every kept entry.
    pub(crate) async fn list_bin_entries(&self) -> Result<Vec<BinEntry>> {
        let rows: Vec<BinEntryRow> =
            on_db!(&self.write, pool => sqlx::query_as(LIST_BIN_ENTRIES).fetch_all(pool).await)?;
        rows.into_iter().map(BinEntryRow::entry).collect()
    }

    /// The entry is back, or its file is gone for good.
    pub(crate) async fn delete_bin_entry(&self, item: BinItemId) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE_BIN_ENTRY).bind(item.0).execute(pool).await?; });
        Ok(())
    }
}

impl UploadRow {
    fn upload(self) -> Result<StoredUpload> {
        let id = UploadId(self.id);
        Ok(StoredUpload {
            id,
            path: ModelPath::parse(&self.dest, &self.file)?,
            entity_type: self.entity_type,
            file_name: self.file_name,
            size_bytes: self.size_bytes as u64,
            sha256: self.sha256.parse().map_err(|error| unreadable(&id.to_string(), error))?,
            document: document(&self.document, &id.to_string())?,
            uploaded_by: self.uploaded_by,
            uploaded_at: self.uploaded_at,
        })
    }
}

impl BinEntryRow {
    fn entry(self) -> Result<BinEntry> {
        let item = BinItemId(self.bin_item_id);
        let catalog = CatalogName::parse(&self.catalog)
            .ok_or_else(|| unreadable(&item.to_string(), "its catalog has an unknown name"))?;
        let (id, document) = (EntryId(self.entry_id), document(&self.document, &item.to_string())?);
        Ok(BinEntry { item, id, catalog, category: self.category, document })
    }
}

fn document(text: &str, name: &str) -> Result<EntryDocument> {
    EntryDocument::from_stored(text).map_err(|error| unreadable(name, error))
}

fn unreadable(name: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal(format!("the entry of the upload `{name}` in the database cannot be read"), cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Beside;
    use crate::store::testing::both_databases;

    fn upload() -> StoredUpload {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut document = EntryDocument::default();
        document.set("file", "a.safetensors");
        StoredUpload {
            id: UploadId::new(now),
            path: ModelPath::parse("loras/faces", "a.safetensors").unwrap(),
            entity_type: "faces".into(),
            file_name: "a.safetensors".into(),
            size_bytes: 9,
            sha256: Sha256::of(b"a"),
            document,
            uploaded_by: "ann".into(),
            uploaded_at: now,
        }
    }

    both_databases! {
        async fn an_upload_is_unfinished_until_the_change_that_makes_its_entry(store: Store) {
            let upload = upload();
            store.insert_upload(&upload).await.unwrap();
            assert_eq!(store.unfinished_uploads().await.unwrap(), std::slice::from_ref(&upload));
            let line = StoredActivity { id: 1, at: upload.uploaded_at, level: "ok".into(), message: "uploaded".into() };
            let finished = FinishedUpload { id: upload.id, line: line.clone(), oldest: 0 };
            store.apply_catalog_changes(&[], Some(&Beside::Upload(finished))).await.unwrap();
            assert!(store.unfinished_uploads().await.unwrap().is_empty());
            assert_eq!(store.list_activity().await.unwrap(), [line]);
            store.delete_upload(upload.id).await.unwrap();
        }

        async fn the_entry_of_a_deleted_file_is_kept_until_it_is_back(store: Store) {
            let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let (item, id) = (BinItemId::new(now), EntryId::new(now));
            let document = upload().document;
            let catalog = CatalogName::Loras;
            let entry = BinEntry { item, id, catalog, category: "uploads_faces".into(), document };
            store.save_bin_entry(&entry).await.unwrap();
            assert_eq!(store.list_bin_entries().await.unwrap(), [entry]);
            store.delete_bin_entry(item).await.unwrap();
            assert!(store.list_bin_entries().await.unwrap().is_empty());
        }
    }
}
