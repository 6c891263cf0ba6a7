//! What users say of entries: one edit of one entry or of many, who said what, the history of an entry, undo.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::{
    CatalogName, EditId, EditedFields, Entry, EntryDocument, EntryEdit, EntryFilter, EntryId, FactOrigin,
    FieldValue, Sayings, Sort, SortField,
};
use crate::error::{Error, Result, Thing};
use crate::library::{CatalogChange, Placed};
use crate::service::entries::CatalogTurn;
use crate::service::{EntryState, Page, PageRequest, Registry, bad_cursor};
use crate::store::{Beside, EntryChange, StoredEdit};

/// Edits that are kept so that they can be undone.
const KEPT_EDITS: i64 = 10_000;
/// Most entries of one edit.
const MOST_ENTRIES: usize = 100_000;

/// Which entries an edit is for.
#[derive(Debug, Clone, PartialEq)]
pub enum EditedEntries {
    /// These.
    Ids(Vec<EntryId>),
    /// All that a filter finds.
    Filter(EntryFilter),
}

/// What came of an edit of one entry.
#[derive(Debug, Clone)]
pub struct EntryEdited {
    /// The entry as it is now.
    pub state: EntryState,
    /// The edit, by which it can be undone; `None` when nothing is another now.
    pub edit: Option<EditId>,
    /// What it changed.
    pub fields: EditedFields,
}

/// What came of an edit of many.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntriesEdited {
    /// The edit, by which it can be undone; `None` when nothing is another now.
    pub edit: Option<EditId>,
    /// Entries that are another now.
    pub changed: u64,
    /// Entries that were like that already.
    pub unchanged: u64,
    /// Ids that no entry has.
    pub missing: Vec<EntryId>,
    /// Entries with fields that an undo left alone, since they were edited again.
    pub conflicts: Vec<RevertConflict>,
}

/// An entry that an undo could not put back whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertConflict {
    /// Which entry.
    pub entry: EntryId,
    /// Fields that hold something newer.
    pub fields: Vec<String>,
}

/// One edit of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEdit {
    /// By which it can be undone.
    pub edit: EditId,
    /// When.
    pub at: DateTime<Utc>,
    /// The edit that it undid.
    pub reverts: Option<EditId>,
    /// What it changed of this entry.
    pub fields: EditedFields,
}

/// An entry with who says what of it.
#[derive(Debug, Clone)]
pub struct EntryDetail {
    /// The entry.
    pub state: EntryState,
    /// Who says what stands in a field, for every field of its document.
    pub origins: BTreeMap<String, FactOrigin>,
}

/// An entry that is being edited.
struct Editing {
    old: Placed,
    document: EntryDocument,
    sayings: Sayings,
}

impl Registry {
    /// Forgets old edits; part of `open`.
    pub(in crate::service) async fn open_edits(&self) -> Result<()> {
        self.inner.store.prune_edits(KEPT_EDITS).await
    }

    /// Who said what of an entry.
    pub(in crate::service) async fn sayings_of(&self, id: EntryId) -> Result<Sayings> {
        Ok(self.inner.store.load_sayings(&[id]).await?.remove(&id).unwrap_or_default())
    }

    /// The entry of that id with who says what of it.
    pub async fn entry_detail(&self, id: EntryId) -> Result<EntryDetail> {
        let sayings = self.sayings_of(id).await?;
        let state = self.state_of(&self.known_entry(id)?);
        let document = &state.entry.document;
        let origins =
            document.iter().map(|(field, _)| (field.to_owned(), sayings.origin_of(document, field)));
        let origins = origins.collect();
        Ok(EntryDetail { state, origins })
    }

    fn known_entry(&self, id: EntryId) -> Result<Arc<Entry>> {
        self.find_entry_by_id(id).ok_or_else(|| Error::not_found(Thing::Entry, id.to_string()))
    }

    /// Edits one entry. Durable when it answers.
    pub async fn edit_entry(&self, id: EntryId, edit: &EntryEdit) -> Result<EntryEdited> {
        let turn = self.catalog_turn().await;
        self.known_entry(id)?;
        let (done, mut changes) = self.edit_in(turn, &[id], None, |own| own.apply(edit)).await?;
        let fields = changes.pop().map(|change| change.fields).unwrap_or_default();
        Ok(EntryEdited { state: self.state_of(&self.known_entry(id)?), edit: done.edit, fields })
    }

    /// Edits many entries at once: all or none.
    pub async fn edit_entries(&self, which: &EditedEntries, edit: &EntryEdit) -> Result<EntriesEdited> {
        let turn = self.catalog_turn().await;
        let mut ids = match which {
            EditedEntries::Ids(ids) => ids.clone(),
            EditedEntries::Filter(filter) => self.found_ids(filter).await?,
        };
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > MOST_ENTRIES {
            let message =
                format!("{} entries are too many for one edit; at most {MOST_ENTRIES} are", ids.len());
            return Err(Error::invalid("too_many", "ids", message));
        }
        Ok(self.edit_in(turn, &ids, None, |own| own.apply(edit)).await?.0)
    }

    async fn found_ids(&self, filter: &EntryFilter) -> Result<Vec<EntryId>> {
        let (registry, filter) = (self.clone(), filter.clone());
        let search = move || registry.find_all(&filter, Sort::by(SortField::Added));
        let found = self.blocking("searching entries", search).await??;
        Ok(found.into_iter().map(|entry| entry.id).collect())
    }

