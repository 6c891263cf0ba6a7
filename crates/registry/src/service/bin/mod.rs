//! Deleting moves to the bin; the bin gives back or frees (decision 9).

mod keeping;

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{Page, PageRequest, Registry, Severity, bad_cursor};
use crate::domain::{BinItemId, FileFact, ModelPath};
use crate::error::{Error, Result, Thing};
use crate::files::{BinFolders, BinPlace, Item, Kind, folder_error, io_error, stamp_at};
use crate::store::{BinFilter, BinRoot, BinState, StoredBinItem};

/// One deleted file that can come back.
#[derive(Debug, Clone, PartialEq)]
pub struct BinItem {
    /// Its id.
    pub id: BinItemId,
    /// Where it was.
    pub path: ModelPath,
    /// Absolute path in the bin.
    pub bin_path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256, when it was known.
    pub sha256: Option<String>,
    /// When it was deleted.
    pub deleted_at: DateTime<Utc>,
    /// When it is purged by age.
    pub expires_at: DateTime<Utc>,
}

/// What a delete did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted {
    /// The file name.
    pub file: String,
    /// The item in the bin; `None` when there was no file or it was purged at once.
    pub item: Option<BinItem>,
}

/// What a purge freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Items removed.
    pub items: u64,
    /// Bytes freed.
    pub bytes: u64,
}

impl Registry {
    /// Moves an entry's file to the bin (or frees it at once with `purge`); a job for it is cancelled first. The entry
    /// stays in its catalog.
    pub async fn delete_file(&self, file: &str, dest: Option<&str>, purge: bool) -> Result<Deleted> {
        let path = self.find_entry(file, dest)?.entry.path.clone();
        self.cancel_jobs_at(&path).await?;
        let registry = self.clone();
        let data = json!({ "file": path.file.as_str(), "dest": path.folder.as_str(), "purged": purge });
        let item = self.uninterrupted(async move { registry.delete_at(path, purge).await }).await?;
        self.tell("model.deleted", Severity::Info, format!("Deleted {file}"), data);
        Ok(Deleted { file: file.to_owned(), item })
    }

    /// Bytes that the bin holds.
    pub fn bin_bytes(&self) -> u64 {
        self.library().bin_bytes()
    }

    pub(super) async fn delete_at(&self, path: ModelPath, purge: bool) -> Result<Option<BinItem>> {
        let _turn = self.inner.bin_turn.lock().await;
        let Some(item) = self.item_at(&path).await? else {
            self.library_mut().set_file(path, None);
            return Ok(None);
        };
        let kept = if purge {
            self.free(&path).await?;
            None
        } else {
            Some(self.move_in(&path, item).await?)
        };
        self.library_mut().set_file(path, None);
        self.inner.files_changed.notify_one();
        self.count_bin().await?;
        Ok(kept.map(|kept| self.shown(kept)))
    }

