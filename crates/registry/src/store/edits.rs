//! What users edited, so that no fetch overwrites it and each edit can be undone; and who said what of an entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::{EditId, EditedFields, EntryId, FactOrigin, Sayings};
use crate::error::Result;

/// Part of the transaction that changes the entries.
pub(super) const INSERT_EDIT: &str = "INSERT INTO edits (id, number, at, reverts)
    SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3 FROM edits";
/// Part of the transaction that changes the entries.
pub(super) const INSERT_CHANGES: &str =
    "INSERT INTO edit_changes (edit_id, entry_id, old_values, new_values, old_user_fields) ";
/// Part of the transaction that changes the entries.
pub(super) const INSERT_USER_FACTS: &str = "INSERT INTO user_facts (entry_id, fields) ";
/// What it ends with.
pub(super) const OR_UPDATE_USER_FACTS: &str =
    " ON CONFLICT (entry_id) DO UPDATE SET fields = excluded.fields";
const FIND_EDIT: &str = "SELECT COUNT(*) FROM edits WHERE id = $1";
const LIST_CHANGES: &str =
    "SELECT c.edit_id, c.entry_id, e.number, e.at, e.reverts, c.old_values, c.new_values, c.old_user_fields
    FROM edit_changes c JOIN edits e ON e.id = c.edit_id WHERE c.edit_id = $1 ORDER BY c.entry_id";
const LIST_HISTORY: &str =
    "SELECT c.edit_id, c.entry_id, e.number, e.at, e.reverts, c.old_values, c.new_values, c.old_user_fields
    FROM edit_changes c JOIN edits e ON e.id = c.edit_id WHERE c.entry_id = $1 AND e.number < $2
    ORDER BY e.number DESC LIMIT $3";
const COUNT_HISTORY: &str = "SELECT COUNT(*) FROM edit_changes WHERE entry_id = $1";
const PRUNE_EDITS: &str =
    "DELETE FROM edits WHERE id NOT IN (SELECT id FROM edits ORDER BY number DESC LIMIT $1)";
const PRUNE_USER_FACTS: &str = "DELETE FROM user_facts WHERE entry_id NOT IN (SELECT id FROM entries)
    AND entry_id NOT IN (SELECT entry_id FROM bin_entries)";
const LOAD_FETCHED: &str = "SELECT entry_id, document, origins FROM fetched_facts WHERE entry_id IN (";
const LOAD_USERS: &str = "SELECT entry_id, fields FROM user_facts WHERE entry_id IN (";

/// Rows a statement.
pub(super) const ROWS_A_STATEMENT: usize = 500;

/// One edit with what it changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEdit {
    /// Its id.
    pub(crate) id: EditId,
    /// Counts up from edit to edit; given when it is written.
    pub(crate) number: i64,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// The edit that it undid.
    pub(crate) reverts: Option<EditId>,
    /// What it changed.
    pub(crate) changes: Vec<EntryChange>,
}

/// What an edit changed of one entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EntryChange {
    /// Which entry.
    pub(crate) entry_id: EntryId,
    /// Values before and after.
    pub(crate) fields: EditedFields,
    /// Which of these held a user's word before.
    pub(crate) old_user_fields: BTreeSet<String>,
    /// All fields of the entry that hold a user's word now; only written.
    pub(crate) user_fields: BTreeSet<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    edit_id: Uuid,
    entry_id: Uuid,
    number: i64,
    at: DateTime<Utc>,
    reverts: Option<Uuid>,
    old_values: String,
    new_values: String,
    old_user_fields: String,
}

impl Store {
    /// One edit; `None` when there is none of that id.
    pub(crate) async fn find_edit(&self, id: EditId) -> Result<Option<StoredEdit>> {
        let count: i64 =
            on_db!(&self.read, pool => sqlx::query_scalar(FIND_EDIT).bind(id.0).fetch_one(pool).await)?;
        let rows: Vec<Row> =
            on_db!(&self.read, pool => sqlx::query_as(LIST_CHANGES).bind(id.0).fetch_all(pool).await)?;
        let whole = rows.into_iter().map(Row::edit).reduce(|mut whole, part| {
            whole.changes.extend(part.changes);
            whole
        });
        Ok(whole.filter(|_| count > 0))
    }

    /// The edits of one entry, the newest first, each with that entry's change alone: those before that number.
    pub(crate) async fn list_edits_of(
        &self,
        entry: EntryId,
        before: i64,
        limit: u32,
    ) -> Result<(Vec<StoredEdit>, u64)> {
        let rows: Vec<Row> = on_db!(&self.read, pool => {
            let query = sqlx::query_as(LIST_HISTORY).bind(entry.0).bind(before).bind(i64::from(limit));
            query.fetch_all(pool).await
        })?;
        let count: i64 = on_db!(&self.read, pool => sqlx::query_scalar(COUNT_HISTORY).bind(entry.0).fetch_one(pool).await)?;
        Ok((rows.into_iter().map(Row::edit).collect(), count as u64))
    }

