//! What both surfaces make of an evaluation: the faults of a request, the status of an answer, a page of a list.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use lorakeep_registry::{Error, EvaluationAnswer, EvaluationHealth, EvaluationRequest, MediaFile, Page};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

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
