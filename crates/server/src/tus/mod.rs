//! Uploads in pieces by tus 1.0.0 (<https://tus.io/protocols/resumable-upload>): core, creation, creation-with-upload,
//! termination, checksum and expiration. The vault and the studio serve the same handlers, each with its own callers.
//!
//! Beside the protocol, `GET` answers what became of an upload as JSON.

mod headers;
mod pieces;
mod views;

use axum::extract::{Extension, OriginalUri, Request, State};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::domain::{Caller, Right, UploadId, UploadRoute};
use lorakeep_registry::{Checksum, Error, NewResumable, ResumableStatus, ResumableUpload};
use serde_json::json;

use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::extract::Path;
use crate::openapi::{Extra, Operation, tagged};
use crate::problem::Problem;
use headers::{
    CHECKSUM_ALGORITHM, CHECKSUM_MISMATCH, EXTENSION, EXTENSIONS, MAX_SIZE, METADATA, OFFSET, RESUMABLE,
    VERSION, VERSIONS,
};
use views::{ListView, UploadView};

/// The routes below `path`.
pub(crate) fn routes(path: &str) -> Router<App> {
    Router::new()
        .route(path, post(create).get(list).options(describe))
        .route(&format!("{path}/{{id}}"), one())
        .layer(map_response(with_version))
}

/// What [`routes`] serves, for the documentation: `all` is its path, `one` with an id.
pub(crate) fn operations(all: &'static str, one: &'static str) -> Vec<Operation> {
    const PIECE: &str = "application/offset+octet-stream";
    let version = || Extra::header("Tus-Resumable", "The version of the protocol").required(VERSION);
    let number = || json!({"type": "integer", "minimum": 0});
    tagged(
        "Uploads in pieces",
        [
            Operation::post(all, "Begins an upload; its first piece may be the body")
                .about("[tus 1.0.0](https://tus.io/protocols/resumable-upload); `docs/uploads.md` shows a whole upload.")
                .takes(version())
                .takes(Extra::header("Upload-Length", "Bytes of the whole").of(number()).required("$LENGTH"))
                .takes(
                    Extra::header(
                        "Upload-Metadata",
                        "`filename`, `entity_type`, `use_safe_filename`, `fingerprint`: pairs separated by commas, values in base64",
                    )
                    .required("$METADATA"),
                )
                .bytes_body(PIECE, false, None)
                .empty(201, "It has begun; `Location` is where its pieces go")
                .refuses([409, 410, 412, 423, 460, 503, 507]),
            Operation::get(all, "The caller's uploads, newest first; everybody's for an admin").json::<ListView>(),
            Operation::options(all, "What of the protocol is served").empty(204, "The headers say it"),
            Operation::get(one, "Where an upload stands and what became of it").json::<UploadView>(),
            Operation::head(one, "How far an upload is")
                .takes(version())
                .empty(200, "`Upload-Offset` says it")
                .refuses([410, 412]),
            Operation::patch(one, "The next piece")
                .takes(version())
                .takes(Extra::header("Upload-Offset", "Where the piece begins").of(number()).required("$OFFSET"))
                .takes(Extra::header("Upload-Checksum", "`sha1` or `sha256`, a space, the sum of the piece in base64"))
                .bytes_body(PIECE, true, Some("@$PIECE".into()))
                .empty(204, "It is here; `Upload-Offset` is the new place")
                .refuses([409, 410, 411, 412, 423, 460, 503, 507]),
            Operation::post(one, "Another method, for clients whose proxies know no other")
                .takes(version())
                .takes(
                    Extra::header("X-HTTP-Method-Override", "`PATCH`, `DELETE` or `HEAD`")
                        .of(json!({"type": "string", "enum": ["PATCH", "DELETE", "HEAD"]}))
                        .required("HEAD"),
                )
                .takes(Extra::header("Upload-Offset", "Where the piece begins").of(number()))
                .bytes_body(PIECE, false, None)
                .empty(200, "As `HEAD`")
                .empty(204, "As `PATCH` or `DELETE`")
                .refuses([405, 409, 410, 411, 412, 423, 460, 503, 507]),
            Operation::delete(one, "Gives an upload up").takes(version()).empty(204, "It is gone").refuses([409, 410, 412, 423]),
            Operation::options(one, "What of the protocol is served").empty(204, "The headers say it"),
        ],
    )
}

