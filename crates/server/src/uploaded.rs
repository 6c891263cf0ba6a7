//! An uploaded file as answers show it, field by field as the vault's contract has it.

use chrono::{DateTime, SecondsFormat, Utc};
use lorakeep_registry::{Registry, Uploaded};
use schemars::JsonSchema;
use serde::Serialize;

/// An upload by the admins' route.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AdminUploadedView {
    file_path: String,
    partial_path: String,
    filename: String,
    file_size: u64,
    entity_type: String,
    upload_timestamp: String,
}

/// An upload by the users' route.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UploadedView {
    file_path: String,
    partial_path: String,
    filename: String,
    file_size: u64,
    upload_timestamp: String,
}

impl From<Uploaded> for AdminUploadedView {
    fn from(uploaded: Uploaded) -> Self {
        let entity_type = uploaded.entity_type.clone();
        let UploadedView { file_path, partial_path, filename, file_size, upload_timestamp } = uploaded.into();
        Self { file_path, partial_path, filename, file_size, entity_type, upload_timestamp }
    }
}

impl From<Uploaded> for UploadedView {
    fn from(uploaded: Uploaded) -> Self {
        Self {
            file_path: uploaded.file_path.display().to_string(),
            partial_path: Registry::partial_path(&uploaded.path).unwrap_or_default(),
            filename: uploaded.file_name,
            file_size: uploaded.size_bytes,
            upload_timestamp: second(uploaded.uploaded_at),
        }
    }
}

/// RFC 3339, UTC, as the contract's examples have it: whole seconds.
pub(crate) fn second(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
