//! Catalogs, categories and entries: read whole at the start, changed by one transaction a change.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::activity::{INSERT_ACTIVITY, PRUNE_ACTIVITY};
use super::edits::{
    self, INSERT_CHANGES, INSERT_EDIT, INSERT_USER_FACTS, OR_UPDATE_USER_FACTS, StoredEdit, written,
    written_origins,
};
use super::metadata::SAVE_FACTS;
use super::uploads::{FINISH_UPLOAD, FinishedUpload};
use super::{Store, on_db};
use crate::domain::{CatalogName, Category, Entry, EntryDocument, EntryId, ModelFolder, Sayings};
use crate::error::{Error, Result};
use crate::library::{CatalogChange, CatalogHead, Placed, PlacedCategory};

const LIST_CATALOGS: &str = "SELECT name, version, date, document, face_version, face_sha256 FROM catalogs";
const LIST_CATEGORIES: &str = "SELECT catalog, id, position, document FROM categories ORDER BY position";
const LIST_ENTRIES: &str = "SELECT id, catalog, category, position, changed_version, document FROM entries";
const SAVE_HEAD: &str = "INSERT INTO catalogs (name, version, date, document, face_version, face_sha256)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, date = excluded.date, document = excluded.document,
        face_version = excluded.face_version, face_sha256 = excluded.face_sha256";
const SAVE_FACE: &str = "UPDATE catalogs SET face_version = $2, face_sha256 = $3 WHERE name = $1";
const SAVE_CATEGORY: &str = "INSERT INTO categories (catalog, id, position, document) VALUES ($1, $2, $3, $4)
    ON CONFLICT (catalog, id) DO UPDATE SET position = excluded.position, document = excluded.document";
const DELETE_CATEGORY: &str = "DELETE FROM categories WHERE catalog = $1 AND id = $2";
const DELETE_ENTRY: &str = "DELETE FROM entries WHERE id = $1";
const INSERT_ENTRIES: &str =
    "INSERT INTO entries (id, catalog, category, dest, file, position, changed_version, document) ";
const OR_UPDATE_ENTRY: &str =
    " ON CONFLICT (id) DO UPDATE SET catalog = excluded.catalog, category = excluded.category,
    dest = excluded.dest, file = excluded.file, position = excluded.position,
    changed_version = excluded.changed_version, document = excluded.document";

/// Entries a statement; eight values each stay below the limits of both databases.
const ENTRIES_A_STATEMENT: usize = 500;

#[derive(sqlx::FromRow)]
struct HeadRow {
    name: String,
    version: i64,
    date: String,
    document: String,
    face_version: i64,
    face_sha256: Option<String>,
}

#[derive(sqlx::FromRow)]
struct CategoryRow {
    catalog: String,
    id: String,
    position: i64,
    document: String,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: Uuid,
    catalog: String,
    category: String,
    position: i64,
    changed_version: i64,
    document: String,
}

/// What becomes durable together with a change of catalogs.
#[derive(Debug, Clone)]
pub(crate) enum Beside {
    /// That upload is done and told of.
    Upload(FinishedUpload),
    /// A user's edit can be undone, and no fetch overwrites it.
    Edit(StoredEdit),
    /// What was said of entries, and which of it is a user's word.
    Said(Vec<(EntryId, Sayings)>),
}

impl Beside {
    /// The fields that hold a user's word from now on, by entry.
    fn user_facts(&self) -> Vec<(EntryId, &BTreeSet<String>)> {
        match self {
            Self::Upload(_) => Vec::new(),
            Self::Edit(edit) => {
                edit.changes.iter().map(|change| (change.entry_id, &change.user_fields)).collect()
            }
            Self::Said(said) => {
                let with_users = said.iter().filter(|(_, sayings)| !sayings.users.is_empty());
                with_users.map(|(id, sayings)| (*id, &sayings.users)).collect()
            }
        }
    }
}

