//! What is known of files on disk: stamps, hashes that hold while the stamp does, and what was published.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::{Store, on_db};
use crate::domain::{FileFact, FileStamp, ModelPath};
use crate::error::Result;

const LIST_FILES: &str =
    "SELECT dest, file, size_bytes, modified_ns, inode, sha256, published_sha256, verified_at FROM files";
pub(super) const INSERT_FILES: &str =
    "INSERT INTO files (dest, file, size_bytes, modified_ns, inode, sha256, published_sha256, verified_at) ";
pub(super) const OR_UPDATE_FILE: &str =
    " ON CONFLICT (dest, file) DO UPDATE SET size_bytes = excluded.size_bytes,
    modified_ns = excluded.modified_ns, inode = excluded.inode, sha256 = excluded.sha256,
    published_sha256 = excluded.published_sha256, verified_at = excluded.verified_at";
const DELETE_FILE: &str = "DELETE FROM files WHERE dest = $1 AND file = $2";

/// Files a statement; eight values each stay below the limits of both databases.
const FILES_A_STATEMENT: usize = 500;

#[derive(sqlx::FromRow)]
struct FileRow {
    dest: String,
    file: String,
    size_bytes: i64,
    modified_ns: i64,
    inode: i64,
    sha256: Option<String>,
    published_sha256: Option<String>,
    verified_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Every known file; rows that cannot be a file's are passed over.
    pub(crate) async fn list_files(&self) -> Result<Vec<(ModelPath, FileFact)>> {
        let rows: Vec<FileRow> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_FILES).fetch_all(pool).await)?;
        Ok(rows.into_iter().filter_map(FileRow::fact).collect())
    }

    /// Takes over what was seen and forgets what is gone, in one transaction.
    pub(crate) async fn save_files(&self, seen: &[(ModelPath, FileFact)], gone: &[ModelPath]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for path in gone {
                sqlx::query(DELETE_FILE)
                    .bind(path.folder.as_str())
                    .bind(path.file.as_str())
                    .execute(&mut *transaction)
                    .await?;
            }
            for some in seen.chunks(FILES_A_STATEMENT) {
                let mut statement = QueryBuilder::new(INSERT_FILES);
                statement.push_values(some, |mut row, (path, fact)| {
                    row.push_bind(path.folder.as_str())
                        .push_bind(path.file.as_str())
                        .push_bind(fact.stamp.size_bytes as i64)
                        .push_bind(fact.stamp.modified_ns)
                        .push_bind(fact.stamp.inode as i64)
                        .push_bind(fact.sha256.map(|sha256| sha256.to_string()))
                        .push_bind(fact.published.map(|sha256| sha256.to_string()))
                        .push_bind(fact.verified_at);
                });
                statement.push(OR_UPDATE_FILE).build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }
}

impl FileRow {
    fn fact(self) -> Option<(ModelPath, FileFact)> {
        let path = ModelPath::parse(&self.dest, &self.file).ok()?;
        let stamp = FileStamp {
            size_bytes: self.size_bytes as u64,
            modified_ns: self.modified_ns,
            inode: self.inode as u64,
        };
        let hash = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let (sha256, published) = (hash(self.sha256), hash(self.published_sha256));
        Some((path, FileFact { stamp, sha256, published, verified_at: self.verified_at }))
    }
}
