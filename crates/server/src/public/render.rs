//! What a generator needs of a style.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::{Extension, State};
use lorakeep_registry::RenderRequest;
use lorakeep_registry::domain::{GenerationSettings, TeamScope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::PublicCaller;
use super::envelope::{Head, PublicRefusal, Whole};
use super::views::RenderView;
use crate::app::AppState;
use crate::extract::{FileName, Json, whole_number};

/// What a picture shall show, and what stands in the place of the style's defaults.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenderBody {
    /// What the picture shall show.
    prompt: String,
    /// Strength of denoising, 0 to 1.
    denoise_strength: Option<f64>,
    /// Scale of classifier-free guidance, 0.1 to 30.
    guidance_scale: Option<f64>,
    /// Steps of diffusion, 1 to 100.
    #[serde(default, deserialize_with = "whole_number")]
    steps: Option<u32>,
    /// What the strengths of the LoRAs are multiplied with, -10 to 10.
    strength: Option<f64>,
}

impl From<RenderBody> for RenderRequest {
    fn from(body: RenderBody) -> Self {
        let RenderBody { prompt, denoise_strength, guidance_scale, steps, strength } = body;
        Self { prompt, settings: GenerationSettings { denoise_strength, guidance_scale, steps }, strength }
    }
}

/// Changes nothing, so it may be repeated at will.
pub(super) async fn render(
    State(app): AppState,
    Extension(caller): Extension<Arc<PublicCaller>>,
    Head(FileName(name)): Head<FileName>,
    Whole(Json(body)): Whole<Json<RenderBody>>,
) -> Result<JsonBody<RenderView>, PublicRefusal> {
    let team = caller.require(TeamScope::Generate)?.team_id;
    Ok(JsonBody(app.registry().render_style(&name, team, body.into()).await?.into()))
}
