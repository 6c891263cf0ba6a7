//! An entry's pictures, and fetching more of them from CivitAI; it makes itself anew while that runs.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::domain::EntryId;
use lorakeep_registry::{EntryState, GalleryFilter, GalleryImage, GalleryProgress, Registry};

use super::filters;
use super::page::{self, Page};
use crate::app::AppState;
use crate::extract::Path;

/// Pictures on the page; all of them are in the API's list.
const SHOWN: usize = 300;

/// The part of the page.
#[derive(Template)]
#[template(path = "entry_gallery.html")]
pub(super) struct GalleryPart {
    entry_id: String,
    /// The model on CivitAI, when there is one to ask for.
    model_id: Option<u64>,
    version_id: Option<u64>,
    pictures: Vec<Picture>,
    total: usize,
    run: GalleryProgress,
    /// What stands for the model: chosen, else the first.
    pub(super) cover: Option<Picture>,
}

/// One picture or video.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub(super) id: u64,
    pub(super) is_video: bool,
    pub(super) is_starred: bool,
    pub(super) alt: String,
}

pub(super) async fn show(State(app): AppState, Path(id): Path<EntryId>, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let state = registry.entry_state(id)?;
    page::render(&headers, &GalleryPart::of(registry, &state).await?)
}

impl GalleryPart {
    pub(super) async fn of(registry: &Registry, state: &EntryState) -> lorakeep_registry::Result<Self> {
        let document = &state.entry.document;
        let model_id = document.id("civitai_model_id");
        let gallery = registry.gallery_of_entry(&state.entry, GalleryFilter::default()).await?;
        let chosen = gallery.preview.and_then(|id| gallery.images.iter().find(|image| image.id == id));
        Ok(Self {
            entry_id: state.entry.id.to_string(),
            model_id,
            version_id: document.id("civitai_version_id"),
            cover: chosen.or_else(|| gallery.images.first()).map(Picture::new),
            total: gallery.images.len(),
            pictures: gallery.images.iter().take(SHOWN).map(Picture::new).collect(),
            run: model_id.map(|id| registry.gallery_progress(id)).unwrap_or_default(),
        })
    }

    fn is_running(&self) -> bool {
        matches!(self.run.status, "downloading" | "stopping")
    }
}

impl Picture {
    fn new(image: &GalleryImage) -> Self {
        let alt = image.prompt().unwrap_or_default().chars().take(160).collect();
        Self { id: image.id, is_video: image.kind == "video", is_starred: image.is_starred, alt }
    }
}
