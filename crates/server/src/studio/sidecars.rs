//! Writing sidecars beside the models of entries: start, look, cancel.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as JsonBody, Router};
use http::StatusCode;
use lorakeep_registry::domain::SidecarFlavour;
use lorakeep_registry::{Error, SidecarReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::extract::OptionalJson;
use super::views::time;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/admin/sidecars", post(start).get(show).delete(cancel))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Adoption",
        [
            Operation::post("/api/admin/sidecars", "Writes sidecars beside models, in the background")
                .optional_body::<SidecarsBody>(
                    json!({"filenames": ["$FILENAME"], "flavours": ["civitai_info"]}),
                )
                .answers::<SidecarsView>(202, "It has begun")
                .refuses([404, 409]),
            Operation::get("/api/admin/sidecars", "How the writing stands")
                .json::<SidecarsView>()
                .refuses([404]),
            Operation::delete("/api/admin/sidecars", "Ends the writing")
                .json::<SidecarsView>()
                .refuses([404]),
        ],
    )
}

/// Beside which files, all present ones when none is named; and which flavours, those of the configuration when none is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SidecarsBody {
    #[serde(default)]
    filenames: Vec<String>,
    #[serde(default)]
    flavours: Vec<String>,
}

/// The run, running or ended.
#[derive(Debug, Serialize, JsonSchema)]
struct SidecarsView {
    is_running: bool,
    started_at: String,
    finished_at: Option<String>,
    flavours: Vec<&'static str>,
    total_files: u64,
    done_files: u64,
    written: u64,
    not_written: u64,
    refusals: Vec<RefusalView>,
    error: Option<String>,
}

/// A sidecar that was left as it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SidecarRefusal")]
struct RefusalView {
    path: String,
    reason: String,
}

impl From<SidecarReport> for SidecarsView {
    fn from(report: SidecarReport) -> Self {
        let refusals = report.refusals.into_iter();
        Self {
            is_running: report.is_running,
            started_at: time(report.started_at),
            finished_at: report.finished_at.map(time),
            flavours: report.flavours.iter().map(|flavour| flavour.as_str()).collect(),
            total_files: report.total_files,
            done_files: report.done_files,
            written: report.written,
            not_written: report.not_written,
            refusals: refusals.map(|own| RefusalView { path: own.path, reason: own.reason }).collect(),
            error: report.error,
        }
    }
}

/// The flavour of a word.
pub(super) fn flavour(word: &String) -> Result<SidecarFlavour, Error> {
    SidecarFlavour::parse(word).ok_or_else(|| {
        let known = SidecarFlavour::ALL.map(|flavour| format!("`{}`", flavour.as_str())).join(", ");
        Error::invalid(
            "unknown_flavour",
            "sidecars",
            format!("`{word}` is no flavour of sidecars; they are {known}"),
        )
    })
}

async fn start(
    State(app): AppState,
    OptionalJson(body): OptionalJson<SidecarsBody>,
) -> Result<(StatusCode, JsonBody<SidecarsView>), Refusal> {
    let flavours = body.flavours.iter().map(flavour).collect::<Result<_, _>>()?;
    let report = app.registry().start_sidecars(&body.filenames, flavours).await?;
    Ok((StatusCode::ACCEPTED, JsonBody(report.into())))
}

async fn show(State(app): AppState) -> Result<JsonBody<SidecarsView>, Refusal> {
    Ok(JsonBody(app.registry().sidecar_report()?.into()))
}

async fn cancel(State(app): AppState) -> Result<JsonBody<SidecarsView>, Refusal> {
    Ok(JsonBody(app.registry().cancel_sidecars().await?.into()))
}
