//! What became of an upload, as JSON.

use lorakeep_registry::{Page, ResumableStatus, ResumableUpload};
use schemars::JsonSchema;
use serde::Serialize;

use super::headers::value_of;
use crate::uploaded::{AdminUploadedView, second};

/// One upload in pieces.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UploadView {
    id: String,
    /// `receiving`, `accepting`, `done`, `failed`.
    state: &'static str,
    filename: String,
    entity_type: Option<String>,
    use_safe_filename: bool,
    length: u64,
    offset: u64,
    created_at: String,
    expires_at: String,
    /// What the client tells the file by, to find an upload that it may go on with.
    fingerprint: Option<String>,
    result: Option<ResultView>,
    error: Option<ErrorView>,
}

/// The file in its place.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UploadResult")]
struct ResultView {
    #[serde(flatten)]
    file: AdminUploadedView,
    sha256: String,
}

/// Why it was refused.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UploadError")]
struct ErrorView {
    code: String,
    detail: String,
    sha256: Option<String>,
}

/// Uploads in pieces.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOfUpload")]
pub(super) struct ListView {
    items: Vec<UploadView>,
    next_cursor: Option<String>,
    total: u64,
}

impl From<ResumableUpload> for UploadView {
    fn from(upload: ResumableUpload) -> Self {
        let (state, result, error) = match upload.status {
            ResumableStatus::Receiving => ("receiving", None, None),
            ResumableStatus::Accepting => ("accepting", None, None),
            ResumableStatus::Done(done) => {
                let sha256 = done.sha256.to_string();
                ("done", Some(ResultView { file: (*done).into(), sha256 }), None)
            }
            ResumableStatus::Failed { code, message, sha256 } => {
                ("failed", None, Some(ErrorView { code, detail: message, sha256 }))
            }
        };
        Self {
            id: upload.id.to_string(),
            state,
            filename: upload.details.file_name,
            entity_type: upload.details.entity_type,
            use_safe_filename: upload.details.use_safe_filename,
            length: upload.length_bytes,
            offset: upload.offset_bytes,
            created_at: second(upload.created_at),
            expires_at: second(upload.expires_at),
            fingerprint: value_of(&upload.metadata, "fingerprint"),
            result,
            error,
        }
    }
}

impl From<Page<ResumableUpload>> for ListView {
    fn from(page: Page<ResumableUpload>) -> Self {
        let items = page.items.into_iter().map(UploadView::from).collect();
        Self { items, next_cursor: page.next_cursor, total: page.total }
    }
}
