//! What both surfaces make of an evaluation: the faults of a request, the status of an answer, a page of a list.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use lorakeep_registry::{Error, EvaluationAnswer, EvaluationHealth, EvaluationRequest, MediaFile, Page};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::envelope::{Refusal, Unreadable};
use crate::extract::PageQuery;
use crate::openapi::{Operation, tagged};

/// A page of evaluations (decision 24).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOfEvaluation")]
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

/// The operations of evaluations by the paths that a surface has: all, their health, one, its end, its sheet, a picture.
pub(crate) fn operations([all, health, one, cancel, grid, cell]: [&'static str; 6]) -> Vec<Operation> {
    tagged(
        "Evaluations",
        [
            run(all),
            Operation::get(all, "Evaluations, the newest first, without their reports")
                .query::<PageQuery>()
                .json::<EvaluationsView>(),
            Operation::get(health, "Whether evaluating works")
                .answers::<EvaluationHealth>(200, "It works")
                .answers::<EvaluationHealth>(503, "It cannot evaluate"),
            Operation::get(one, "One evaluation as it is now")
                .answers::<EvaluationAnswer>(200, "It is over")
                .answers::<EvaluationAnswer>(202, "It goes on"),
            Operation::delete(one, "Forgets an evaluation that is over, with its pictures")
                .empty(204, "Forgotten")
                .refuses([409]),
            Operation::post(cancel, "Ends an evaluation; what was found stays")
                .json::<EvaluationAnswer>()
                .refuses([409]),
            Operation::get(grid, "The contact sheet").bytes("image/webp", "The picture"),
            Operation::get(cell, "One picture").bytes("image/png", "The picture"),
        ],
    )
}

/// Evaluating at `path`.
pub(crate) fn run(path: &'static str) -> Operation {
    Operation::post(path, "Evaluates files of the library")
        .about("`docs/evaluation.md` says what each number means, `docs/evaluating.md` how pictures are asked for.")
        .body::<EvaluationRequest>(json!({"files": ["$FILENAME"], "checks": ["file", "weights"]}))
        .answers::<EvaluationAnswer>(200, "It is over")
        .answers::<EvaluationAnswer>(202, "It goes on")
        .refuses([404, 409, 502, 503])
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

/// What a request was refused for; a field that the generator cannot serve is input like any other.
pub(crate) fn refused(error: Error) -> Refusal {
    match error {
        Error::Invalid(invalid) if matches!(invalid.code, "generator_lacks" | "bad_request") => {
            let step = |step: &str| step.parse::<u64>().map_or_else(|_| json!(step), |place| json!(place));
            let loc = std::iter::once(json!("body")).chain(invalid.field.split('.').map(step)).collect();
            Refusal::unreadable(loc, invalid.to_string(), invalid.code)
        }
        other => other.into(),
    }
}

/// 202 while more comes. `base` is the path below which this surface has evaluations: pictures get their addresses.
pub(crate) fn answered(base: &str, mut answer: EvaluationAnswer) -> (StatusCode, Json<EvaluationAnswer>) {
    let below = format!("{base}/{}", answer.evaluation_id);
    let address = |name: &mut Value| {
        if let Some(text) = name.as_str() {
            *name = format!("{below}/{text}").into();
        }
    };
    if let Some(images) = &mut answer.images {
        images.get_mut("grid_image").into_iter().for_each(address);
        let cells = images.get_mut("cells").and_then(Value::as_array_mut).into_iter().flatten();
        cells.filter_map(|cell| cell.get_mut("image")).for_each(address);
    }
    let status = if answer.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(answer))
}

/// A picture, in pieces.
pub(crate) async fn picture(media: MediaFile) -> Result<Response, Refusal> {
    let failed = |error| Refusal::from(Error::internal("reading a picture of an evaluation", error));
    let file = tokio::fs::File::open(&media.path).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let own = response.headers_mut();
    own.insert(CONTENT_TYPE, HeaderValue::from_static(media.media_type));
    own.insert(CONTENT_LENGTH, length.into());
    // Nothing within a picture may run or load anything.
    own.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

/// 503 only when the service itself cannot evaluate.
pub(crate) fn healthy(health: EvaluationHealth) -> (StatusCode, Json<EvaluationHealth>) {
    let is_down = health.status == "unavailable";
    let status = if is_down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(health))
}
