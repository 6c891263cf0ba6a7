//! What lists show of a model's gallery: counted once, kept in memory, counted again for the one model that changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::bulk::GalleryProgress;
use crate::domain::Entry;
use crate::error::Result;
use crate::service::Registry;
use crate::store::GallerySums;

/// The images of one model, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GallerySummary {
    /// Images of the model's author.
    pub original_count: u64,
    /// Their bytes.
    pub original_bytes: u64,
    /// Images of others.
    pub community_count: u64,
    /// Their bytes.
    pub community_bytes: u64,
    /// The first image: the author's when there is one.
    pub first: Option<u64>,
    /// The image that a user chose to stand for the model.
    pub chosen: Option<u64>,
    /// The run that fetches more, or the last one.
    pub run: Option<GalleryProgress>,
}

/// The summaries of all models that have images or a run.
pub type GallerySummaries = HashMap<u64, GallerySummary>;

/// Shared by all who ask.
#[derive(Debug, Default)]
pub(crate) struct Summaries {
    by_model: RwLock<Arc<GallerySummaries>>,
    /// Held while one model is counted, so that an older count never replaces a newer one.
    turn: tokio::sync::Mutex<()>,
    revision: AtomicU64,
}

impl Summaries {
    /// Counts up with every change that a list would show.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Notes that a list would show something else.
    pub(super) fn bump(&self) {
        self.revision.fetch_add(1, Ordering::AcqRel);
    }

    fn replace(&self, change: impl FnOnce(&mut GallerySummaries)) {
        let mut by_model = self.by_model.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut by_model));
        self.bump();
    }
}

impl Registry {
    /// What lists show of every gallery.
    pub fn gallery_summaries(&self) -> GallerySummaries {
        let studio = &self.inner.studio;
        let kept = Arc::clone(&studio.summaries.by_model.read().unwrap_or_else(PoisonError::into_inner));
        let mut summaries = GallerySummaries::clone(&kept);
        for (model_id, progress) in studio.gallery_runs.progress_of_all() {
            summaries.entry(model_id).or_default().run = Some(progress);
        }
        summaries
    }

    /// The image that stands for an entry: chosen by a user, else the first of its model.
    pub fn gallery_cover(&self, entry: &Entry) -> Option<u64> {
        let by_model = &self.inner.studio.summaries.by_model;
        let kept = by_model.read().unwrap_or_else(PoisonError::into_inner);
        kept.get(&entry.gallery_model_id()).and_then(|summary| summary.chosen.or(summary.first))
    }

    /// Counts every gallery; part of `open`.
    pub(super) async fn open_summaries(&self) -> Result<()> {
        let sums = self.inner.store.gallery_sums(None).await?;
        let previews = self.inner.store.list_previews(None).await?;
        self.inner.studio.summaries.replace(|summaries| *summaries = counted(sums, previews));
        Ok(())
    }

    /// Counts one model's gallery again.
    pub(super) async fn refresh_summary(&self, model_id: u64) -> Result<()> {
        let _turn = self.inner.studio.summaries.turn.lock().await;
        let id = Some(model_id as i64);
        let sums = self.inner.store.gallery_sums(id).await?;
        let previews = self.inner.store.list_previews(id).await?;
        let summary = counted(sums, previews).remove(&model_id);
        self.inner.studio.summaries.replace(|summaries| match summary {
            Some(summary) => drop(summaries.insert(model_id, summary)),
            None => drop(summaries.remove(&model_id)),
        });
        Ok(())
    }
}

fn counted(sums: Vec<GallerySums>, previews: Vec<(i64, i64)>) -> GallerySummaries {
    let mut summaries = GallerySummaries::new();
    for GallerySums { model_id, source, count, bytes, first } in sums {
        let summary = summaries.entry(model_id as u64).or_default();
        let (count, bytes) = (count as u64, bytes as u64);
        if source == "original" {
            (summary.original_count, summary.original_bytes) = (count, bytes);
            summary.first = Some(first as u64);
        } else {
            summary.community_count += count;
            summary.community_bytes += bytes;
            summary.first = if summary.original_count > 0 { summary.first } else { Some(first as u64) };
        }
    }
    for (model_id, image_id) in previews {
        summaries.entry(model_id as u64).or_default().chosen = Some(image_id as u64);
    }
    summaries
}
