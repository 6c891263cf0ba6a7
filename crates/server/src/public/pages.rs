//! Pages of the list of styles as bytes, each serialised and packed once and handed out until a style changes.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use http::HeaderValue;
use lorakeep_registry::domain::{ApiVersion, StyleId, TeamId};
use lorakeep_registry::{Error, ListedStyle, Result, StyleShelf};
use sha2::{Digest, Sha256};

use super::query::Wanted;
use super::views::AnyStyleView;
use crate::compression::gzip;

/// Bytes of pages that are kept; beyond it all are forgotten.
const MAX_BYTES: usize = 48 << 20;
/// Pages that are kept.
const MAX_PAGES: usize = 4096;
/// Longer pages are made off the async threads, styles.
const MANY: usize = 250;
/// How hard pages are packed: made once and sent often.
const LEVEL: u32 = 6;
/// Bytes of the hash that name a page's content.
const TAG_BYTES: usize = 12;

/// Pages that somebody asked for.
#[derive(Debug, Default)]
pub(super) struct Pages(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Of the shelf that they are of.
    tag: u64,
    bytes: usize,
    pages: HashMap<PageKey, Arc<Page>>,
}

/// What a page follows from, beside the styles.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) wanted: Wanted,
    /// `None` for every team that has no style of its own: they all see the same.
    pub(super) team: Option<TeamId>,
    pub(super) version: ApiVersion,
    /// Where the server is, as the caller sees it.
    pub(super) base: String,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) body: Bytes,
    /// Strong: it names exactly these bytes.
    pub(super) etag: HeaderValue,
    /// Names the same bytes by gzip.
    pub(super) packed_etag: HeaderValue,
    packed: OnceLock<Bytes>,
    /// The header that leads to the next page.
    pub(super) link: Option<HeaderValue>,
}

impl Pages {
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page, made when nobody asked for it since a style changed.
    pub(super) async fn load(&self, shelf: Arc<StyleShelf>, key: PageKey) -> Result<Arc<Page>> {
        if let Some(page) = self.find(shelf.tag(), &key) {
            return Ok(page);
        }
        let tag = shelf.tag();
        let (page, key) = if key.wanted.rows() > MANY {
            let made = tokio::task::spawn_blocking(move || (Page::of(&shelf, &key), key)).await;
            made.map_err(|error| Error::internal("serialising styles", error))?
        } else {
            (Page::of(&shelf, &key), key)
        };
        let page = Arc::new(page?);
        self.keep(tag, key, Arc::clone(&page));
        Ok(page)
    }

    fn find(&self, tag: u64, key: &PageKey) -> Option<Arc<Page>> {
        let kept = self.read();
        kept.pages.get(key).filter(|_| kept.tag == tag).map(Arc::clone)
    }

    fn keep(&self, tag: u64, key: PageKey, page: Arc<Page>) {
        let mut kept = self.write();
        if kept.tag > tag {
            return;
        }
        // Packed it is shorter than it is plain.
        let bytes = 2 * page.body.len();
        if kept.tag != tag || kept.bytes + bytes > MAX_BYTES || kept.pages.len() >= MAX_PAGES {
            *kept = Kept { tag, ..Kept::default() };
        }
        if kept.pages.insert(key, page).is_none() {
            kept.bytes += bytes;
        }
    }
}

impl Page {
    fn of(shelf: &StyleShelf, key: &PageKey) -> Result<Self> {
        let PageKey { wanted, team, .. } = key;
        let is_visible = |listed: &&ListedStyle| {
            team.map_or(listed.style.audience.team().is_none(), |team| listed.style.is_visible_to(team))
        };
        let mut found = shelf.list(&wanted.filter, wanted.after).filter(is_visible);
        let listed: Vec<&ListedStyle> = found.by_ref().take(wanted.rows()).collect();
        let last = listed.last().map(|listed| listed.style.id).filter(|_| found.next().is_some());
        let views: Vec<_> =
            listed.into_iter().map(|listed| AnyStyleView::new(listed, key.version, &key.base)).collect();
        let body =
            serde_json::to_vec(&views).map_err(|error| Error::internal("serialising styles", error))?;
        Ok(Self::new(body, last.map(|last| link(key, last))))
    }

    /// A page of these bytes.
    pub(super) fn new(body: Vec<u8>, link: Option<HeaderValue>) -> Self {
        let tag = hex::encode(&Sha256::digest(&body)[..TAG_BYTES]);
        let value =
            |text: String| HeaderValue::try_from(text).expect("hexadecimal digits are a header value");
        Self {
            etag: value(format!("\"{tag}\"")),
            packed_etag: value(format!("\"{tag}-gzip\"")),
            body: body.into(),
            packed: OnceLock::new(),
            link,
        }
    }

    /// The page by gzip, made when it is first wanted.
    pub(super) async fn packed(self: Arc<Self>) -> Result<Bytes> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed.clone());
        }
        let packing =
            tokio::task::spawn_blocking(move || self.packed.get_or_init(|| gzip(&self.body, LEVEL)).clone());
        packing.await.map_err(|error| Error::internal("packing styles", error))
    }
}

fn link(key: &PageKey, last: StyleId) -> HeaderValue {
    let link = format!("<{}/v1/loras?{}>; rel=\"next\"", key.base, key.wanted.next(last));
    HeaderValue::try_from(link).expect("an address of visible ASCII is a header value")
}
