//! One style: making it from an entry or a pair, changing it, and what its template makes of a prompt.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::domain::{
    Dimension, EntryFilter, EntryId, EntryQuery, PairRole, PromptTemplate, Selection, Style, Team,
    TemplateValues,
};
use lorakeep_registry::error::Thing;
use lorakeep_registry::{EntryState, Error, GalleryFilter, Registry, StyleState, searchable_part};
use serde::Deserialize;

use super::filters;
use super::library::trigger_words;
use super::page::{self, Frame, Page};
use super::styles::address_of_preview;
use crate::app::AppState;
use crate::extract::{FileName, Query};

/// LoRAs and pictures to choose from.
const CHOICES: usize = 24;
/// What a template is shown with.
const EXAMPLE: &str = "a lighthouse above a quiet sea";

#[derive(Template)]
#[template(path = "style_new.html")]
struct NewStylePage {
    frame: Frame,
    words: String,
    /// To choose from, while nothing is chosen.
    choices: Vec<Choice>,
    source: Option<Source>,
    form: Option<Form>,
}

#[derive(Template)]
#[template(path = "style.html")]
struct StylePage {
    frame: Frame,
    id: String,
    name: String,
    slug: String,
    old_slugs: Vec<String>,
    is_deleted: bool,
    is_ready: bool,
    audience: String,
    base_model: String,
    picture: Option<String>,
    files: Vec<FileRow>,
    form: Form,
}

/// A LoRA that a style can be made of.
struct Choice {
    id: String,
    name: String,
    detail: String,
}

/// What a new style is made of.
struct Source {
    /// The field of the API and its value.
    field: &'static str,
    value: String,
    shown: String,
}

/// One file of a style.
struct FileRow {
    role: &'static str,
    name: String,
    link: Option<String>,
    strength: f64,
    is_present: bool,
}

/// The fields that a person fills in.
struct Form {
    name: String,
    slug: String,
    description: String,
    template: String,
    denoise_strength: String,
    guidance_scale: String,
    steps: String,
    strengths: Vec<Strength>,
    /// Whom it may be for: the team's id, its name, whether it is chosen. Everyone stands before.
    teams: Vec<(String, String, bool)>,
    is_public: bool,
    pictures: Vec<u64>,
    words: String,
}

/// How strongly the file of a role is applied.
struct Strength {
    role: &'static str,
    value: f64,
}

/// What a new style is asked to be made of.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// An entry's id.
    entry: Option<String>,
    #[serde(default)]
    q: String,
}

pub(super) async fn show_new(State(app): AppState, headers: HeaderMap, Query(asked): Query<Asked>) -> Page {
    let registry = app.registry();
    let mut template = NewStylePage {
        frame: Frame::new("/styles"),
        words: asked.q,
        choices: Vec::new(),
        source: None,
        form: None,
    };
    match asked.entry {
        None => template.choices = choices(registry, &template.words).await?,
        Some(id) => {
            let id: EntryId = id.parse().map_err(|_| Error::not_found(Thing::Entry, id))?;
            let state = registry.entry_state(id)?;
            let source = Source::of(registry, &state);
            template.form = Some(Form::of_entry(registry, &state, source.field == "pair").await?);
            template.source = Some(source);
        }
    }
    page::render(&headers, &template)
}

pub(super) async fn show(State(app): AppState, FileName(style): FileName, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let state = registry.load_style(&style).await?;
    let style = &state.style;
    let template = StylePage {
        frame: Frame::new("/styles"),
        id: style.id.to_string(),
        name: style.name.clone(),
        slug: style.slug.clone(),
        old_slugs: style.old_slugs.clone(),
        is_deleted: style.deleted_at.is_some(),
        is_ready: state.is_ready(),
        audience: state.team.clone().unwrap_or_else(|| "everyone".to_owned()),
        base_model: state.base_model.clone(),
        picture: style.preview.as_deref().map(address_of_preview),
        files: files(&state),
        form: Form::of_style(registry, &state).await?,
    };
    page::render(&headers, &template)
}

/// What a template is tried with.
#[derive(Debug, Deserialize)]
pub(super) struct Tried {
    #[serde(default)]
    template: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    words: String,
}

#[derive(Template)]
#[template(path = "style_template.html")]
struct TemplatePart {
    prompt: Option<String>,
    fault: Option<String>,
}

/// What becomes of a prompt, or what is wrong with the template; asked while it is typed.
pub(super) async fn show_template(headers: HeaderMap, Query(tried): Query<Tried>) -> Page {
    if tried.template.trim().is_empty() {
        return page::render(&headers, &TemplatePart { prompt: None, fault: None });
    }
    let values = TemplateValues { prompt: EXAMPLE, trigger_words: &tried.words, style: &tried.name };
    let part = match PromptTemplate::parse(&tried.template) {
        Ok(template) => TemplatePart { prompt: Some(template.apply(&values)), fault: None },
        Err(error) => TemplatePart { prompt: None, fault: Some(error.to_string()) },
    };
    page::render(&headers, &part)
}

