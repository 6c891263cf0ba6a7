//! The bin over time: after a kill, when it is too old, when space is needed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Purged, place_of};
use crate::Registry;
use crate::domain::BinItemId;
use crate::error::Result;
use crate::files::{free_bytes, io_error};
use crate::store::{BinFilter, BinRoot, BinState, StoredBinItem};

/// How often what is too old is purged.
const PURGE_EVERY: Duration = Duration::from_hours(1);

impl Registry {
    /// Frees items of the bin, the oldest first, until the file system of `at` can take `bytes` more; answers what it
    /// can take then.
    pub(crate) async fn make_room(&self, at: &Path, bytes: u64) -> Result<u64> {
        let free = self.free_bytes_at(at).await?;
        if free >= bytes {
            return Ok(free);
        }
        self.purge_oldest(at, bytes - free).await?;
        self.sample_space().await;
        self.free_bytes_at(at).await
    }

    async fn free_bytes_at(&self, at: &Path) -> Result<u64> {
        let own = at.to_owned();
        let free = self.blocking("asking for free space", move || free_bytes(&own)).await?;
        free.map_err(|error| io_error(&format!("the free space of `{}` is not known", at.display()), error))
    }

    /// Frees the oldest items on the file system of `at` until `missing` bytes are free; none when all of them together
    /// would not be enough, since nothing would be won.
    pub(in crate::service) async fn purge_oldest(&self, at: &Path, missing: u64) -> Result<()> {
        let (registry, at) = (self.clone(), at.to_owned());
        self.uninterrupted(async move {
            let _turn = registry.inner.bin_turn.lock().await;
            let mut items = registry.inner.store.list_bin(BinFilter::All).await?;
            let folders = registry.bin_folders();
            items.retain(|item| folders.makes_room_at(&place_of(item), &at));
            if items.iter().map(|item| item.size_bytes).sum::<u64>() < missing {
                return Ok(());
            }
            let purged = registry.purge_items(items, |purged| purged.bytes < missing).await?;
            tracing::info!(items = purged.items, size_bytes = purged.bytes, "the bin made room");
            Ok(())
        })
        .await
    }

    /// Finishes or undoes what a killed process was doing, forgets items whose file is gone, and takes in files that no
    /// row knows; part of `open`.
    pub(in crate::service) async fn open_bin(&self) -> Result<()> {
        for item in self.inner.store.list_bin(BinFilter::Unsettled).await? {
            let is_in_bin = self.bin_folders().holds(&place_of(&item));
            match item.state {
                BinState::Purging => self.finish_purge(&item).await?,
                _ if is_in_bin => self.inner.store.set_bin_state(item.id, BinState::Kept).await?,
                _ => self.inner.store.delete_bin_item(item.id).await?,
            }
        }
        self.compare_bin().await?;
        self.count_bin().await
    }

    async fn compare_bin(&self) -> Result<()> {
        let folders = self.bin_folders();
        let items = self.inner.store.list_bin(BinFilter::All).await?;
        let places: Vec<_> = items.iter().map(|item| (item.id, place_of(item))).collect();
        let known: HashSet<PathBuf> = places.iter().map(|(_, place)| folders.absolute(place)).collect();
        let look = move || {
            let lost = places.iter().filter(|(_, place)| folders.lost(place));
            let gone: Vec<BinItemId> = lost.map(|(id, _)| *id).collect();
            let unknown =
                folders.all().into_iter().filter(|(place, ..)| !known.contains(&folders.absolute(place)));
            (gone, unknown.collect::<Vec<_>>())
        };
        let (gone, unknown) = self.blocking("looking at the bin", look).await?;
        for id in gone {
            self.inner.store.delete_bin_item(id).await?;
        }
        for (place, path, size_bytes) in unknown {
            let now = self.inner.clock.now();
            let item = StoredBinItem {
                id: BinItemId::new(now),
                path,
                root: if place.is_in_models { BinRoot::Models } else { BinRoot::Data },
                bin_path: place.path(),
                size_bytes,
                sha256: None,
                state: BinState::Kept,
                deleted_at: now,
            };
            self.inner.store.insert_bin_item(&item).await?;
        }
        Ok(())
    }

    /// Purges what is too old, now and every hour.
    pub(in crate::service) fn start_bin(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            let mut tick = tokio::time::interval(PURGE_EVERY);
            loop {
                tokio::select! {
                    () = registry.inner.stopping.cancelled() => return,
                    _ = tick.tick() => registry.purge_by_age().await,
                }
            }
        });
    }

    async fn purge_by_age(&self) {
        // Zero days: nothing outlives the first look.
        match self.purge_bin(self.settings().bin_days).await {
            Ok(Purged { items: 0, .. }) => {}
            Ok(purged) => {
                tracing::info!(items = purged.items, size_bytes = purged.bytes, "purged the bin by age");
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the bin was not purged"),
        }
    }
}