    /// Undoes an edit where what it set still stands. That is an edit as well, and can be undone.
    ///
    /// `Conflict` (`edited_again`) when nothing of it still stands.
    pub async fn revert_edit(&self, id: EditId) -> Result<EntriesEdited> {
        let turn = self.catalog_turn().await;
        let found = self.inner.store.find_edit(id).await?;
        let undone = found.ok_or_else(|| Error::not_found(Thing::Edit, id.to_string()))?;
        let past: HashMap<EntryId, EntryChange> =
            undone.changes.into_iter().map(|change| (change.entry_id, change)).collect();
        let ids: Vec<EntryId> = past.keys().copied().collect();
        let mut conflicts = Vec::new();
        let (done, _) = self
            .edit_in(turn, &ids, Some(id), |own| {
                let (edited, newer) = own.revert(&past[&own.old.entry.id]);
                if !newer.is_empty() {
                    conflicts.push(RevertConflict { entry: own.old.entry.id, fields: newer });
                }
                edited
            })
            .await?;
        if done.edit.is_none() {
            let message = "what this edit set was edited again or is gone; nothing was changed";
            return Err(Error::conflict("edited_again", message));
        }
        Ok(EntriesEdited { conflicts, ..done })
    }

    /// The edits of an entry, the newest first.
    pub async fn entry_history(&self, id: EntryId, page: &PageRequest) -> Result<Page<PastEdit>> {
        self.known_entry(id)?;
        let before = match &page.cursor {
            None => i64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| bad_cursor())?,
        };
        let (edits, total) = self.inner.store.list_edits_of(id, before, page.rows() + 1).await?;
        let rows = page.rows() as usize;
        let next_cursor = edits.get(rows).map(|_| edits[rows - 1].number.to_string());
        let items = edits.into_iter().take(rows).map(past_edit).collect();
        Ok(Page { items, next_cursor, total })
    }

    /// Edits entries in one transaction. Answers what was changed as well.
    async fn edit_in(
        &self,
        turn: CatalogTurn,
        ids: &[EntryId],
        reverts: Option<EditId>,
        mut work: impl FnMut(&mut Editing) -> EditedFields,
    ) -> Result<(EntriesEdited, Vec<EntryChange>)> {
        let mut sayings = self.inner.store.load_sayings(ids).await?;
        let mut done = EntriesEdited::default();
        let (mut changes, mut edits) = (Vec::new(), Vec::new());
        for catalog in CatalogName::ALL {
            changes.push(CatalogChange::of(catalog, self.next_head(catalog)));
        }
        for id in ids {
            let Some(old) = self.library().placed(*id).cloned() else {
                done.missing.push(*id);
                continue;
            };
            let document = old.entry.document.clone();
            let mut own = Editing { old, document, sayings: sayings.remove(id).unwrap_or_default() };
            let before = own.sayings.users.clone();
            let fields = work(&mut own);
            if fields.is_empty() {
                done.unchanged += 1;
                continue;
            }
            let old_user_fields = before.into_iter().filter(|field| fields.new.contains_key(field)).collect();
            let user_fields = own.sayings.users.clone();
            edits.push(EntryChange { entry_id: *id, fields, old_user_fields, user_fields });
            own.add_to(&mut changes)?;
        }
        if edits.is_empty() {
            return Ok((done, edits));
        }
        let now = self.inner.clock.now();
        let edit = StoredEdit { id: EditId::new(now), number: 0, at: now, reverts, changes: edits.clone() };
        (done.edit, done.changed) = (Some(edit.id), edits.len() as u64);
        changes.retain(|change| !change.entries.is_empty());
        self.commit_with(turn, changes, Some(Beside::Edit(edit))).await?;
        Ok((done, edits))
    }
}

impl Editing {
    fn apply(&mut self, edit: &EntryEdit) -> EditedFields {
        edit.apply(&mut self.document, &mut self.sayings)
    }

    /// Puts back what an edit changed and what still stands so. Answers which fields do not.
    fn revert(&mut self, past: &EntryChange) -> (EditedFields, Vec<String>) {
        let before = self.document.clone();
        let mut newer = Vec::new();
        for (field, set) in &past.fields.new {
            let own = self.document.get(field).map_or(serde_json::Value::Null, FieldValue::to_value);
            if own != *set {
                newer.push(field.clone());
                continue;
            }
            match &past.fields.old[field] {
                serde_json::Value::Null => self.document.remove(field),
                old => self.document.set(field, old.clone()),
            }
            if past.old_user_fields.contains(field) {
                self.sayings.users.insert(field.clone());
            } else {
                self.sayings.users.remove(field);
            }
        }
        let fields = past.fields.new.keys().map(String::as_str);
        (EditedFields::between(&before, &self.document, fields), newer)
    }

    fn add_to(self, changes: &mut [CatalogChange]) -> Result<()> {
        let Entry { id, catalog, ref category, .. } = *self.old.entry;
        let entry = Arc::new(Entry::from_document(id, catalog, category.as_str(), self.document)?);
        for change in changes.iter_mut().filter(|change| change.catalog == catalog) {
            let (entry, changed_version) = (Arc::clone(&entry), change.head.version);
            change.entries.push(Placed { entry, position: self.old.position, changed_version });
        }
        Ok(())
    }
}

fn past_edit(mut edit: StoredEdit) -> PastEdit {
    let fields = edit.changes.pop().map(|change| change.fields).unwrap_or_default();
    PastEdit { edit: edit.id, at: edit.at, reverts: edit.reverts, fields }
}

#[cfg(test)]
mod tests;
