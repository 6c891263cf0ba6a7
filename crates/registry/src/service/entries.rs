//! Changing catalogs: one at a time, the database first, then memory, then the file on disk.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::Registry;
use super::import::Places;
use crate::domain::{CatalogName, Category, Entry, EntryDocument, EntryId};
use crate::error::{Error, Result, Thing};
use crate::library::{CatalogChange, CatalogHead, Placed};
use crate::store::{Beside, FinishedUpload};

/// The right to change catalogs; whoever holds it sees a library that nobody else changes.
pub(super) type CatalogTurn = OwnedMutexGuard<()>;

impl Registry {
    /// Waits for the right to change catalogs.
    pub(super) async fn catalog_turn(&self) -> CatalogTurn {
        Arc::clone(&self.inner.catalog_turn).lock_owned().await
    }

    /// A catalog's head after one more change.
    pub(super) fn next_head(&self, catalog: CatalogName) -> CatalogHead {
        let now = self.inner.clock.now().with_timezone(&self.inner.config.server.time_zone);
        let own = self.library().catalog(catalog).head.clone();
        CatalogHead { version: own.version + 1, date: now.format("%Y-%m-%d %H:%M").to_string(), ..own }
    }

    /// Makes changes durable, then visible, then tells the writer of the catalog files.
    ///
    /// Runs to its end although the caller may give up waiting, so that memory never misses what the database has.
    pub(super) async fn commit(&self, turn: CatalogTurn, changes: Vec<CatalogChange>) -> Result<()> {
        self.commit_with(turn, changes, None).await
    }

    /// As [`Registry::commit`], with what is `beside` the changes in the same transaction.
    pub(super) async fn commit_with(
        &self,
        turn: CatalogTurn,
        changes: Vec<CatalogChange>,
        beside: Option<Beside>,
    ) -> Result<()> {
        let registry = self.clone();
        self.uninterrupted(async move {
            let _turn = turn;
            registry.inner.store.apply_catalog_changes(&changes, beside.as_ref()).await?;
            let changed = changes.iter().flat_map(|change| &change.entries).map(|placed| placed.entry.id);
            let changed: Vec<EntryId> = changed.collect();
            let mut library = registry.library_mut();
            for change in changes {
                library.apply(change);
            }
            drop(library);
            registry.sidecars_are_behind(changed);
            registry.inner.catalogs_changed.notify_one();
            Ok(())
        })
        .await
    }

    /// Adds an entry at the end of its category, which is made when it is new.
    ///
    /// `Conflict` (`exists`) when the catalog has an entry of that path.
    pub(crate) async fn insert_entry(
        &self,
        catalog: CatalogName,
        category: &Category,
        document: EntryDocument,
    ) -> Result<Arc<Entry>> {
        self.insert_entry_of(catalog, category, document, None).await
    }

    /// As [`Registry::insert_entry`]; in the same transaction that upload is done.
    pub(super) async fn insert_entry_of(
        &self,
        catalog: CatalogName,
        category: &Category,
        document: EntryDocument,
        done: Option<FinishedUpload>,
    ) -> Result<Arc<Entry>> {
        let turn = self.catalog_turn().await;
        let id = EntryId::new(self.inner.clock.now());
        let entry = Arc::new(Entry::from_document(id, catalog, &category.id, document)?);
        let mut change = CatalogChange::of(catalog, self.next_head(catalog));
        {
            let library = self.library();
            if library.entry_at(catalog, &entry.path).is_some() {
                return Err(Error::conflict("exists", format!("`{}` is in the catalog already", entry.path)));
            }
            let position = Places::of(library.catalog(catalog)).next(category, &mut change.categories);
            change.entries.push(Placed {
                entry: Arc::clone(&entry),
                position,
                changed_version: change.head.version,
            });
        }
        self.commit_with(turn, vec![change], done.map(Beside::Upload)).await?;
        Ok(entry)
    }

    /// Changes an entry's document; its path stays. Nothing is written when nothing changed.
    pub(super) async fn update_entry(
        &self,
        turn: CatalogTurn,
        id: EntryId,
        edit: impl FnOnce(&mut EntryDocument),
    ) -> Result<Arc<Entry>> {
        let old = self
            .library()
            .placed(id)
            .cloned()
            .ok_or_else(|| Error::not_found(Thing::Entry, id.to_string()))?;
        let mut document = old.entry.document.clone();
        edit(&mut document);
        if document == old.entry.document {
            return Ok(old.entry);
        }
        let Entry { catalog, ref category, .. } = *old.entry;
        let entry = Arc::new(Entry::from_document(id, catalog, category, document)?);
        if entry.path != old.entry.path {
            return Err(Error::invalid(
                "path_fixed",
                "file",
                "`file` and `dest` of an entry cannot be changed",
            ));
        }
        let mut change = CatalogChange::of(catalog, self.next_head(catalog));
        let changed_version = change.head.version;
        change.entries.push(Placed { entry: Arc::clone(&entry), position: old.position, changed_version });
        self.commit(turn, vec![change]).await?;
        Ok(entry)
    }

    /// Runs `work` to its end in a task of its own, whether or not the caller keeps waiting.
    pub(crate) async fn uninterrupted<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.inner.tasks.spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(Error::internal("a task ended in a panic", error)),
        }
    }

    /// Runs blocking work off the async threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let task = self.inner.tasks.spawn_blocking(work);
        task.await.map_err(|error| Error::internal(format!("{what} ended in a panic"), error))
    }
}
