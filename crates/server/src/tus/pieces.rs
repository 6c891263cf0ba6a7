//! Pieces of an upload, streamed to the registry.

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use lorakeep_registry::ResumableUpload;
use lorakeep_registry::domain::{Caller, Right, UploadId};

use super::headers::{self, METHOD_OVERRIDE};
use super::{progress, refusal, terminate};
use crate::app::{App, AppState};
use crate::envelope::{Refusal, method_not_allowed};
use crate::extract::{Path, body_error, refuse_encoded};

pub(super) async fn append(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Path(id): Path<UploadId>,
    request: Request,
) -> Result<Response, Refusal> {
    headers::require_version(request.headers())?;
    headers::require_piece(request.headers())?;
    caller.require(Right::Upload)?;
    let at = headers::offset(request.headers())?;
    let upload = receive(&app, &caller, id, at, request).await?;
    Ok(answer(StatusCode::NO_CONTENT, &upload))
}

/// A `POST` that means another method.
pub(super) async fn overridden(
    app: AppState,
    caller: Extension<Caller>,
    id: Path<UploadId>,
    request: Request,
) -> Result<Response, Refusal> {
    match request.headers().get(METHOD_OVERRIDE).map(http::HeaderValue::as_bytes) {
        Some(b"PATCH") => append(app, caller, id, request).await,
        Some(b"DELETE") => terminate(app, caller, id, request).await,
        Some(b"HEAD") => super::offset(app, caller, id, request).await,
        _ => Err(method_not_allowed().await),
    }
}

/// Streams the body behind the byte `at`. A body that breaks off counts as far as it came.
pub(super) async fn receive(
    app: &App,
    caller: &Caller,
    id: UploadId,
    at: u64,
    request: Request,
) -> Result<ResumableUpload, Refusal> {
    refuse_encoded(request.headers())?;
    let (announced, checksum) = (announced(request.headers()), headers::checksum(request.headers())?);
    let mut append =
        app.registry().append_resumable(id, at, announced, checksum, caller).await.map_err(refusal)?;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| body_error(&error, usize::MAX))?;
        if let Ok(bytes) = frame.into_data() {
            append.write(bytes).await.map_err(refusal)?;
        }
    }
    append.finish().await.map_err(refusal)
}

fn announced(own: &HeaderMap) -> Option<u64> {
    own.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An answer that says how far the upload is.
pub(super) fn answer(status: StatusCode, upload: &ResumableUpload) -> Response {
    let mut response = status.into_response();
    progress(response.headers_mut(), upload);
    response
}
