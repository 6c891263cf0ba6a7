//! `civitai-map`: serialised once and handed out until a catalog, a file or a job changes; programs ask every few seconds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{Error, ListingTag, MapStatus, MappedEntry, Registry, Result, VersionMap};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::app::AppState;
use crate::conditional::{REVALIDATE, is_known};
use crate::envelope::Refusal;

/// The last map that was asked for, with what it followed from.
#[derive(Default)]
pub(super) struct Cache(RwLock<Option<(ListingTag, Bytes)>>);

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Result<Response, Refusal> {
    // The map follows from the same things as the lists; both catalogs share one tag.
    let etag = app.studio().listings.etag(app.registry(), CatalogName::Models);
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag), (CACHE_CONTROL, REVALIDATE)]).into_response());
    }
    let body = app.studio().civitai_map.load(app.registry()).await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json), (ETAG, etag), (CACHE_CONTROL, REVALIDATE)], body).into_response())
}

impl Cache {
    async fn load(&self, registry: &Registry) -> Result<Bytes> {
        // Read before the map is: bytes may be newer than their tag, never older.
        let tag = registry.listing_tag(CatalogName::Models);
        if let Some(bytes) = self.find(tag) {
            return Ok(bytes);
        }
        let owned = registry.clone();
        let bytes = tokio::task::spawn_blocking(move || render(&owned))
            .await
            .map_err(|error| Error::internal("serialising the map of versions", error))??;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((tag, bytes.clone()));
        Ok(bytes)
    }

    fn find(&self, tag: ListingTag) -> Option<Bytes> {
        let latest = self.0.read().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().filter(|(known, _)| *known == tag).map(|(_, bytes)| bytes.clone())
    }
}

fn render(registry: &Registry) -> Result<Bytes> {
    let map = registry.version_map();
    let bytes = serde_json::to_vec(&MapView(&map));
    bytes.map(Bytes::from).map_err(|error| Error::internal("serialising the map of versions", error))
}

pub(super) struct MapView<'a>(&'a VersionMap);

impl Serialize for MapView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("by_version", &ByVersion(&self.0.by_version))?;
        map.serialize_entry("by_model", &ByModel(&self.0.by_model))?;
        map.end()
    }
}

/// The shape that [`MapView`] writes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CivitaiMap")]
struct MapShape<'a> {
    /// By CivitAI's id of the version.
    by_version: BTreeMap<String, MappedView<'a>>,
    /// The versions that are here, by CivitAI's id of the model.
    by_model: BTreeMap<String, Vec<u64>>,
}

impl JsonSchema for MapView<'_> {
    fn schema_name() -> Cow<'static, str> {
        MapShape::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        MapShape::json_schema(generator)
    }
}

struct ByVersion<'a>(&'a [(u64, MappedEntry)]);

impl Serialize for ByVersion<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, mapped)| (id.to_string(), MappedView::from(mapped))))
    }
}

struct ByModel<'a>(&'a [(u64, Vec<u64>)]);

impl Serialize for ByModel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, versions)| (id.to_string(), versions)))
    }
}

/// One version. Byte counts of a running download stand beside `downloading` only.
#[derive(Serialize, JsonSchema)]
struct MappedView<'a> {
    file: &'a str,
    dest: &'a str,
    name: &'a str,
    base_model: &'a str,
    status: &'static str,
    civitai_model_id: Option<u64>,
    catalog: &'static str,
    size_expected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_disk: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl_speed: Option<f64>,
}

impl<'a> From<&'a MappedEntry> for MappedView<'a> {
    fn from(mapped: &'a MappedEntry) -> Self {
        let (entry, document) = (&mapped.entry, &mapped.entry.document);
        let progress = mapped.progress.as_ref();
        let on_disk = mapped.file.filter(|_| mapped.status == MapStatus::Present);
        Self {
            file: entry.file(),
            dest: entry.dest(),
            name: document.name(),
            base_model: document.base_model(),
            status: mapped.status.as_str(),
            civitai_model_id: document.id("civitai_model_id"),
            catalog: entry.catalog.as_str(),
            size_expected: document.expected_bytes(),
            size_disk: on_disk.map(|file| file.stamp.size_bytes),
            dl_bytes: progress.map(|progress| progress.bytes_done),
            dl_total: progress.map(|progress| progress.bytes_total),
            dl_speed: progress.map(|progress| progress.bytes_per_second),
        }
    }
}