/// LoRAs that fit the words, those that are here first.
async fn choices(registry: &Registry, words: &str) -> lorakeep_registry::Result<Vec<Choice>> {
    let only = |value: &str| Selection { any: vec![value.to_owned()], ..Selection::default() };
    let selections = [(Dimension::Folder, only("loras")), (Dimension::Status, only("present"))];
    let filter = EntryFilter { text: searchable_part(words).to_owned(), selections: selections.into() };
    let query = EntryQuery { filter, limit: Some(CHOICES as u32), ..EntryQuery::default() };
    let found = registry.entries(query).await?;
    Ok(found.items.iter().map(Choice::new).collect())
}

fn files(state: &StyleState) -> Vec<FileRow> {
    let row = |own: &lorakeep_registry::StyleFileState| FileRow {
        role: own.role().as_str(),
        name: own.path().to_string(),
        link: own.entry.as_ref().map(|entry| format!("/entries/{}", entry.id)),
        strength: own.file.strength,
        is_present: own.is_present,
    };
    state.files.iter().map(row).collect()
}

impl Choice {
    fn new(state: &EntryState) -> Self {
        let document = &state.entry.document;
        let pair = document.some_text("pair_id").map(|_| document.text("pair_role"));
        let detail = [Some(document.base_model()), pair, Some(state.entry.path.file.as_str())];
        let detail = detail.into_iter().flatten().filter(|text| !text.is_empty());
        Self {
            id: state.entry.id.to_string(),
            name: document.name().to_owned(),
            detail: detail.collect::<Vec<_>>().join(" · "),
        }
    }
}

impl Source {
    /// The pair, when an entry has its other half here; else the entry alone.
    fn of(registry: &Registry, state: &EntryState) -> Self {
        let document = &state.entry.document;
        let pair = document.some_text("pair_id");
        match (pair, registry.pair_partner(&state.entry)) {
            (Some(pair), Some(other)) => Self {
                field: "pair",
                value: pair.to_owned(),
                shown: format!("{} and {}", state.entry.path.file, other.path.file),
            },
            _ => Self {
                field: "entry",
                value: state.entry.id.to_string(),
                shown: state.entry.path.to_string(),
            },
        }
    }
}

impl Form {
    async fn of_entry(
        registry: &Registry,
        state: &EntryState,
        is_pair: bool,
    ) -> lorakeep_registry::Result<Self> {
        let roles: &[PairRole] = if is_pair { &[PairRole::High, PairRole::Low] } else { &[PairRole::Both] };
        let document = &state.entry.document;
        let name = document.some_text("civitai_model_name").unwrap_or_else(|| document.name()).to_owned();
        Ok(Self {
            name,
            slug: String::new(),
            description: String::new(),
            template: String::new(),
            denoise_strength: String::new(),
            guidance_scale: String::new(),
            steps: String::new(),
            strengths: roles.iter().map(|role| Strength { role: role.as_str(), value: 1.0 }).collect(),
            teams: teams(registry, None).await?,
            is_public: true,
            pictures: pictures(registry, state).await?,
            words: trigger_words(state).join(", "),
        })
    }

    async fn of_style(registry: &Registry, state: &StyleState) -> lorakeep_registry::Result<Self> {
        let style: &Style = &state.style;
        let shown = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let entry = state.files.iter().find_map(|file| file.entry.as_ref());
        let pictures = match entry {
            Some(entry) => pictures(registry, &registry.entry_state(entry.id)?).await?,
            None => Vec::new(),
        };
        let strength = |own: &lorakeep_registry::StyleFileState| Strength {
            role: own.role().as_str(),
            value: own.file.strength,
        };
        Ok(Self {
            name: style.name.clone(),
            slug: style.slug.clone(),
            description: style.description.clone().unwrap_or_default(),
            template: style
                .template
                .as_ref()
                .map(|template| template.as_str().to_owned())
                .unwrap_or_default(),
            denoise_strength: shown(style.defaults.denoise_strength),
            guidance_scale: shown(style.defaults.guidance_scale),
            steps: style.defaults.steps.map(|steps| steps.to_string()).unwrap_or_default(),
            strengths: state.files.iter().map(strength).collect(),
            teams: teams(registry, Some(style)).await?,
            is_public: style.audience.team().is_none(),
            pictures,
            words: state.trigger_words.join(", "),
        })
    }
}

async fn teams(
    registry: &Registry,
    style: Option<&Style>,
) -> lorakeep_registry::Result<Vec<(String, String, bool)>> {
    let own = style.and_then(|style| style.audience.team());
    let row = |team: Team| (team.id.to_string(), team.name, own == Some(team.id));
    Ok(registry.list_teams().await?.into_iter().map(row).collect())
}

async fn pictures(registry: &Registry, state: &EntryState) -> lorakeep_registry::Result<Vec<u64>> {
    let gallery = registry.gallery_of_entry(&state.entry, GalleryFilter::default()).await?;
    Ok(gallery.images.iter().map(|image| image.id).take(CHOICES).collect())
}

impl NewStylePage {
    /// Where the body begins that makes a style of that source.
    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn body(&self, source: &Source) -> String {
        serde_json::json!({ source.field: source.value }).to_string()
    }
}
