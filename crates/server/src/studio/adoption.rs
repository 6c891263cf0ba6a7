//! Taking over the folder of another program: start, look, cancel.

use std::path::PathBuf;

use axum::extract::State;
use axum::routing::post;
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::domain::SidecarFlavour;
use lorakeep_registry::{AdoptionRequest, Error};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::Json;
use super::sidecars::flavour;
use super::views::AdoptionView;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/admin/adopt", post(start).get(show).delete(cancel))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Adoption",
        [
            Operation::post(
                "/api/admin/adopt",
                "Takes over the folder of another program, in the background",
            )
            .body::<AdoptBody>(json!({"path": "$FOLDER", "dry_run": true}))
            .answers::<AdoptionView>(202, "It has begun")
            .refuses([404, 409]),
            Operation::get("/api/admin/adopt", "How the adoption stands").json::<AdoptionView>(),
            Operation::delete("/api/admin/adopt", "Ends the adoption").json::<AdoptionView>(),
        ],
    )
}

/// What to adopt and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AdoptFolderBody")]
struct AdoptBody {
    path: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    unlisted: bool,
    #[serde(default)]
    sidecars: Sidecars,
}

/// Which sidecars are written: none, those of the configuration, or those that are named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "Input should be true, false or a list of flavours")]
#[schemars(rename = "WantedSidecars")]
enum Sidecars {
    Configured(bool),
    Named(Vec<String>),
}

impl Default for Sidecars {
    fn default() -> Self {
        Self::Configured(false)
    }
}

impl Sidecars {
    fn flavours(self, configured: &[SidecarFlavour]) -> Result<Vec<SidecarFlavour>, Error> {
        match self {
            Self::Configured(is_wanted) => Ok(if is_wanted { configured.to_vec() } else { Vec::new() }),
            Self::Named(words) => words.iter().map(flavour).collect(),
        }
    }
}

async fn start(
    State(app): AppState,
    Json(body): Json<AdoptBody>,
) -> Result<(StatusCode, JsonBody<AdoptionView>), Refusal> {
    let registry = app.registry();
    let request = AdoptionRequest {
        path: PathBuf::from(body.path),
        is_dry: body.dry_run,
        unlisted: body.unlisted,
        sidecars: body.sidecars.flavours(&registry.config().sidecars)?,
    };
    let status = registry.start_adoption(request).await?;
    Ok((StatusCode::ACCEPTED, JsonBody(AdoptionView::new(status, registry.hashing()))))
}

async fn show(State(app): AppState) -> JsonBody<AdoptionView> {
    let registry = app.registry();
    JsonBody(AdoptionView::new(registry.adoption(), registry.hashing()))
}

async fn cancel(State(app): AppState) -> JsonBody<AdoptionView> {
    let status = app.registry().cancel_adoption().await;
    JsonBody(AdoptionView::new(status, app.registry().hashing()))
}