impl Store {
    /// Everything, one change a catalog that was ever used.
    pub(crate) async fn load_catalogs(&self) -> Result<Vec<CatalogChange>> {
        let heads: Vec<HeadRow> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_CATALOGS).fetch_all(pool).await)?;
        let categories: Vec<CategoryRow> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_CATEGORIES).fetch_all(pool).await)?;
        let mut changes = Vec::new();
        for row in heads {
            let catalog = catalog_named(&row.name)?;
            changes.push(CatalogChange::of(catalog, row.head()?));
        }
        for row in categories {
            let placed = row.placed()?;
            change_of(&mut changes, &row.catalog)?.categories.push(placed);
        }
        // Entries share the text of their folder.
        let mut folders = HashSet::new();
        // One by one: all rows at once would be twice the room, and what is freed of it is not given back.
        on_db!(&self.read, pool => {
            let mut rows = sqlx::query_as::<_, EntryRow>(LIST_ENTRIES).fetch(pool);
            while let Some(row) = rows.try_next().await? {
                let change = change_of(&mut changes, &row.catalog)?;
                let entry = row.placed(change.catalog, &mut folders)?;
                change.entries.push(entry);
            }
        });
        Ok(changes)
    }

    /// Makes changes durable, all or none, with what is `beside` them.
    pub(crate) async fn apply_catalog_changes(
        &self,
        changes: &[CatalogChange],
        beside: Option<&Beside>,
    ) -> Result<()> {
        let user_facts = beside.map(Beside::user_facts).unwrap_or_default();
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for change in changes {
                for id in &change.removed {
                    sqlx::query(DELETE_ENTRY).bind(id.0).execute(&mut *transaction).await?;
                }
            }
            for change in changes {
                let (name, head) = (change.catalog.as_str(), &change.head);
                sqlx::query(SAVE_HEAD)
                    .bind(name)
                    .bind(head.version)
                    .bind(&head.date)
                    .bind(text_of(&head.document))
                    .bind(head.face_version)
                    .bind(&head.face_sha256)
                    .execute(&mut *transaction)
                    .await?;
                for placed in &change.categories {
                    sqlx::query(SAVE_CATEGORY)
                        .bind(name)
                        .bind(&placed.category.id)
                        .bind(placed.position)
                        .bind(text_of(&placed.category.document))
                        .execute(&mut *transaction)
                        .await?;
                }
                for some in change.entries.chunks(ENTRIES_A_STATEMENT) {
                    let mut statement = QueryBuilder::new(INSERT_ENTRIES);
                    statement.push_values(some, |mut row, placed| {
                        let entry = &placed.entry;
                        row.push_bind(entry.id.0)
                            .push_bind(name)
                            .push_bind(entry.category.as_str())
                            .push_bind(entry.dest())
                            .push_bind(entry.file())
                            .push_bind(placed.position)
                            .push_bind(placed.changed_version)
                            .push_bind(entry.document.to_stored());
                    });
                    statement.push(OR_UPDATE_ENTRY).build().execute(&mut *transaction).await?;
                }
                for id in &change.removed_categories {
                    sqlx::query(DELETE_CATEGORY).bind(name).bind(id).execute(&mut *transaction).await?;
                }
            }
            if let Some(Beside::Edit(edit)) = beside {
                sqlx::query(INSERT_EDIT)
                    .bind(edit.id.0)
                    .bind(edit.at)
                    .bind(edit.reverts.map(|reverts| reverts.0))
                    .execute(&mut *transaction)
                    .await?;
                for some in edit.changes.chunks(edits::ROWS_A_STATEMENT) {
                    let mut statement = QueryBuilder::new(INSERT_CHANGES);
                    statement.push_values(some, |mut row, change| {
                        row.push_bind(edit.id.0)
                            .push_bind(change.entry_id.0)
                            .push_bind(written(&change.fields.old))
                            .push_bind(written(&change.fields.new))
                            .push_bind(written(&change.old_user_fields));
                    });
                    statement.build().execute(&mut *transaction).await?;
                }
            }
            if let Some(Beside::Said(said)) = beside {
                for (id, sayings) in said {
                    let query = sqlx::query(SAVE_FACTS).bind(id.0).bind(written(&sayings.said));
                    query.bind(written_origins(&sayings.origins)).execute(&mut *transaction).await?;
                }
            }
            for some in user_facts.chunks(edits::ROWS_A_STATEMENT) {
                let mut statement = QueryBuilder::new(INSERT_USER_FACTS);
                statement.push_values(some, |mut row, (id, fields)| {
                    row.push_bind(id.0).push_bind(written(fields));
                });
                statement.push(OR_UPDATE_USER_FACTS).build().execute(&mut *transaction).await?;
            }
            if let Some(Beside::Upload(FinishedUpload { id, line, oldest })) = beside {
                sqlx::query(FINISH_UPLOAD).bind(id.0).execute(&mut *transaction).await?;
                sqlx::query(INSERT_ACTIVITY)
                    .bind(line.id)
                    .bind(line.at)
                    .bind(&line.level)
                    .bind(&line.message)
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(PRUNE_ACTIVITY).bind(oldest).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Remembers what the file on disk holds.
    pub(crate) async fn save_face(&self, catalog: CatalogName, version: i64, sha256: &str) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_FACE).bind(catalog.as_str()).bind(version).bind(sha256).execute(pool).await?;
        });
        Ok(())
    }
}

impl HeadRow {
    fn head(self) -> Result<CatalogHead> {
        Ok(CatalogHead {
            version: self.version,
            date: self.date,
            document: object(&self.document, "catalog", &self.name)?,
            face_version: self.face_version,
            face_sha256: self.face_sha256,
        })
    }
}

impl CategoryRow {
    fn placed(&self) -> Result<PlacedCategory> {
        let document = object(&self.document, "category", &self.id)?;
        let name = document.get("name").and_then(Value::as_str).unwrap_or(&self.id).to_owned();
        Ok(PlacedCategory {
            category: Category { id: self.id.clone(), name, document },
            position: self.position,
        })
    }
}

impl EntryRow {
    fn placed(self, catalog: CatalogName, folders: &mut HashSet<ModelFolder>) -> Result<Placed> {
        let id = EntryId(self.id);
        let document = EntryDocument::from_stored(&self.document)
            .map_err(|error| unreadable("entry", &id.to_string(), error))?;
        let mut entry = Entry::from_document(id, catalog, self.category, document)?;
        match folders.get(&entry.path.folder) {
            Some(known) => entry.path.folder = known.clone(),
            None => drop(folders.insert(entry.path.folder.clone())),
        }
        Ok(Placed { entry: Arc::new(entry), position: self.position, changed_version: self.changed_version })
    }
}

fn change_of<'a>(changes: &'a mut [CatalogChange], name: &str) -> Result<&'a mut CatalogChange> {
    let catalog = catalog_named(name)?;
    let found = changes.iter_mut().find(|change| change.catalog == catalog);
    found.ok_or_else(|| unreadable("catalog", name, "it has no row"))
}

fn catalog_named(name: &str) -> Result<CatalogName> {
    CatalogName::parse(name).ok_or_else(|| unreadable("catalog", name, "it has an unknown name"))
}

fn object(text: &str, what: &str, name: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| unreadable(what, name, error))
}

fn unreadable(what: &str, name: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal(format!("the {what} `{name}` in the database cannot be read"), cause)
}

/// The document as it is stored: JSON, fields in their order.
fn text_of(document: &Map<String, Value>) -> String {
    serde_json::to_string(document).expect("a map with text keys is always JSON")
}
