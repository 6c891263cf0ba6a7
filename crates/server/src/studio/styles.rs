//! Styles of the public API: made, shown, changed, deleted and brought back.

use axum::extract::{Request, State};
use axum::routing::{get, post, put};
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::domain::{GenerationSettings, StyleAudience, StyleStrengths};
use lorakeep_registry::{MAX_PREVIEW_BYTES, NewStyle, StyleChange, StyleFilter, StyleSource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{self, FileName, Json, PageQuery, Query, bool_of, whole_number};
use super::multipart;
use super::views::{PageView, StyleView};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/styles", get(list).post(create))
        .route("/api/admin/styles/{style}", get(show).patch(change).delete(delete))
        .route("/api/admin/styles/{style}/restore", post(restore))
        .route("/api/admin/styles/{style}/preview", put(set_preview).delete(remove_preview))
}

pub(super) fn operations() -> Vec<Operation> {
    const PICTURE: &[(&str, &str, bool, bool)] = &[("file", "A picture", true, true)];
    tagged(
        "Styles of the public API",
        [
            Operation::get("/api/admin/styles", "Styles, the newest first")
                .query::<StylesQuery>()
                .json::<PageView<StyleView>>()
                .refuses([404]),
            Operation::post("/api/admin/styles", "Makes a style of an entry or a pair")
                .body::<NewStyleBody>(json!({"name": "Golden hour", "entry": "$ENTRY", "is_public": true}))
                .json::<StyleView>()
                .refuses([404, 409]),
            Operation::get("/api/admin/styles/{style}", "One style").json::<StyleView>(),
            Operation::patch("/api/admin/styles/{style}", "Changes a style; null takes a value away")
                .body::<StyleBody>(json!({"description": "Warm light", "default_steps": 20}))
                .json::<StyleView>()
                .refuses([409]),
            Operation::delete("/api/admin/styles/{style}", "Deletes a style; it can be restored")
                .query::<DeleteQuery>()
                .json::<StyleView>(),
            Operation::post("/api/admin/styles/{style}/restore", "Brings a deleted style back")
                .json::<StyleView>()
                .refuses([409]),
            Operation::put("/api/admin/styles/{style}/preview", "Gives a style a picture")
                .form(PICTURE, json!({"file": "@$PICTURE"}))
                .json::<StyleView>()
                .refuses([411]),
            Operation::delete("/api/admin/styles/{style}/preview", "Takes the picture away")
                .json::<StyleView>(),
        ],
    )
}

/// Which styles; what is empty counts as absent.
#[derive(Debug, Deserialize, JsonSchema)]
struct StylesQuery {
    /// Words in name, slug or description.
    q: Option<String>,
    /// For that base model, or one that shares LoRAs with it.
    base_model: Option<String>,
    /// For that team alone, by id or name.
    team: Option<String>,
    /// Public ones, or those of teams alone.
    public: Option<String>,
    /// Those that were deleted.
    #[serde(default, deserialize_with = "extract::flag")]
    deleted: bool,
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn list(
    State(app): AppState,
    Query(query): Query<StylesQuery>,
) -> Result<JsonBody<PageView<StyleView>>, Refusal> {
    let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let team = match some(query.team) {
        Some(team) => Some(app.registry().load_team(&team).await?.id),
        None => None,
    };
    let filter = StyleFilter {
        words: some(query.q).as_deref().map(StyleFilter::words_of).unwrap_or_default(),
        base_model: some(query.base_model),
        is_exact: false,
        is_public: some(query.public).map(|text| public_flag(&text)).transpose()?,
        team,
        is_deleted: query.deleted,
    };
    let page = PageQuery::new(query.limit, query.cursor).into();
    let styles = app.registry().list_styles(&filter, &page).await?;
    Ok(JsonBody(PageView::new(styles, StyleView::from)))
}

fn public_flag(text: &str) -> Result<bool, Refusal> {
    let loc = || vec!["query".into(), "public".into()];
    let msg = "Input should be a valid boolean, unable to interpret input";
    bool_of(text).ok_or_else(|| Refusal::unreadable(loc(), msg, "bool_parsing"))
}

async fn show(State(app): AppState, FileName(style): FileName) -> Result<JsonBody<StyleView>, Refusal> {
    Ok(JsonBody(app.registry().load_style(&style).await?.into()))
}

/// How strongly the files of each role are applied, -10 to 10.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StrengthsBody {
    high: Option<f64>,
    low: Option<f64>,
    both: Option<f64>,
}

