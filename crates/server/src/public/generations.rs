//! Pictures of styles: asked for, looked at, ended, fetched. All of them are the team's alone.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lorakeep_registry::domain::{GenerationSettings, TeamScope};
use lorakeep_registry::{
    GeneratedImage, Generation, GenerationRequest, Page, PageRequest, RenderRequest, shown_generation_id,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::PublicCaller;
use super::envelope::{Head, PublicRefusal, Whole};
use super::loras::base_of;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::evaluation::picture;
use crate::extract::{FileName, Json, PageQuery, Query, whole_number};
use crate::openapi::{Extra, Operation, tagged};
use crate::problem::Problem;
use crate::uploaded::second;

/// The header by which a request that is sent twice is taken on once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(super) fn operations() -> Vec<Operation> {
    let once = "A request that is sent twice with the same key is taken on once";
    tagged(
        "Generations",
        [
            Operation::post("/v1/generations", "Makes pictures of a style")
                .takes(Extra::header("Idempotency-Key", once))
                .body::<GenerationBody>(json!({"lora": "$STYLE", "prompt": "a lighthouse at dusk"}))
                .answers::<GenerationView>(202, "It is queued")
                .refuses([404, 409, 502, 503]),
            Operation::get("/v1/generations", "The team's generations, the newest first")
                .query::<PageQuery>()
                .json::<GenerationsView>(),
            Operation::get("/v1/generations/{id}", "One generation as it is now").json::<GenerationView>(),
            Operation::post("/v1/generations/{id}/cancel", "Ends a generation; pictures that came stay")
                .json::<GenerationView>()
                .refuses([409]),
            Operation::get("/v1/generations/{id}/images/{place}", "One picture")
                .bytes("image/png", "The picture"),
        ],
    )
}

/// What is to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerationBody {
    /// The style, by id or slug.
    lora: String,
    /// What the picture shall show.
    prompt: String,
    /// What it shall not show.
    #[serde(default)]
    negative_prompt: String,
    /// How many pictures, 1 to 4, each with the next seed.
    #[serde(default, deserialize_with = "whole_number")]
    images: Option<u32>,
    /// Where chance begins; chosen when absent.
    seed: Option<u64>,
    /// Pixels, a multiple of 8 from 64 to 2048.
    #[serde(default, deserialize_with = "whole_number")]
    width: Option<u32>,
    /// Pixels, a multiple of 8 from 64 to 2048.
    #[serde(default, deserialize_with = "whole_number")]
    height: Option<u32>,
    /// Strength of denoising, 0 to 1; for workflows that begin with a picture.
    denoise_strength: Option<f64>,
    /// Scale of classifier-free guidance, 0.1 to 30.
    guidance_scale: Option<f64>,
    /// Steps of diffusion, 1 to 100.
    #[serde(default, deserialize_with = "whole_number")]
    steps: Option<u32>,
    /// What the strengths of the LoRAs are multiplied with, -10 to 10.
    strength: Option<f64>,
}

impl From<GenerationBody> for GenerationRequest {
    fn from(body: GenerationBody) -> Self {
        let GenerationBody { denoise_strength, guidance_scale, steps, .. } = body;
        let settings = GenerationSettings { denoise_strength, guidance_scale, steps };
        Self {
            style: body.lora,
            render: RenderRequest { prompt: body.prompt, settings, strength: body.strength },
            negative_prompt: body.negative_prompt,
            images: body.images.unwrap_or(1),
            seed: body.seed,
            width: body.width,
            height: body.height,
        }
    }
}

/// A generation as its team sees it. Every field is always there.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GenerationView {
    /// `gen_` and 32 digits.
    id: String,
    /// `queued`, `running`, `completed`, `failed` or `cancelled`.
    status: &'static str,
    /// The id of the style.
    lora: String,
    /// The prompt with the style's template applied.
    prompt: String,
    /// What the pictures shall not show.
    negative_prompt: String,
    /// The first picture's seed.
    seed: u64,
    /// Scale of guidance; null is the workflow's own.
    guidance_scale: Option<f64>,
    /// Steps of diffusion; null is the workflow's own.
    steps: Option<u32>,
    /// Pixels; null is the workflow's own.
    width: Option<u32>,
    /// Pixels; null is the workflow's own.
    height: Option<u32>,
    /// How far it is.
    progress: ProgressView,
    /// One a picture that was asked for.
    images: Vec<ImageView>,
    /// Why it failed; else null.
    error: Option<FailureView>,
    /// When it was asked for.
    created_at: String,
    /// When the generator's turn came; null while it waits.
    started_at: Option<String>,
    /// When it was over; null before.
    finished_at: Option<String>,
}

/// How far a generation is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProgressView {
    /// Pictures that came or failed.
    done: usize,
    /// Pictures that were asked for.
    total: usize,
    /// How many generations wait before it; null when it does not wait.
    queue_position: Option<u64>,
}

