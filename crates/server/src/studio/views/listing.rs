//! A whole catalog, written straight from the registry's listing; and what an import did.

use lorakeep_registry::config::Config;
use lorakeep_registry::{CategoryListing, GallerySummaries, ImportReport, Listing, Stats};
use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::entry::EntryView;

/// The whole list.
pub(in crate::studio) struct ListingView<'a>(
    pub(in crate::studio) &'a Listing,
    pub(in crate::studio) &'a Config,
);

impl Serialize for ListingView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("version", &self.0.version)?;
        map.serialize_entry("date", &self.0.date)?;
        map.serialize_entry("stats", &StatsView::from(&self.0.stats))?;
        let galleries = self.0.galleries.as_ref();
        let categories = Each(&self.0.categories, |own| CategoryView(own, galleries, self.1));
        map.serialize_entry("categories", &categories)?;
        map.end()
    }
}

/// A slice as a JSON array, each item in its view, without a vector of views between.
pub(super) struct Each<'a, T, F>(pub(super) &'a [T], pub(super) F);

impl<'a, T, V: Serialize, F: Fn(&'a T) -> V> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

struct CategoryView<'a>(&'a CategoryListing, Option<&'a GallerySummaries>, &'a Config);

impl Serialize for CategoryView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let CategoryListing { category, entries } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &category.id)?;
        map.serialize_entry("name", &category.name)?;
        for (field, value) in category.extra() {
            map.serialize_entry(field, value)?;
        }
        map.serialize_entry("models", &Each(entries, |entry| EntryView(entry, self.1, self.2)))?;
        map.end()
    }
}

/// The head of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct StatsView {
    queued_count: u64,
    downloading_count: u64,
    fetching_count: u64,
    present_count: u64,
    total_count: u64,
    global_speed: f64,
    models_bytes: u64,
    free_bytes: u64,
    bin_bytes: u64,
    unlisted_count: u64,
}

impl From<&Stats> for StatsView {
    fn from(stats: &Stats) -> Self {
        Self {
            queued_count: stats.queued_count,
            downloading_count: stats.downloading_count,
            fetching_count: stats.fetching_count,
            present_count: stats.present_count,
            total_count: stats.total_count,
            global_speed: stats.global_speed,
            models_bytes: stats.models_bytes,
            free_bytes: stats.free_bytes,
            bin_bytes: stats.bin_bytes,
            unlisted_count: stats.unlisted_count,
        }
    }
}

/// What an import did.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct ImportView {
    added: Vec<String>,
    skipped: Vec<String>,
    total_added: usize,
    errors: Vec<ImportFaultView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ImportFaultView {
    index: usize,
    file: String,
    field: String,
    message: String,
}

impl From<ImportReport> for ImportView {
    fn from(report: ImportReport) -> Self {
        let errors = report.errors.into_iter().map(|fault| ImportFaultView {
            index: fault.index,
            file: fault.file,
            field: fault.field,
            message: fault.message,
        });
        Self {
            total_added: report.added.len(),
            errors: errors.collect(),
            added: report.added,
            skipped: report.skipped,
        }
    }
}
