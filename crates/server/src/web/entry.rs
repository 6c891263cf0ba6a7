//! One entry: what it is, where it stands, its pictures, what its file says of itself, and everything that can be done.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use http::HeaderMap;
use lorakeep_registry::domain::{EntryId, Origin};
use lorakeep_registry::{EntryState, FileFacts, Registry};
use serde::Deserialize;

use super::entry_gallery::{GalleryPart, Picture};
use super::filters;
use super::library::trigger_words;
use super::library_query::shown_status;
use super::page::{self, Frame, Page};
use crate::app::{App, AppState};
use crate::extract::{FileName, Path, Query};

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    frame: Frame,
    entry: Shown,
    gallery: GalleryPart,
    cover: Option<Picture>,
    partner: Option<Partner>,
    raw: String,
}

/// The entry as the page shows it.
struct Shown {
    id: String,
    name: String,
    file: String,
    dest: String,
    path: String,
    catalog: &'static str,
    category: String,
    status: &'static str,
    shown_status: &'static str,
    error: Option<String>,
    base_model: String,
    is_lora: bool,
    prompt_tag: String,
    words: Vec<String>,
    tags: Vec<String>,
    notes: String,
    usage_tips: String,
    is_favorite: bool,
    size: u64,
    sha256: Option<String>,
    verification: &'static str,
    verified_at: Option<DateTime<Utc>>,
    source: Option<(String, &'static str)>,
    description: String,
    percent: Option<u64>,
    is_present: bool,
    is_busy: bool,
    can_download: bool,
}

/// The other half of a pair.
struct Partner {
    id: String,
    name: String,
    role: String,
}

#[derive(Template)]
#[template(path = "entry_facts.html")]
struct FactsPart {
    facts: Option<FileFacts>,
    fault: Option<String>,
}

pub(super) async fn show(State(app): AppState, Path(id): Path<EntryId>, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let state = registry.entry_state(id)?;
    let mut gallery = GalleryPart::of(registry, &state).await?;
    let cover = gallery.cover.take();
    let partner = partner(registry, &state);
    let raw = serde_json::to_string_pretty(&state.entry.document.to_fields()).unwrap_or_default();
    let entry = Shown::new(&app, &state);
    page::render(&headers, &EntryPage { frame: Frame::new("/"), entry, gallery, cover, partner, raw })
}

/// Which of several entries of that file name.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    dest: Option<String>,
}

/// An entry by its file name, for links that do not know its id.
pub(super) async fn find(State(app): AppState, FileName(file): FileName, Query(place): Query<Place>) -> Page {
    let state = app.registry().find_entry(&file, place.dest.as_deref())?;
    Ok(Redirect::to(&format!("/entries/{}", state.entry.id)).into_response())
}

/// What the file says of itself; apart from the page because the file has to be read.
pub(super) async fn show_facts(State(app): AppState, Path(id): Path<EntryId>, headers: HeaderMap) -> Page {
    let part = match app.registry().entry_facts(id).await {
        Ok(facts) => FactsPart { facts: Some(facts), fault: None },
        Err(error) => FactsPart { facts: None, fault: Some(error.to_string()) },
    };
    page::render(&headers, &part)
}

fn partner(registry: &Registry, state: &EntryState) -> Option<Partner> {
    let other = registry.pair_partner(&state.entry)?;
    Some(Partner {
        id: other.id.to_string(),
        name: other.document.name().to_owned(),
        role: other.document.text("pair_role").to_owned(),
    })
}

impl Shown {
    fn new(app: &App, state: &EntryState) -> Self {
        let EntryState { entry, file, job, .. } = state;
        let document = &entry.document;
        let status = state.status.as_str();
        let texts = |field: &str| document.texts(field).map(str::to_owned).collect::<Vec<_>>();
        let stem =
            entry.path.file.as_str().rsplit_once('.').map_or(entry.path.file.as_str(), |(stem, _)| stem);
        let progress = job.as_ref().map(|job| job.progress).filter(|_| status == "downloading");
        Self {
            id: entry.id.to_string(),
            name: document.name().to_owned(),
            file: entry.path.file.as_str().to_owned(),
            dest: entry.path.folder.as_str().to_owned(),
            path: entry.path.to_string(),
            catalog: entry.catalog.as_str(),
            category: entry.category.clone(),
            status,
            shown_status: shown_status(status),
            error: job.as_ref().and_then(|job| job.download.error.clone()).filter(|_| status == "error"),
            base_model: document.base_model().to_owned(),
            is_lora: entry.path.folder.as_str().starts_with("loras"),
            prompt_tag: format!("<lora:{stem}:1>"),
            words: trigger_words(state),
            tags: texts("tags"),
            notes: document.text("notes").to_owned(),
            usage_tips: document.text("usage_tips").to_owned(),
            is_favorite: document.flag("favorite"),
            size: file.as_ref().map_or_else(|| document.expected_bytes(), |file| file.stamp.size_bytes),
            sha256: file
                .as_ref()
                .and_then(|file| file.sha256)
                .or_else(|| document.sha256())
                .map(|sha256| sha256.to_string()),
            verification: file.as_ref().map_or("unverified", |file| file.verification().as_str()),
            verified_at: file.as_ref().and_then(|file| file.verified_at),
            source: source(app, state),
            description: document.text("description").to_owned(),
            percent: progress
                .and_then(|progress| (progress.bytes_done * 100).checked_div(progress.bytes_total)),
            is_present: file.is_some(),
            is_busy: matches!(status, "queued" | "downloading"),
            can_download: document.origin().is_some() && !matches!(status, "queued" | "downloading"),
        }
    }
}

/// Where people read about it, and what that place is called. Only places that the configuration names get a link.
fn source(app: &App, state: &EntryState) -> Option<(String, &'static str)> {
    let config = app.registry().config();
    let document = &state.entry.document;
    match document.origin()? {
        Origin::Civitai { version_id, .. } => {
            let base = config.civitai.url.as_str().trim_end_matches('/');
            let model = document.id("civitai_model_id");
            let page = match model {
                Some(model) => format!("{base}/models/{model}?modelVersionId={version_id}"),
                None => format!("{base}/model-versions/{version_id}"),
            };
            Some((page, "CivitAI"))
        }
        Origin::HuggingFace { repo, .. } => Some((
            format!("{}/{repo}", config.huggingface.url.as_str().trim_end_matches('/')),
            "Hugging Face",
        )),
        Origin::Url(_) => None,
    }
}

impl Shown {
    /// The body that asks what the weights are worth.
    fn evaluation_body(&self) -> String {
        serde_json::json!({ "files": [self.file] }).to_string()
    }

    /// The body that asks for a look at this one file.
    fn verify_body(&self) -> String {
        serde_json::json!({ "filenames": [self.path] }).to_string()
    }
}
