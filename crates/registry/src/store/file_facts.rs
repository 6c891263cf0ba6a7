//! What files say of themselves and hash to, each as long as the file has the stamp that it was read with.

use sqlx::QueryBuilder;

use super::{Store, on_db};
use crate::domain::{FileStamp, ModelPath, Sha256};
use crate::error::Result;

const SAVE_FACTS: &str = "INSERT INTO file_facts (dest, file, size_bytes, modified_ns, inode, facts) ";
const OR_UPDATE_FACTS: &str = " ON CONFLICT (dest, file) DO UPDATE SET size_bytes = excluded.size_bytes,
    modified_ns = excluded.modified_ns, inode = excluded.inode, facts = excluded.facts";
const LIST_FACTS: &str = "SELECT dest, file, size_bytes, modified_ns, inode, facts AS text FROM file_facts";
const LOAD_FACTS: &str = "SELECT dest, file, size_bytes, modified_ns, inode, facts AS text FROM file_facts
    WHERE dest = $1 AND file = $2";
const SAVE_HASHES: &str =
    "INSERT INTO file_hashes (dest, file, size_bytes, modified_ns, inode, hashes, tensors) ";
const OR_UPDATE_HASHES: &str = " ON CONFLICT (dest, file) DO UPDATE SET size_bytes = excluded.size_bytes,
    modified_ns = excluded.modified_ns, inode = excluded.inode, hashes = excluded.hashes,
    tensors = excluded.tensors";
const LIST_HASHES: &str =
    "SELECT dest, file, size_bytes, modified_ns, inode, COALESCE(tensors, '') AS text FROM file_hashes";
const LOAD_HASHES: &str = "SELECT dest, file, size_bytes, modified_ns, inode, hashes AS text FROM file_hashes
    WHERE dest = $1 AND file = $2";

/// Files a statement.
const FILES_A_STATEMENT: usize = 500;

/// Something that was read from a file with that stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfFile {
    /// Where it is.
    pub(crate) path: ModelPath,
    /// What it was when it was read.
    pub(crate) stamp: FileStamp,
    /// What was read.
    pub(crate) text: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    dest: String,
    file: String,
    size_bytes: i64,
    modified_ns: i64,
    inode: i64,
    text: String,
}

impl Store {
    /// Remembers what these files say, as JSON.
    pub(crate) async fn save_file_facts(&self, files: &[OfFile]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for some in files.chunks(FILES_A_STATEMENT) {
                let mut statement = QueryBuilder::new(SAVE_FACTS);
                statement.push_values(some, |mut row, file| {
                    row.push_bind(file.path.folder.as_str())
                        .push_bind(file.path.file.as_str())
                        .push_bind(file.stamp.size_bytes as i64)
                        .push_bind(file.stamp.modified_ns)
                        .push_bind(file.stamp.inode as i64)
                        .push_bind(&file.text);
                });
                statement.push(OR_UPDATE_FACTS).build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// What every file says, as JSON.
    pub(crate) async fn list_file_facts(&self) -> Result<Vec<OfFile>> {
        let rows: Vec<Row> = on_db!(&self.read, pool => sqlx::query_as(LIST_FACTS).fetch_all(pool).await)?;
        Ok(rows.into_iter().filter_map(Row::of_file).collect())
    }

    /// What one file says, as JSON.
    pub(crate) async fn load_file_facts(&self, path: &ModelPath) -> Result<Option<OfFile>> {
        self.load_of_file(LOAD_FACTS, path).await
    }

    /// Remembers what these files hash to, as JSON, each once and with the hash of its tensor data.
    pub(crate) async fn save_file_hashes(&self, files: &[(OfFile, Option<Sha256>)]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for some in files.chunks(FILES_A_STATEMENT) {
                let mut statement = QueryBuilder::new(SAVE_HASHES);
                statement.push_values(some, |mut row, (file, tensors)| {
                    row.push_bind(file.path.folder.as_str())
                        .push_bind(file.path.file.as_str())
                        .push_bind(file.stamp.size_bytes as i64)
                        .push_bind(file.stamp.modified_ns)
                        .push_bind(file.stamp.inode as i64)
                        .push_bind(&file.text)
                        .push_bind(tensors.map(|sha256| sha256.to_string()));
                });
                statement.push(OR_UPDATE_HASHES).build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// The hash of every hashed file's tensor data; empty for a file without any.
    pub(crate) async fn list_tensor_hashes(&self) -> Result<Vec<OfFile>> {
        let rows: Vec<Row> = on_db!(&self.read, pool => sqlx::query_as(LIST_HASHES).fetch_all(pool).await)?;
        Ok(rows.into_iter().filter_map(Row::of_file).collect())
    }

    /// What one file hashes to, as JSON.
    pub(crate) async fn load_file_hashes(&self, path: &ModelPath) -> Result<Option<OfFile>> {
        self.load_of_file(LOAD_HASHES, path).await
    }

    async fn load_of_file(&self, statement: &'static str, path: &ModelPath) -> Result<Option<OfFile>> {
        let row: Option<Row> = on_db!(&self.read, pool => {
            sqlx::query_as(statement)
                .bind(path.folder.as_str())
                .bind(path.file.as_str())
                .fetch_optional(pool)
                .await
        })?;
        Ok(row.and_then(Row::of_file))
    }
}

impl Row {
    fn of_file(self) -> Option<OfFile> {
        let path = ModelPath::parse(&self.dest, &self.file).ok()?;
        let stamp = FileStamp {
            size_bytes: self.size_bytes as u64,
            modified_ns: self.modified_ns,
            inode: self.inode as u64,
        };
        Some(OfFile { path, stamp, text: self.text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::both_databases;

    fn of_file(name: &str, inode: u64, text: &str) -> OfFile {
        let stamp = FileStamp { size_bytes: 7, modified_ns: 1, inode };
        OfFile { path: ModelPath::parse("loras", name).unwrap(), stamp, text: text.to_owned() }
    }

    both_databases! {
        async fn what_a_file_says_is_replaced_with_its_stamp(store: Store) {
            let files = [of_file("a.pt", 1, "{}"), of_file("b.pt", 2, r#"{"kind":"lora"}"#)];
            store.save_file_facts(&files).await.unwrap();
            let newer = of_file("a.pt", u64::MAX, r#"{"kind":"vae"}"#);
            store.save_file_facts(std::slice::from_ref(&newer)).await.unwrap();
            assert_eq!(store.load_file_facts(&newer.path).await.unwrap(), Some(newer));
            assert_eq!(store.list_file_facts().await.unwrap().len(), 2);
            assert_eq!(store.load_file_facts(&of_file("c.pt", 1, "").path).await.unwrap(), None);
        }

        async fn hashes_are_listed_by_their_tensors(store: Store) {
            let tensors = Sha256::of(b"tensors");
            let (one, two) = (of_file("a.pt", 1, "{}"), of_file("b.pt", 2, "{}"));
            store.save_file_hashes(&[(one.clone(), Some(tensors)), (two.clone(), None)]).await.unwrap();
            store.save_file_hashes(&[(two, None)]).await.unwrap();
            store.save_file_hashes(&[]).await.unwrap();
            let mut texts: Vec<String> =
                store.list_tensor_hashes().await.unwrap().into_iter().map(|file| file.text).collect();
            texts.sort();
            assert_eq!(texts, [String::new(), tensors.to_string()]);
            assert_eq!(store.load_file_hashes(&one.path).await.unwrap(), Some(one));
        }
    }
}