    /// What is at that path below the models root, without following a link.
    async fn item_at(&self, path: &ModelPath) -> Result<Option<Item>> {
        let (tree, own) = (self.inner.tree.clone(), path.clone());
        let look = move || tree.open(own.folder.as_str()).and_then(|folder| folder.item(own.file.as_str()));
        match self.blocking("looking at a file", look).await? {
            Ok(Some(item)) if matches!(item.kind, Kind::File | Kind::Link) => Ok(Some(item)),
            Ok(Some(_)) => {
                Err(Error::conflict("not_a_file", format!("`{path}` is not a file; it was left alone")))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(folder_error(&path.folder, &format!("`{path}` cannot be looked at"), error)),
        }
    }

    async fn free(&self, path: &ModelPath) -> Result<()> {
        let (tree, own) = (self.inner.tree.clone(), path.clone());
        let remove =
            move || tree.open(own.folder.as_str()).and_then(|folder| folder.remove(own.file.as_str()));
        let removed = self.blocking("removing a file", remove).await?;
        removed.map_err(|error| folder_error(&path.folder, &format!("`{path}` cannot be removed"), error))
    }

    /// Row, move, row: a process killed in between left a row that says what it was doing.
    async fn move_in(&self, path: &ModelPath, file: Item) -> Result<StoredBinItem> {
        let id = BinItemId::new(self.inner.clock.now());
        let sha256 = self.library().file(path).and_then(|fact| fact.sha256);
        let places = self.bin_folders().places(path, id).into_iter();
        let places = places.flat_map(|place| [place.clone(), BinFolders::unique(&place, id)]);
        let mut last_error = io::Error::from(io::ErrorKind::CrossesDevices);
        for place in places {
            let item = StoredBinItem {
                id,
                path: path.clone(),
                root: if place.is_in_models { BinRoot::Models } else { BinRoot::Data },
                bin_path: place.path(),
                size_bytes: file.size_bytes,
                sha256,
                state: BinState::MovingIn,
                deleted_at: self.inner.clock.now(),
            };
            self.inner.store.insert_bin_item(&item).await?;
            self.fault("bin_row_written")?;
            let (folders, own) = (self.bin_folders(), path.clone());
            let moved = self.blocking("moving a file to the bin", move || folders.take(&own, &place)).await?;
            match moved {
                Ok(()) => {
                    self.fault("bin_file_moved")?;
                    self.inner.store.set_bin_state(id, BinState::Kept).await?;
                    return Ok(StoredBinItem { state: BinState::Kept, ..item });
                }
                Err(error) => {
                    self.inner.store.delete_bin_item(id).await?;
                    let is_placed_badly =
                        matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::CrossesDevices);
                    last_error = error;
                    if !is_placed_badly {
                        break;
                    }
                }
            }
        }
        Err(io_error(&format!("`{path}` cannot be moved to the bin"), last_error))
    }

    /// The bin, newest first.
    pub async fn list_bin(&self, page: PageRequest) -> Result<Page<BinItem>> {
        let after =
            page.cursor.as_deref().map(|cursor| cursor_place(cursor).ok_or_else(bad_cursor)).transpose()?;
        let limit = page.rows();
        let mut items = self.inner.store.list_bin_page(after, limit + 1).await?;
        let is_last = items.len() <= limit as usize;
        items.truncate(limit as usize);
        let (total, _) = self.inner.store.bin_sums().await?;
        let last = items.last().filter(|_| !is_last);
        let next_cursor = last.map(|item| format!("{}-{}", item.deleted_at.timestamp_micros(), item.id));
        Ok(Page { items: items.into_iter().map(|item| self.shown(item)).collect(), next_cursor, total })
    }

    /// Moves a file back to its place; `Conflict` (`exists`) when another file is there.
    pub async fn restore_bin_item(&self, id: BinItemId) -> Result<BinItem> {
        let registry = self.clone();
        self.uninterrupted(async move { registry.restore(id).await }).await
    }

    async fn restore(&self, id: BinItemId) -> Result<BinItem> {
        let _turn = self.inner.bin_turn.lock().await;
        let item = self.kept_item(id).await?;
        self.inner.store.set_bin_state(id, BinState::MovingOut).await?;
        self.fault("restore_row_written")?;
        let (folders, place, path) = (self.bin_folders(), place_of(&item), item.path.clone());
        let moved = self.blocking("moving a file back", move || folders.give_back(&place, &path)).await?;
        if let Err(error) = moved {
            self.inner.store.set_bin_state(id, BinState::Kept).await?;
            if error.kind() == io::ErrorKind::AlreadyExists {
                let message = format!("`{}` is there already; delete or move it first", item.path);
                return Err(Error::conflict("exists", message));
            }
            return Err(folder_error(
                &item.path.folder,
                &format!("`{}` cannot be restored", item.path),
                error,
            ));
        }
        self.fault("restore_file_moved")?;
        self.inner.store.delete_bin_item(id).await?;
        self.note_restored(&item);
        self.settle_bin_entries().await?;
        self.count_bin().await?;
        Ok(self.shown(item))
    }