impl StrengthsBody {
    /// These, and `all` for roles that they do not name.
    fn or_all(self, all: Option<f64>) -> StyleStrengths {
        let Self { high, low, both } = self;
        StyleStrengths { high, low, both }.or(StyleStrengths::all(all))
    }
}

/// A new style: of `entry`, of `pair`, or of `high` and `low`, `is_public` or for a `team`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewStyleBody {
    name: String,
    /// An entry by its id, its file name, or folder and file name.
    entry: Option<String>,
    /// A pair by its id.
    pair: Option<String>,
    /// Two entries, for the high- and the low-noise model.
    high: Option<String>,
    low: Option<String>,
    is_public: Option<bool>,
    /// A team by its id or name.
    team: Option<String>,
    slug: Option<String>,
    description: Option<String>,
    default_denoise_strength: Option<f64>,
    default_guidance_scale: Option<f64>,
    #[serde(default, deserialize_with = "whole_number")]
    default_steps: Option<u32>,
    template: Option<String>,
    /// For every file that `strengths` does not name.
    strength: Option<f64>,
    #[serde(default)]
    strengths: StrengthsBody,
    /// An image of the gallery that shows it.
    gallery_image: Option<Value>,
}

async fn create(
    State(app): AppState,
    Json(body): Json<NewStyleBody>,
) -> Result<JsonBody<StyleView>, Refusal> {
    let source = source(body.entry, body.pair, (body.high, body.low))?
        .ok_or_else(|| bad("source", "say what the style is of: `entry`, `pair`, or `high` and `low`"))?;
    let audience = audience(&app, body.is_public, body.team.as_deref()).await?;
    let audience =
        audience.ok_or_else(|| bad("audience", "say who may see the style: `is_public` or a `team`"))?;
    let new = NewStyle {
        name: body.name,
        source,
        audience,
        slug: body.slug,
        description: body.description,
        defaults: GenerationSettings {
            denoise_strength: body.default_denoise_strength,
            guidance_scale: body.default_guidance_scale,
            steps: body.default_steps,
        },
        template: body.template,
        strengths: body.strengths.or_all(body.strength),
        gallery_image: body.gallery_image.as_ref().map(image_id).transpose()?,
    };
    Ok(JsonBody(app.registry().create_style(new).await?.into()))
}

/// What is absent stays; `null` takes a value away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent stays, null takes away")]
struct StyleBody {
    name: Option<String>,
    entry: Option<String>,
    pair: Option<String>,
    high: Option<String>,
    low: Option<String>,
    is_public: Option<bool>,
    team: Option<String>,
    slug: Option<String>,
    #[serde(default, deserialize_with = "extract::present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "extract::present")]
    default_denoise_strength: Option<Option<f64>>,
    #[serde(default, deserialize_with = "extract::present")]
    default_guidance_scale: Option<Option<f64>>,
    #[serde(default, deserialize_with = "present_whole_number")]
    default_steps: Option<Option<u32>>,
    #[serde(default, deserialize_with = "extract::present")]
    template: Option<Option<String>>,
    strength: Option<f64>,
    #[serde(default)]
    strengths: StrengthsBody,
    #[serde(default, deserialize_with = "extract::present")]
    gallery_image: Option<Option<Value>>,
}

#[expect(clippy::option_option, reason = "absent stays, null takes away")]
fn present_whole_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<u32>>, D::Error> {
    whole_number(deserializer).map(Some)
}