/// One picture.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ImageView {
    /// Where it is fetched, with the team's key; null until it came.
    url: Option<String>,
    /// Its seed.
    seed: u64,
    /// Of the file; null until it came.
    sha256: Option<String>,
    /// Why it did not come; else null.
    error: Option<String>,
}

/// Why a generation failed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FailureView {
    /// A stable word for programs.
    code: String,
    /// A text for people.
    message: String,
}

/// A page of generations.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOfGeneration")]
pub(crate) struct GenerationsView {
    /// The newest first.
    items: Vec<GenerationView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
    /// On all pages.
    total: u64,
}

impl GenerationView {
    fn new(generation: Generation, base: &str) -> Self {
        let id = shown_generation_id(generation.id);
        let done = generation.images.iter().filter(|image| image.sha256.is_some() || image.error.is_some());
        let progress = ProgressView {
            done: done.count(),
            total: generation.images.len(),
            queue_position: generation.queue_position,
        };
        let image = |image: GeneratedImage| {
            let url = format!("{base}/v1/generations/{id}/images/{}", image.place);
            ImageView {
                url: image.sha256.is_some().then_some(url),
                seed: image.seed,
                sha256: image.sha256,
                error: image.error,
            }
        };
        let plan = generation.plan;
        Self {
            status: generation.state.as_str(),
            images: generation.images.into_iter().map(image).collect(),
            id,
            lora: plan.style,
            prompt: plan.prompt,
            negative_prompt: plan.negative_prompt,
            seed: plan.seed,
            guidance_scale: plan.guidance_scale,
            steps: plan.steps,
            width: plan.width,
            height: plan.height,
            progress,
            error: generation.error.map(|(code, message)| FailureView { code, message }),
            created_at: second(generation.created_at),
            started_at: generation.started_at.map(second),
            finished_at: generation.finished_at.map(second),
        }
    }
}

pub(super) async fn create(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    parts: Parts,
    Whole(Json(body)): Whole<Json<GenerationBody>>,
) -> Result<Response, PublicRefusal> {
    let team = caller.require(TeamScope::Generate)?.team_id;
    let key = only_key(&parts.headers)?;
    let (generation, is_replayed) = app.registry().generate(team, body.into(), key).await?;
    let view = GenerationView::new(generation, &base_of(&app, &parts));
    let location = [(LOCATION, format!("/v1/generations/{}", view.id))];
    let mut response = (StatusCode::ACCEPTED, location, JsonBody(view)).into_response();
    if is_replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The key that names the request; two of them could be read differently by a proxy.
fn only_key(headers: &HeaderMap) -> Result<Option<&str>, PublicRefusal> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (first, second) = (keys.next(), keys.next());
    let Some(first) = first else { return Ok(None) };
    match first.to_str() {
        Ok(key) if second.is_none() => Ok(Some(key)),
        _ => {
            let detail = "send one `Idempotency-Key` of 1 to 255 visible ASCII characters";
            Err(Problem::new(StatusCode::BAD_REQUEST, "bad_idempotency_key", detail).into())
        }
    }
}

pub(super) async fn list(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Head(Query(query)): Head<Query<PageQuery>>,
    parts: Parts,
) -> Result<JsonBody<GenerationsView>, PublicRefusal> {
    let team = caller.require(TeamScope::Generate)?.team_id;
    let Page { items, next_cursor, total } =
        app.registry().list_generations(team, &PageRequest::from(query)).await?;
    let base = base_of(&app, &parts);
    let items = items.into_iter().map(|generation| GenerationView::new(generation, &base)).collect();
    Ok(JsonBody(GenerationsView { items, next_cursor, total }))
}

pub(super) async fn show(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Head(FileName(id)): Head<FileName>,
    parts: Parts,
) -> Result<JsonBody<GenerationView>, PublicRefusal> {
    let team = caller.require(TeamScope::Generate)?.team_id;
    let generation = app.registry().generation(team, &id).await?;
    Ok(JsonBody(GenerationView::new(generation, &base_of(&app, &parts))))
}

pub(super) async fn cancel(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Head(FileName(id)): Head<FileName>,
    parts: Parts,
) -> Result<JsonBody<GenerationView>, PublicRefusal> {
    let team = caller.require(TeamScope::Generate)?.team_id;
    let generation = app.registry().cancel_generation(team, &id).await?;
    Ok(JsonBody(GenerationView::new(generation, &base_of(&app, &parts))))
}

/// A picture, for the owning team only: no cache in between may keep it.
pub(super) async fn image(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Path((id, place)): Path<(String, String)>,
) -> Result<Response, PublicRefusal> {
    let team = caller.require(TeamScope::Generate)?.team_id;
    let place = place.parse().map_err(|_| Refusal::path_not_found())?;
    let mut response = picture(app.registry().generation_image(team, &id, place).await?).await?;
    let own = response.headers_mut();
    own.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=604800, immutable"));
    Ok(response)
}
