//! The bytes of the two lists, serialised once and handed out until the list changes.
//!
//! A request that finds the list unchanged costs no serialisation, no copy and no lock but a read lock. When it changed,
//! one caller builds it off the async threads and all others wait for that one.

use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use http::HeaderValue;
use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{Error, ListingTag, Registry, Result};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::views::ListingView;

/// Both lists.
pub(super) struct Listings {
    models: Listing,
    loras: Listing,
    /// Tells the tags of this start from those of another.
    epoch: String,
}

/// One list as bytes.
#[derive(Clone)]
pub(super) struct Rendered {
    tag: ListingTag,
    /// Strong: it names exactly these bytes.
    pub(super) etag: HeaderValue,
    pub(super) body: Bytes,
}

#[derive(Default)]
struct Listing {
    latest: RwLock<Option<Rendered>>,
    building: Mutex<()>,
}

impl Default for Listings {
    fn default() -> Self {
        let epoch = Uuid::now_v7().simple().to_string()[16..].to_owned();
        Self { models: Listing::default(), loras: Listing::default(), epoch }
    }
}

impl Listings {
    fn of(&self, catalog: CatalogName) -> &Listing {
        match catalog {
            CatalogName::Models => &self.models,
            CatalogName::Loras => &self.loras,
        }
    }

    /// The validator of the list as it is now, without its bytes.
    pub(super) fn etag(&self, registry: &Registry, catalog: CatalogName) -> HeaderValue {
        etag(&self.epoch, registry.listing_tag(catalog))
    }

    /// The list as it is now.
    pub(super) async fn load(&self, registry: &Registry, catalog: CatalogName) -> Result<Rendered> {
        let listing = self.of(catalog);
        if let Some(rendered) = listing.find(registry.listing_tag(catalog)) {
            return Ok(rendered);
        }
        let _turn = listing.building.lock().await;
        // Read before the list is: bytes may be newer than their tag, never older.
        let tag = registry.listing_tag(catalog);
        if let Some(rendered) = listing.find(tag) {
            return Ok(rendered);
        }
        let (owned, capacity) = (registry.clone(), listing.length());
        let body = tokio::task::spawn_blocking(move || render(&owned, catalog, capacity))
            .await
            .map_err(|error| Error::internal("serialising a list", error))??;
        let rendered = Rendered { tag, etag: etag(&self.epoch, tag), body };
        listing.store(rendered.clone());
        Ok(rendered)
    }
}

impl Listing {
    fn find(&self, tag: ListingTag) -> Option<Rendered> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().filter(|rendered| rendered.tag == tag).cloned()
    }

    fn store(&self, rendered: Rendered) {
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(rendered);
    }

    fn length(&self) -> usize {
        self.latest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map_or(0, |rendered| rendered.body.len())
    }
}

fn render(registry: &Registry, catalog: CatalogName, last_length: usize) -> Result<Bytes> {
    let listing = registry.listing(catalog);
    let mut bytes = Vec::with_capacity(last_length + last_length / 16 + 1024);
    serde_json::to_writer(&mut bytes, &ListingView(&listing))
        .map_err(|error| Error::internal("serialising a list", error))?;
    // Lists live long: give back what was reserved too much.
    bytes.shrink_to_fit();
    Ok(bytes.into())
}

fn etag(epoch: &str, tag: ListingTag) -> HeaderValue {
    HeaderValue::try_from(format!("\"{epoch}-{:x}\"", tag.0)).expect("hexadecimal digits are a header value")
}
