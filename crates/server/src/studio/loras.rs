//! The LoRA picker: pairs that fit a base model, serialised once for each base model until a pair changes.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use lorakeep_registry::domain::{LoraPair, Match, PairFile};
use lorakeep_registry::{Error, PairsTag, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{self, FileName, Query};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/admin/loras/compatible/{base_model}", get(compatible))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Styles",
        [Operation::get(
            "/api/admin/loras/compatible/{base_model}",
            "Pairs of style LoRAs that fit a base model",
        )
        .query::<CompatibleQuery>()
        .json::<Vec<PairView<'_>>>()],
    )
}

/// How base models are compared.
#[derive(Debug, Deserialize, JsonSchema)]
struct CompatibleQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    exact: bool,
}

/// The word for every pair.
const ALL: &str = "all";
/// Bytes of all kept answers together; more than a studio's base models need, and a bound for names that nobody has.
const MOST_BYTES: usize = 4 << 20;

async fn compatible(
    State(app): AppState,
    FileName(base_model): FileName,
    Query(query): Query<CompatibleQuery>,
) -> Result<Response, Refusal> {
    let wanted = Wanted { base_model, is_exact: query.exact };
    let pairs = &app.studio().pairs;
    // Read before the pairs are: an answer may be newer than its tag, never older.
    let tag = app.registry().pairs_tag();
    let body = match pairs.find(tag, &wanted) {
        Some(body) => body,
        None => pairs.keep(tag, wanted.clone(), render(app.registry().clone(), wanted).await?),
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted {
    base_model: String,
    is_exact: bool,
}

impl Wanted {
    fn as_match(&self) -> Match<'_> {
        match self.base_model.as_str() {
            ALL => Match::All,
            text if self.is_exact => Match::Exact(text),
            text => Match::Family(text),
        }
    }
}

async fn render(registry: Registry, wanted: Wanted) -> Result<Bytes, Error> {
    let serialise = move || {
        let pairs = registry.compatible_loras(wanted.as_match());
        serde_json::to_vec(&pairs.iter().map(PairView::from).collect::<Vec<_>>())
    };
    let bytes = tokio::task::spawn_blocking(serialise)
        .await
        .map_err(|error| Error::internal("serialising pairs", error))?
        .map_err(|error| Error::internal("serialising pairs", error))?;
    Ok(bytes.into())
}

/// The answers that were given since a pair changed last.
#[derive(Debug, Default)]
pub(super) struct Pairs(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    tag: PairsTag,
    answers: HashMap<Wanted, Bytes>,
    bytes: usize,
}

impl Pairs {
    fn find(&self, tag: PairsTag, wanted: &Wanted) -> Option<Bytes> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kept.answers.get(wanted).filter(|_| kept.tag == tag).cloned()
    }

    /// Answers it again.
    fn keep(&self, tag: PairsTag, wanted: Wanted, body: Bytes) -> Bytes {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let size = wanted.base_model.len() + body.len();
        if kept.tag != tag || kept.bytes + size > MOST_BYTES {
            *kept = Kept { tag, ..Kept::default() };
        }
        if size <= MOST_BYTES && kept.answers.insert(wanted, body.clone()).is_none() {
            kept.bytes += size;
        }
        body
    }
}

/// One style with its variants; the paths are what ComfyUI's loader wants.
#[derive(Debug, Serialize, JsonSchema)]
struct PairView<'a> {
    pair_id: &'a str,
    name: &'a str,
    high: Option<&'a str>,
    low: Option<&'a str>,
    both: Option<&'a str>,
    high_path: Option<&'a str>,
    low_path: Option<&'a str>,
    both_path: Option<&'a str>,
}

impl<'a> From<&'a LoraPair> for PairView<'a> {
    fn from(pair: &'a LoraPair) -> Self {
        let parts = |file: &'a Option<PairFile>| file.as_ref().map(|file| (&*file.file, &*file.path)).unzip();
        let (high, high_path) = parts(&pair.high);
        let (low, low_path) = parts(&pair.low);
        let (both, both_path) = parts(&pair.both);
        Self { pair_id: &pair.pair_id, name: &pair.name, high, low, both, high_path, low_path, both_path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(base_model: &str) -> Wanted {
        Wanted { base_model: base_model.to_owned(), is_exact: false }
    }

    #[test]
    fn answers_are_kept_until_a_pair_changes_and_never_beyond_their_bound() {
        let (pairs, tag) = (Pairs::default(), PairsTag::default());
        let half = Bytes::from(vec![b' '; MOST_BYTES / 2 - 100]);
        pairs.keep(tag, wanted("a"), half.clone());
        pairs.keep(tag, wanted("b"), half.clone());
        assert!(pairs.find(tag, &wanted("a")).is_some() && pairs.find(tag, &wanted("b")).is_some());
        pairs.keep(tag, wanted("c"), half);
        assert!(pairs.find(tag, &wanted("a")).is_none(), "there was no room for three");
        assert!(pairs.find(tag, &wanted("c")).is_some());
        pairs.keep(tag, wanted("d"), Bytes::from(vec![b' '; MOST_BYTES]));
        assert!(pairs.find(tag, &wanted("d")).is_none(), "one that fills everything is not kept");
    }
}
