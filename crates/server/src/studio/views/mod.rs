//! The shapes of the wire. They convert from domain types, which never serialise themselves.

mod adoption;
mod bin;
mod card;
mod download;
mod edit;
mod entry;
mod fields;
mod gallery;
mod identify;
mod listing;
mod page;
mod quarantine;
mod scan;
mod schema;
mod settings;
mod style;
mod team;
mod verification;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use adoption::AdoptionView;
pub(super) use bin::{BinItemView, DeletedView, PurgedView, RestoredView};
pub(super) use card::CardView;
pub(super) use download::{BatchView, ChangedView, DownloadView, EnqueuedView};
pub(super) use edit::{EntriesEditedView, EntryDetailView, EntryEditedView, PastEditView};
pub(super) use entry::{AddedView, DetailedEntryView, EntryPageView, PlacedEntryView};
pub(super) use gallery::GalleryRowView;
pub(super) use identify::{DuplicatesView, LookupView};
pub(super) use listing::{ImportView, ListingView, StatsView};
pub(super) use page::PageView;
pub(super) use quarantine::{QuarantinedView, ReleasedView};
pub(super) use scan::{AdoptView, ScanView, UnlistedView};
pub(super) use settings::{DoctorView, SettingsView};
pub(super) use style::StyleView;
pub(super) use team::{NewKeyView, TeamKeyView, TeamView};
pub(super) use verification::VerificationView;

/// What was done to one file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusView {
    pub(super) status: &'static str,
    pub(super) file: String,
}

/// RFC 3339, UTC, milliseconds.
pub(in crate::studio) fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Per cent with one decimal; `None` while the whole is unknown.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part.min(whole) as f64 / whole as f64 * 1000.0).round() / 10.0)
}