async fn change(
    State(app): AppState,
    FileName(style): FileName,
    Json(body): Json<StyleBody>,
) -> Result<JsonBody<StyleView>, Refusal> {
    let image = |image: Option<Value>| image.as_ref().map(image_id).transpose();
    let change = StyleChange {
        name: body.name,
        slug: body.slug,
        description: body.description,
        audience: audience(&app, body.is_public, body.team.as_deref()).await?,
        source: source(body.entry, body.pair, (body.high, body.low))?,
        denoise_strength: body.default_denoise_strength,
        guidance_scale: body.default_guidance_scale,
        steps: body.default_steps,
        template: body.template,
        strengths: body.strengths.or_all(body.strength),
        gallery_image: body.gallery_image.map(image).transpose()?,
    };
    Ok(JsonBody(app.registry().change_style(&style, change).await?.into()))
}

fn source(
    entry: Option<String>,
    pair: Option<String>,
    halves: (Option<String>, Option<String>),
) -> Result<Option<StyleSource>, Refusal> {
    match (entry, pair, halves) {
        (None, None, (None, None)) => Ok(None),
        (Some(entry), None, (None, None)) => Ok(Some(StyleSource::Entry(entry))),
        (None, Some(pair), (None, None)) => Ok(Some(StyleSource::Pair(pair))),
        (None, None, (Some(high), Some(low))) => Ok(Some(StyleSource::Halves { high, low })),
        _ => Err(bad("source", "a style is of one `entry`, of one `pair`, or of `high` and `low` together")),
    }
}

async fn audience(
    app: &App,
    is_public: Option<bool>,
    team: Option<&str>,
) -> Result<Option<StyleAudience>, Refusal> {
    match (is_public, team) {
        (None, None) => Ok(None),
        (Some(true), None) | (Some(false) | None, Some(_)) => {
            Ok(Some(app.registry().audience_of(team).await?))
        }
        (Some(true), Some(_)) => Err(bad("audience", "a style is public or for a `team`, and not both")),
        (Some(false), None) => Err(bad("audience", "a style that is not public needs a `team`")),
    }
}

fn bad(code: &'static str, detail: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, detail)
}

/// An id of the gallery as number or text.
fn image_id(value: &Value) -> Result<u64, Refusal> {
    let id = value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    let loc = || vec!["body".into(), "gallery_image".into()];
    id.ok_or_else(|| Refusal::unreadable(loc(), "Input should be a valid integer", "int_parsing"))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "DeleteStyleQuery")]
struct DeleteQuery {
    /// For good.
    #[serde(default, deserialize_with = "extract::flag")]
    purge: bool,
}

async fn delete(
    State(app): AppState,
    FileName(style): FileName,
    Query(query): Query<DeleteQuery>,
) -> Result<JsonBody<StyleView>, Refusal> {
    let deleted = if query.purge {
        app.registry().purge_style(&style).await?
    } else {
        app.registry().delete_style(&style).await?
    };
    Ok(JsonBody(deleted.into()))
}

async fn restore(State(app): AppState, FileName(style): FileName) -> Result<JsonBody<StyleView>, Refusal> {
    Ok(JsonBody(app.registry().restore_style(&style).await?.into()))
}

/// As a form with the field `file`.
async fn set_preview(
    State(app): AppState,
    FileName(style): FileName,
    request: Request,
) -> Result<JsonBody<StyleView>, Refusal> {
    let picture = multipart::read_file_of(request, "file", MAX_PREVIEW_BYTES).await?;
    Ok(JsonBody(app.registry().set_style_preview(&style, picture).await?.into()))
}

async fn remove_preview(
    State(app): AppState,
    FileName(style): FileName,
) -> Result<JsonBody<StyleView>, Refusal> {
    let change = StyleChange { gallery_image: Some(None), ..StyleChange::default() };
    Ok(JsonBody(app.registry().change_style(&style, change).await?.into()))
}
