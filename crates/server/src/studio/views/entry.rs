//! One entry with the state of its file.

use std::borrow::Cow;

use lorakeep_registry::config::Config;
use lorakeep_registry::domain::{Dimension, FileFact, StatusWord, Verification};
use lorakeep_registry::{
    Added, EntryPage, EntryState, FacetCount, Facets, FileFacts, GallerySummaries, JobState,
};
use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::listing::Each;
use super::{fields, gallery, percent};

/// An entry as in the lists, with what is in its model's gallery where that is shown.
pub(super) struct EntryView<'a>(
    pub(super) &'a EntryState,
    pub(super) Option<&'a GallerySummaries>,
    pub(super) &'a Config,
);

/// The same with its id and the catalog and the category it is in.
#[derive(Debug)]
pub(in crate::studio) struct PlacedEntryView {
    state: EntryState,
    url: String,
}

/// A page of the list at size.
pub(in crate::studio) struct EntryPageView<'a>(
    pub(in crate::studio) &'a EntryPage,
    pub(in crate::studio) &'a Config,
);

impl Serialize for EntryView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let own: &[&str] = if self.1.is_some() { &gallery::FIELDS } else { &[] };
        let url = fields::download_url(&self.0.entry.document, self.2);
        fields::write(&mut map, &self.0.entry, &url, own)?;
        write_state(&mut map, self.0)?;
        if let Some(galleries) = self.1 {
            let model_id = self.0.entry.document.id("civitai_model_id");
            gallery::write(&mut map, model_id.and_then(|model_id| galleries.get(&model_id)))?;
        }
        map.end()
    }
}

impl Serialize for PlacedEntryView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PlacedEntry(&self.state, &self.url).serialize(serializer)
    }
}

impl PlacedEntryView {
    pub(in crate::studio) fn new(state: EntryState, config: &Config) -> Self {
        Self { url: fields::download_url(&state.entry.document, config), state }
    }
}

struct PlacedEntry<'a, T>(&'a EntryState, T);

impl<T: AsRef<str>> Serialize for PlacedEntry<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_placed(&mut map, self.0, self.1.as_ref(), &["id"])?;
        map.end()
    }
}

/// The same with what the file says of itself.
#[derive(Debug)]
pub(in crate::studio) struct DetailedEntryView {
    pub(in crate::studio) placed: PlacedEntryView,
    pub(in crate::studio) facts: Option<FileFacts>,
}

impl Serialize for DetailedEntryView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_placed(&mut map, &self.placed.state, &self.placed.url, &["id", "file_facts"])?;
        map.serialize_entry("file_facts", &self.facts)?;
        map.end()
    }
}

/// Id, catalog and category before everything else; `own` are fields that the document must not shadow.
pub(super) fn write_placed<M: SerializeMap>(
    map: &mut M,
    state: &EntryState,
    url: &str,
    own: &[&str],
) -> Result<(), M::Error> {
    let entry = &state.entry;
    map.serialize_entry("id", &format_args!("{}", entry.id))?;
    map.serialize_entry("catalog", entry.catalog.as_str())?;
    map.serialize_entry("category", &entry.category)?;
    fields::write(map, entry, url, own)?;
    write_state(map, state)
}

impl Serialize for EntryPageView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EntryPage { items, next_cursor, total, facets } = self.0;
        let mut map = serializer.serialize_map(None)?;
        let url = |state: &EntryState| fields::download_url(&state.entry.document, self.1);
        map.serialize_entry("items", &Each(items, |state| PlacedEntry(state, url(state))))?;
        map.serialize_entry("next_cursor", next_cursor)?;
        map.serialize_entry("total", total)?;
        if let Some(facets) = facets {
            map.serialize_entry("facets", &FacetsView(facets))?;
        }
        map.end()
    }
}

/// The values of each dimension with their counts.
struct FacetsView<'a>(&'a Facets);

impl Serialize for FacetsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = |(dimension, counts): (&Dimension, &'_ Vec<FacetCount>)| {
            let counts = counts.iter().map(|own| FacetView { value: own.value.clone(), count: own.count });
            (dimension.as_str(), counts.collect::<Vec<_>>())
        };
        serializer.collect_map(self.0.iter().map(view))
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FacetView {
    value: String,
    count: u64,
}