    /// The file is present at once; a hash that was known before it was deleted holds, since the bin changes nothing.
    fn note_restored(&self, item: &StoredBinItem) {
        let Some(stamp) = stamp_at(&item.path.below(&self.inner.config.models_dir)) else { return };
        let published = self.library().published(&item.path);
        let fact = match item.sha256.filter(|_| stamp.size_bytes == item.size_bytes) {
            Some(sha256) => FileFact::hashed(stamp, sha256, published, self.inner.clock.now()),
            None => FileFact { published, ..FileFact::unverified(stamp) },
        };
        self.library_mut().set_file(item.path.clone(), Some(fact));
        self.inner.files_changed.notify_one();
    }

    /// Frees one item.
    pub async fn purge_bin_item(&self, id: BinItemId) -> Result<Purged> {
        let registry = self.clone();
        self.uninterrupted(async move {
            let _turn = registry.inner.bin_turn.lock().await;
            let item = registry.kept_item(id).await?;
            registry.purge_items(vec![item], |_| true).await
        })
        .await
    }

    /// Frees every item that was deleted at least `min_age_days` ago; 0 frees all.
    pub async fn purge_bin(&self, min_age_days: u32) -> Result<Purged> {
        let registry = self.clone();
        self.uninterrupted(async move {
            let _turn = registry.inner.bin_turn.lock().await;
            let filter = match min_age_days {
                0 => BinFilter::All,
                days => BinFilter::DeletedUntil(registry.inner.clock.now() - TimeDelta::days(days.into())),
            };
            let items = registry.inner.store.list_bin(filter).await?;
            registry.purge_items(items, |_| true).await
        })
        .await
    }

    /// Frees these items one after the other as long as `wants_more`.
    async fn purge_items(
        &self,
        items: Vec<StoredBinItem>,
        wants_more: impl Fn(Purged) -> bool,
    ) -> Result<Purged> {
        let mut purged = Purged::default();
        for item in items {
            if !wants_more(purged) {
                break;
            }
            self.inner.store.set_bin_state(item.id, BinState::Purging).await?;
            self.fault("purge_row_written")?;
            self.finish_purge(&item).await?;
            purged = Purged { items: purged.items + 1, bytes: purged.bytes + item.size_bytes };
        }
        self.settle_bin_entries().await?;
        self.count_bin().await?;
        Ok(purged)
    }

    async fn finish_purge(&self, item: &StoredBinItem) -> Result<()> {
        let (folders, place) = (self.bin_folders(), place_of(item));
        let removed = self.blocking("freeing a file of the bin", move || folders.purge(&place)).await?;
        removed.map_err(|error| io_error(&format!("`{}` cannot be freed", item.bin_path), error))?;
        self.inner.store.delete_bin_item(item.id).await
    }

    async fn kept_item(&self, id: BinItemId) -> Result<StoredBinItem> {
        let item = self.inner.store.find_bin_item(id).await?.filter(|item| item.state == BinState::Kept);
        item.ok_or_else(|| Error::not_found(Thing::BinItem, id.to_string()))
    }

    async fn count_bin(&self) -> Result<()> {
        let (_, bytes) = self.inner.store.bin_sums().await?;
        self.library_mut().set_bin_bytes(bytes);
        Ok(())
    }

    fn bin_folders(&self) -> BinFolders {
        BinFolders { data: self.inner.config.data_dir.clone(), models: self.inner.tree.clone() }
    }

    fn shown(&self, item: StoredBinItem) -> BinItem {
        let bin_path = self.bin_folders().absolute(&place_of(&item)).display().to_string();
        BinItem {
            id: item.id,
            path: item.path,
            bin_path,
            size_bytes: item.size_bytes,
            sha256: item.sha256.map(|sha256| sha256.to_string()),
            deleted_at: item.deleted_at,
            expires_at: item.deleted_at + TimeDelta::days(self.settings().bin_days.into()),
        }
    }
}

fn place_of(item: &StoredBinItem) -> BinPlace {
    BinPlace::of(item.root == BinRoot::Models, &item.bin_path)
}

fn cursor_place(cursor: &str) -> Option<(DateTime<Utc>, BinItemId)> {
    let (micros, id) = cursor.split_once('-')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}

#[cfg(test)]
mod tests;