    /// Forgets all but the newest edits, and what users said of entries that are gone for good.
    pub(crate) async fn prune_edits(&self, keep: i64) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(PRUNE_EDITS).bind(keep).execute(pool).await?;
            sqlx::query(PRUNE_USER_FACTS).execute(pool).await?;
        });
        Ok(())
    }

    /// Who said what of these entries; nothing for those that nobody spoke of. What cannot be read counts as never said.
    pub(crate) async fn load_sayings(&self, ids: &[EntryId]) -> Result<HashMap<EntryId, Sayings>> {
        let mut sayings: HashMap<EntryId, Sayings> = HashMap::new();
        for some in ids.chunks(ROWS_A_STATEMENT) {
            let fetched: Vec<(Uuid, String, String)> = on_db!(&self.read, pool => {
                let mut statement = QueryBuilder::new(LOAD_FETCHED);
                let mut list = statement.separated(", ");
                for id in some {
                    list.push_bind(id.0);
                }
                list.push_unseparated(")");
                statement.build_query_as().fetch_all(pool).await
            })?;
            let users: Vec<(Uuid, String)> = on_db!(&self.read, pool => {
                let mut statement = QueryBuilder::new(LOAD_USERS);
                let mut list = statement.separated(", ");
                for id in some {
                    list.push_bind(id.0);
                }
                list.push_unseparated(")");
                statement.build_query_as().fetch_all(pool).await
            })?;
            for (id, said, origins) in fetched {
                let own = sayings.entry(EntryId(id)).or_default();
                (own.said, own.origins) = (read(&said), read_origins(&origins));
            }
            for (id, fields) in users {
                sayings.entry(EntryId(id)).or_default().users = read(&fields);
            }
        }
        Ok(sayings)
    }
}

impl Row {
    fn edit(self) -> StoredEdit {
        let change = EntryChange {
            entry_id: EntryId(self.entry_id),
            fields: EditedFields { old: read(&self.old_values), new: read(&self.new_values) },
            old_user_fields: read(&self.old_user_fields),
            user_fields: BTreeSet::new(),
        };
        let reverts = self.reverts.map(EditId);
        StoredEdit {
            id: EditId(self.edit_id),
            number: self.number,
            at: self.at,
            reverts,
            changes: vec![change],
        }
    }
}

/// As JSON.
pub(super) fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys and lists of texts are always JSON")
}

/// Origins by field, as JSON.
pub(super) fn written_origins(origins: &BTreeMap<String, FactOrigin>) -> String {
    let names: BTreeMap<&str, &str> =
        origins.iter().map(|(field, origin)| (field.as_str(), origin.as_str())).collect();
    written(&names)
}

fn read<T: DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

fn read_origins(text: &str) -> BTreeMap<String, FactOrigin> {
    let names: Map<String, Value> = read(text);
    let known = |(field, name): (String, Value)| Some((field, FactOrigin::parse(name.as_str()?)?));
    names.into_iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Beside;
    use crate::store::testing::both_databases;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other} is not an object"),
        }
    }

    fn edit(entry: EntryId, note: &str, reverts: Option<EditId>) -> StoredEdit {
        let fields = EditedFields { old: map(json!({"notes": null})), new: map(json!({"notes": note})) };
        let users: BTreeSet<String> = ["notes".to_owned(), "name".to_owned()].into();
        let change = EntryChange {
            entry_id: entry,
            fields,
            old_user_fields: ["notes".to_owned()].into(),
            user_fields: users,
        };
        let at = DateTime::UNIX_EPOCH;
        StoredEdit { id: EditId::new(at), number: 0, at, reverts, changes: vec![change] }
    }

    /// As it is read: with its number, without the fields that are only written.
    fn reread(edit: &StoredEdit, number: i64) -> StoredEdit {
        let mut edit = StoredEdit { number, ..edit.clone() };
        edit.changes.iter_mut().for_each(|change| change.user_fields.clear());
        edit
    }

    both_databases! {
        async fn edits_are_found_by_id_and_by_entry(store: Store) {
            let entry = EntryId::new(DateTime::UNIX_EPOCH);
            let first = edit(entry, "one", None);
            let mut second = edit(entry, "zwei ü", Some(first.id));
            second.changes.extend(edit(EntryId::new(DateTime::UNIX_EPOCH), "other", None).changes);
            for edit in [&first, &second] {
                store.apply_catalog_changes(&[], Some(&Beside::Edit(edit.clone()))).await.unwrap();
            }
            assert_eq!(store.find_edit(second.id).await.unwrap().unwrap().changes.len(), 2);
            assert_eq!(store.find_edit(EditId::new(DateTime::UNIX_EPOCH)).await.unwrap(), None);
            let (all, total) = store.list_edits_of(entry, i64::MAX, 10).await.unwrap();
            assert_eq!((all.len(), total, all[1].clone()), (2, 2, reread(&first, 1)));
            assert_eq!((all[0].id, all[0].reverts, all[0].changes.len()), (second.id, Some(first.id), 1));
            let (rest, _) = store.list_edits_of(entry, 2, 10).await.unwrap();
            assert_eq!(rest, [reread(&first, 1)]);
            assert_eq!(store.load_sayings(&[entry]).await.unwrap()[&entry].users.len(), 2);
            store.prune_edits(1).await.unwrap();
            assert_eq!(store.find_edit(first.id).await.unwrap(), None);
            assert!(store.find_edit(second.id).await.unwrap().is_some());
            assert!(store.load_sayings(&[entry]).await.unwrap().is_empty(), "there is no such entry");
        }

        async fn what_was_said_is_kept_with_its_order_and_origin(store: Store) {
            let id = EntryId::new(DateTime::UNIX_EPOCH);
            assert!(store.load_sayings(&[id]).await.unwrap().is_empty());
            for said in [json!({"z": 1, "a": [2]}), json!({"b": "ü"})] {
                let said = map(said);
                let origins = said.keys().map(|field| (field.clone(), FactOrigin::HuggingFace)).collect();
                let sayings = Sayings { said, origins, ..Sayings::default() };
                store.save_fetched_facts(id, &sayings).await.unwrap();
                assert_eq!(store.load_sayings(&[id]).await.unwrap()[&id], sayings);
            }
        }
    }
}