fn write_state<M: SerializeMap>(map: &mut M, state: &EntryState) -> Result<(), M::Error> {
    let job = state.job.as_deref().filter(|job| job.download.state.status_word().is_some());
    map.serialize_entry("status", state.status.as_str())?;
    map.serialize_entry("state", finer_word(state))?;
    let transfer = Transfer::of(state, job);
    map.serialize_entry("progress", &transfer.progress)?;
    map.serialize_entry("on_disk_bytes", &transfer.on_disk_bytes)?;
    map.serialize_entry("expected_bytes", &transfer.expected_bytes)?;
    map.serialize_entry("speed", &transfer.speed)?;
    map.serialize_entry("error", &job.and_then(trouble))?;
    let file = state.file.as_ref();
    map.serialize_entry("verification", verification(file.map(FileFact::verification)))?;
    map.serialize_entry("sha256_on_disk", &file.and_then(|file| file.sha256))?;
    match &state.conflict {
        Some(conflict) => map.serialize_entry("base_model_conflict", &**conflict),
        None => Ok(()),
    }
}

/// The state of the job behind the word, else the word itself; a cancelled job is told from one that never was.
fn finer_word(state: &EntryState) -> &'static str {
    match (&state.job, state.status) {
        (Some(job), StatusWord::NotDownloaded) if job.download.state.as_str() == "cancelled" => "cancelled",
        (Some(job), _) if job.download.state.status_word() == Some(state.status) => {
            job.download.state.as_str()
        }
        (_, status) => status.as_str(),
    }
}

/// Why it failed, or why it waits and until when.
fn trouble(job: &JobState) -> Option<Cow<'_, str>> {
    job.wait
        .as_ref()
        .map(|wait| wait.to_string().into())
        .or_else(|| job.download.error.as_deref().map(Cow::from))
}

/// The word of a verification; an absent file is not verified.
pub(super) fn verification(verification: Option<Verification>) -> &'static str {
    match verification {
        None | Some(Verification::Unverified) => "unverified",
        Some(Verification::Hashed) => "hashed",
        Some(Verification::Verified) => "verified",
        Some(Verification::Mismatch) => "mismatch",
    }
}

/// The numbers beside the status.
struct Transfer {
    progress: Option<f64>,
    on_disk_bytes: u64,
    expected_bytes: u64,
    speed: f64,
}

impl Transfer {
    fn of(state: &EntryState, job: Option<&JobState>) -> Self {
        match (job, &state.file) {
            (Some(job), _) if state.status != StatusWord::Present => Self::of_job(state, job),
            (_, Some(file)) => {
                let size = file.stamp.size_bytes;
                Self { progress: Some(100.0), on_disk_bytes: size, expected_bytes: size, speed: 0.0 }
            }
            (_, None) => {
                let expected_bytes = state.entry.document.expected_bytes();
                Self { progress: Some(0.0), on_disk_bytes: 0, expected_bytes, speed: 0.0 }
            }
        }
    }

    /// A job's own numbers. Its file on disk, if any, is the one that it will replace.
    fn of_job(state: &EntryState, job: &JobState) -> Self {
        let progress = job.progress;
        let is_moving = job.download.state.is_running();
        let untouched = if is_moving { None } else { Some(0.0) };
        let estimate = || state.entry.document.expected_bytes();
        Self {
            progress: percent(progress.bytes_done, progress.bytes_total).or(untouched),
            on_disk_bytes: progress.bytes_done,
            expected_bytes: if progress.bytes_total > 0 { progress.bytes_total } else { estimate() },
            speed: progress.bytes_per_second,
        }
    }
}

/// What came of adding a reference.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(in crate::studio) struct AddedView {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<PlacedEntryView>,
}

impl AddedView {
    pub(in crate::studio) fn new(added: Added, config: &Config) -> Self {
        match added {
            Added::New(state) => Self::of("added", state, config),
            Added::AlreadyExists(state) => Self::of("already_exists", state, config),
            Added::Restricted { reason } => {
                Self { status: "restricted", reason: Some(reason), ..Self::default() }
            }
        }
    }

    fn of(status: &'static str, state: EntryState, config: &Config) -> Self {
        let entry = &state.entry;
        Self {
            status,
            reason: None,
            file: Some(entry.file().to_owned()),
            name: Some(entry.document.name().to_owned()),
            catalog: Some(entry.catalog.as_str()),
            category: Some(entry.category.clone()),
            dest: Some(entry.dest().to_owned()),
            entry: Some(PlacedEntryView::new(state, config)),
        }
    }
}
