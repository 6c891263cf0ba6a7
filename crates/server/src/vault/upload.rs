//! Uploads as multipart forms.

use axum::Json;
use axum::extract::{Extension, Request, State};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use lorakeep_registry::domain::{Caller, CallerKind, Right, UploadDetails, UploadRoute};
use lorakeep_registry::{Upload, Uploaded};
use serde_json::json;

use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::extract::bool_of;
use crate::multipart::{Form, MAX_OVERHEAD, Part, missing, twice};
use crate::openapi::{Operation, tagged};
use crate::uploaded::{AdminUploadedView, UploadedView};

/// Longest text field, bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;

const FORM: &[(&str, &str, bool, bool)] = &[
    ("file", "The LoRA", true, true),
    ("entity_type", "Which folder: the kind of thing that it shows", false, false),
    (
        "use_safe_filename",
        "Whether a name that is unsafe or taken is changed; true when left out",
        false,
        false,
    ),
];

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Uploads",
        [
            Operation::post("/api/v1/admin/lora/upload", "Stores a LoRA as an admin")
                .form(FORM, json!({"file": "@$LORA", "entity_type": "$ENTITY_TYPE"}))
                .json::<AdminUploadedView>()
                .refuses([409, 411, 503, 507]),
            Operation::post("/api/v1/lora/upload", "Stores a LoRA as a user")
                .form(FORM, json!({"file": "@$LORA", "entity_type": "$ENTITY_TYPE"}))
                .json::<UploadedView>()
                .refuses([409, 411, 503, 507]),
        ],
    )
}

pub(super) async fn by_admin(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<AdminUploadedView>, Refusal> {
    caller.require(Right::AdminUpload)?;
    Ok(Json(receive(&app, &caller, request, UploadRoute::Admin).await?.into()))
}

pub(super) async fn by_user(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<UploadedView>, Refusal> {
    // Only where uploads are open comes nobody as far as this.
    if caller.kind != CallerKind::Anonymous {
        caller.require(Right::Upload)?;
    }
    Ok(Json(receive(&app, &caller, request, UploadRoute::User).await?.into()))
}

/// What of a form has come so far.
#[derive(Default)]
struct Draft {
    file: Option<(Upload, String)>,
    entity_type: Option<String>,
    use_safe_filename: Option<bool>,
}

async fn receive(
    app: &App,
    caller: &Caller,
    request: Request,
    route: UploadRoute,
) -> Result<Uploaded, Refusal> {
    let announced = announced(request.headers())?;
    let limit = app.registry().settings().max_upload_bytes;
    if announced.is_some_and(|bytes| bytes > limit.saturating_add(MAX_OVERHEAD as u64)) {
        let error = app.registry().upload_too_large();
        return Err(error.into());
    }
    let mut form = Form::open(request, usize::try_from(limit).unwrap_or(usize::MAX - MAX_OVERHEAD))?;
    let mut draft = Draft::default();
    while let Some(part) = form.next().await? {
        match part.name() {
            "file" if draft.file.is_some() => return Err(twice("file")),
            "file" => {
                let expected = announced.map(|bytes| bytes.min(limit));
                draft.file = Some(receive_file(app, &draft, part, expected, route).await?);
            }
            "entity_type" if draft.entity_type.is_some() => return Err(twice("entity_type")),
            "entity_type" => draft.entity_type = Some(text(part, "entity_type").await?),
            "use_safe_filename" if draft.use_safe_filename.is_some() => {
                return Err(twice("use_safe_filename"));
            }
            "use_safe_filename" => draft.use_safe_filename = flag(part).await?,
            _ => part.pass_over(MAX_TEXT_BYTES).await?,
        }
    }
    let (upload, file_name) = draft.file.take().ok_or_else(|| missing("file"))?;
    Ok(upload.finish(draft.details(file_name, route), caller).await?)
}

impl Draft {
    fn details(&self, file_name: String, route: UploadRoute) -> UploadDetails {
        let use_safe_filename = self.use_safe_filename.unwrap_or(true);
        UploadDetails { route, file_name, entity_type: self.entity_type.clone(), use_safe_filename }
    }
}

/// Streams the file to its part; what is known of it already is judged before its first byte.
async fn receive_file(
    app: &App,
    draft: &Draft,
    mut part: Part,
    announced: Option<u64>,
    route: UploadRoute,
) -> Result<(Upload, String), Refusal> {
    let Some(file_name) = part.file_name().map(str::to_owned) else {
        let loc = vec!["body".into(), "file".into()];
        return Err(Refusal::unreadable(loc, "Expected UploadFile, received: <class 'str'>", "value_error"));
    };
    app.registry().check_upload(&draft.details(file_name.clone(), route))?;
    let mut upload = app.registry().begin_upload(announced).await?;
    while let Some(piece) = part.piece().await? {
        upload.write(piece).await?;
    }
    Ok((upload, file_name))
}

/// The length of the body, when it is named; 411 when there is no saying where it ends.
fn announced(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        return Ok(length.to_str().ok().and_then(|text| text.parse().ok()));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Ok(None);
    }
    let detail = "the upload needs a `Content-Length` or `Transfer-Encoding: chunked`";
    Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "length_required", detail))
}

async fn text(part: Part, name: &'static str) -> Result<String, Refusal> {
    let bytes = part.bytes(MAX_TEXT_BYTES).await?;
    String::from_utf8(bytes).map_err(|_| {
        Refusal::unreadable(vec!["body".into(), name.into()], "Input should be a valid string", "string_type")
    })
}

/// An empty field counts as absent, as forms send it.
async fn flag(part: Part) -> Result<Option<bool>, Refusal> {
    let text = text(part, "use_safe_filename").await?;
    if text.is_empty() {
        return Ok(None);
    }
    let fault = || {
        let loc = vec!["body".into(), "use_safe_filename".into()];
        let msg = "Input should be a valid boolean, unable to interpret input";
        Refusal::unreadable(loc, msg, "bool_parsing")
    };
    bool_of(&text).map(Some).ok_or_else(fault)
}