fn one() -> MethodRouter<App> {
    get(show)
        .head(offset)
        .patch(pieces::append)
        .delete(terminate)
        // For clients whose proxies know no other method (`X-HTTP-Method-Override`).
        .post(pieces::overridden)
        .options(describe)
}

/// Every answer names the version, refusals too.
async fn with_version(mut response: Response) -> Response {
    response.headers_mut().insert(RESUMABLE, HeaderValue::from_static(VERSION));
    response
}

async fn describe(State(app): AppState) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let own = response.headers_mut();
    own.insert(VERSIONS, HeaderValue::from_static(VERSION));
    own.insert(EXTENSION, HeaderValue::from_static(EXTENSIONS));
    own.insert(MAX_SIZE, app.registry().settings().max_upload_bytes.into());
    let algorithms = HeaderValue::try_from(Checksum::ALGORITHMS.join(","));
    own.insert(CHECKSUM_ALGORITHM, algorithms.expect("names of algorithms are a header value"));
    response
}

async fn create(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Refusal> {
    headers::require_version(request.headers())?;
    let new = new_upload(request.headers(), route_of(&caller)?)?;
    let upload = app.registry().begin_resumable(new, &caller).await.map_err(refusal)?;
    let location = format!("{}/{}", uri.path().trim_end_matches('/'), upload.id);
    // The first piece may come along (creation-with-upload).
    let upload = if headers::is_piece(request.headers()) {
        pieces::receive(&app, &caller, upload.id, 0, request).await?
    } else {
        upload
    };
    let mut response = pieces::answer(StatusCode::CREATED, &upload);
    let location = HeaderValue::try_from(location).expect("a path that was asked for is a header value");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

fn new_upload(own: &HeaderMap, route: UploadRoute) -> Result<NewResumable, Refusal> {
    let length_bytes = headers::length(own)?;
    let (metadata, details) = headers::metadata(own, route)?;
    Ok(NewResumable { details, length_bytes, metadata })
}

/// Admins upload what admins may, users what users may.
fn route_of(caller: &Caller) -> Result<UploadRoute, Refusal> {
    if caller.require(Right::AdminUpload).is_ok() {
        return Ok(UploadRoute::Admin);
    }
    caller.require(Right::Upload)?;
    Ok(UploadRoute::User)
}

async fn offset(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Path(id): Path<UploadId>,
    request: Request,
) -> Result<Response, Refusal> {
    headers::require_version(request.headers())?;
    caller.require(Right::Upload)?;
    let upload = app.registry().find_resumable(id, &caller).await.map_err(refusal)?;
    if let ResumableStatus::Failed { message, .. } = &upload.status {
        let error = Error::conflict("upload_failed", format!("the upload was refused: {message}"));
        return Err(refusal(error));
    }
    let mut response = pieces::answer(StatusCode::OK, &upload);
    let own = response.headers_mut();
    own.insert(headers::LENGTH, upload.length_bytes.into());
    own.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(metadata) = HeaderValue::try_from(&upload.metadata) {
        own.insert(METADATA, metadata);
    }
    Ok(response)
}

async fn terminate(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Path(id): Path<UploadId>,
    request: Request,
) -> Result<Response, Refusal> {
    headers::require_version(request.headers())?;
    caller.require(Right::Upload)?;
    app.registry().end_resumable(id, &caller).await.map_err(refusal)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn show(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Path(id): Path<UploadId>,
) -> Result<Json<UploadView>, Refusal> {
    caller.require(Right::Upload)?;
    Ok(Json(app.registry().find_resumable(id, &caller).await?.into()))
}

async fn list(State(app): AppState, Extension(caller): Extension<Caller>) -> Result<Json<ListView>, Refusal> {
    caller.require(Right::Upload)?;
    Ok(Json(app.registry().list_resumable(&caller).await?.into()))
}

/// Errors of an upload in the statuses of the protocol.
fn refusal(error: Error) -> Refusal {
    let status = match error.code() {
        "upload_locked" => StatusCode::LOCKED,
        "upload_failed" => StatusCode::GONE,
        "checksum_mismatch" => StatusCode::from_u16(CHECKSUM_MISMATCH).expect("460 is a status"),
        _ => return error.into(),
    };
    Problem { status, ..Problem::from(&error) }.into()
}

/// What the protocol calls the state of an upload: how far it is, and until when it is kept.
fn progress(own: &mut HeaderMap, upload: &ResumableUpload) {
    own.insert(OFFSET, upload.offset_bytes.into());
    own.insert(headers::EXPIRES, headers::http_date(upload.expires_at));
}
