//! What both surfaces make of an evaluation: the faults of a request, the status of an answer, a page of a list.

use axum::Json;
use http::StatusCode;
use lorakeep_registry::{EvaluationAnswer, EvaluationHealth, EvaluationRequest, Page};
use serde::Serialize;
use serde_json::json;

use crate::envelope::{Refusal, Unreadable};

/// A page of evaluations (decision 24).
#[derive(Debug, Serialize)]
pub(crate) struct EvaluationsView {
    items: Vec<EvaluationAnswer>,
    next_cursor: Option<String>,
    total: u64,
}

impl From<Page<EvaluationAnswer>> for EvaluationsView {
    fn from(page: Page<EvaluationAnswer>) -> Self {
        Self { items: page.items, next_cursor: page.next_cursor, total: page.total }
    }
}

/// Refuses a request that cannot be meant, every fault with its place as FastAPI gives it.
pub(crate) fn refuse_faults(request: &EvaluationRequest) -> Result<(), Refusal> {
    if request.evaluation_id.is_some() {
        return Ok(());
    }
    let unreadable = |fault: lorakeep_registry::RequestFault| {
        let path = fault.path.iter().map(|step| json!(step));
        let loc = std::iter::once(json!("body")).chain(path).collect();
        Unreadable { loc, msg: fault.message, kind: fault.kind }
    };
    let faults: Vec<Unreadable> = request.faults().into_iter().map(unreadable).collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Unreadable(faults)) }
}

/// 202 while more comes.
pub(crate) fn answered(answer: EvaluationAnswer) -> (StatusCode, Json<EvaluationAnswer>) {
    let status = if answer.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(answer))
}

/// 503 only when the service itself cannot evaluate.
pub(crate) fn healthy(health: EvaluationHealth) -> (StatusCode, Json<EvaluationHealth>) {
    let is_down = health.status == "unavailable";
    let status = if is_down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(health))
}
