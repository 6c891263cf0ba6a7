//! What is there: the list, and what one file says of itself.

use axum::Json;
use axum::extract::{Extension, State};
use lorakeep_registry::domain::{Caller, Right};
use lorakeep_registry::{FileFacts, LoraFilter, PageRequest};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::ListView;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::extract::{PageQuery, Query, flag};
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "LoRAs",
        [
            Operation::get("/api/v1/admin/lora", "Lists LoRAs").query::<ListQuery>().json::<ListView>(),
            Operation::get("/api/v1/admin/lora/facts", "What a file says of itself")
                .about("`hashes=true` reads the whole file for its hashes, unless they are known.")
                .query::<FactsQuery>()
                .example_query("partial_path=$PARTIAL_PATH")
                .json::<FileFacts>()
                .refuses([404, 503]),
            Operation::get("/api/v1/admin/lora/file", "The bytes of a LoRA")
                .query::<FileQuery>()
                .example_query("partial_path=$PARTIAL_PATH")
                .by_range("application/octet-stream")
                .refuses([404]),
        ],
    )
}

/// Which LoRAs, and which page of them.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    entity_type: Option<String>,
    name: Option<String>,
    base_model: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// One file.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FileQuery {
    pub(super) partial_path: String,
}

/// One file, and whether all its hashes are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FactsQuery {
    partial_path: String,
    #[serde(default, deserialize_with = "flag")]
    hashes: bool,
}

pub(super) async fn list(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListView>, Refusal> {
    caller.require(Right::Read)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = LoraFilter {
        entity_type: given(query.entity_type),
        name: given(query.name),
        base_model: given(query.base_model),
    };
    let page = PageRequest::from(PageQuery::new(query.limit, query.cursor));
    Ok(Json(ListView::new(app.registry().list_loras(&filter, &page)?, app.registry())))
}

pub(super) async fn facts(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Query(query): Query<FactsQuery>,
) -> Result<Json<FileFacts>, Refusal> {
    caller.require(Right::Read)?;
    Ok(Json(app.registry().lora_facts(&query.partial_path, query.hashes).await?))
}
