//! The LoRA picker: pairs that fit a base model.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as JsonBody, Router};
use lorakeep_registry::domain::{LoraPair, Match, PairFile};
use serde::{Deserialize, Serialize};

use super::extract::{self, FileName, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/admin/loras/compatible/{base_model}", get(compatible))
}

/// How base models are compared.
#[derive(Debug, Deserialize)]
struct CompatibleQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    exact: bool,
}

/// The word for every pair.
const ALL: &str = "all";

async fn compatible(
    State(app): AppState,
    FileName(base_model): FileName,
    Query(query): Query<CompatibleQuery>,
) -> Result<JsonBody<Vec<PairView>>, Refusal> {
    let wanted = match base_model.as_str() {
        ALL => Match::All,
        text if query.exact => Match::Exact(text),
        text => Match::Family(text),
    };
    let pairs = app.registry().compatible_loras(wanted);
    Ok(JsonBody(pairs.into_iter().map(PairView::from).collect()))
}

/// One style with its variants; the paths are what ComfyUI's loader wants.
#[derive(Debug, Serialize)]
struct PairView {
    pair_id: String,
    name: String,
    high: Option<String>,
    low: Option<String>,
    both: Option<String>,
    high_path: Option<String>,
    low_path: Option<String>,
    both_path: Option<String>,
}

impl From<LoraPair> for PairView {
    fn from(pair: LoraPair) -> Self {
        let parts = |file: Option<PairFile>| file.map(|file| (file.file, file.path)).unzip();
        let (high, high_path) = parts(pair.high);
        let (low, low_path) = parts(pair.low);
        let (both, both_path) = parts(pair.both);
        Self { pair_id: pair.pair_id, name: pair.name, high, low, both, high_path, low_path, both_path }
    }
}
