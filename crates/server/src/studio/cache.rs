//! The bytes of the two lists, serialised once and handed out until the list changes.
//!
//! A request that finds the list unchanged costs no serialisation, no copy and no lock but a read lock. When it changed,
//! one caller builds it off the async threads and all others wait for that one. A long one that nobody asks for is
//! forgotten after a moment: validators keep working without it, and building it again is quick.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{Error, ListingTag, Registry, Result};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::views::ListingView;

/// Lists up to this many bytes are kept for good.
const SMALL: usize = 1 << 20;
/// A longer one is forgotten when nobody asked for it within such a span.
const KEEP: Duration = Duration::from_millis(800);

/// Both lists.
pub(super) struct Listings {
    models: Arc<Listing>,
    loras: Arc<Listing>,
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
    kept: RwLock<Kept>,
    building: Mutex<()>,
    /// Asked for since the keeper looked last.
    was_used: AtomicBool,
}

#[derive(Default)]
struct Kept {
    latest: Option<Rendered>,
    /// The last length, so that the next one is allocated at once.
    length: usize,
    /// Whether a task runs that forgets it in time.
    has_keeper: bool,
}

impl Default for Listings {
    fn default() -> Self {
        let epoch = Uuid::now_v7().simple().to_string()[16..].to_owned();
        Self { models: Arc::default(), loras: Arc::default(), epoch }
    }
}

impl Listings {
    fn of(&self, catalog: CatalogName) -> &Arc<Listing> {
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
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, tag: ListingTag) -> Option<Rendered> {
        let rendered = self.read().latest.clone().filter(|rendered| rendered.tag == tag)?;
        self.was_used.store(true, Ordering::Relaxed);
        Some(rendered)
    }

    fn store(self: &Arc<Self>, rendered: Rendered) {
        let mut kept = self.write();
        kept.length = rendered.body.len();
        kept.latest = Some(rendered);
        if kept.length > SMALL && !kept.has_keeper {
            kept.has_keeper = true;
            tokio::spawn(Arc::clone(self).forget_in_time());
        }
    }

    async fn forget_in_time(self: Arc<Self>) {
        loop {
            tokio::time::sleep(KEEP).await;
            if !self.was_used.swap(false, Ordering::Relaxed) {
                let mut kept = self.write();
                (kept.latest, kept.has_keeper) = (None, false);
                return;
            }
        }
    }

    fn length(&self) -> usize {
        self.read().length
    }
}

fn render(registry: &Registry, catalog: CatalogName, last_length: usize) -> Result<Bytes> {
    let listing = registry.listing(catalog);
    let mut bytes = Vec::with_capacity(last_length + last_length / 16 + 1024);
    serde_json::to_writer(&mut bytes, &ListingView(&listing, registry.config()))
        .map_err(|error| Error::internal("serialising a list", error))?;
    // Lists live long: give back what was reserved too much.
    bytes.shrink_to_fit();
    Ok(bytes.into())
}

fn etag(epoch: &str, tag: ListingTag) -> HeaderValue {
    HeaderValue::try_from(format!("\"{epoch}-{:x}\"", tag.0)).expect("hexadecimal digits are a header value")
}
