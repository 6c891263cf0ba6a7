//! Uploads: received, judged, named, placed, listed (decisions 15 to 18). A file can be seen under a name that loaders
//! open only when it is whole and its content is known to be harmless.

mod part;
mod place;
mod recover;
mod resumable;
mod sink;

use std::fs::File;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use lorakeep_transfer::TransferError;
use lorakeep_weights::{Limits, Verdict, examine};

use super::Registry;
use super::activity::ActivityLevel;
use super::identification::{Words, describe, facts_of, identity_of};
use crate::domain::{
    Caller, EntryDocument, ModelFolder, ModelPath, QuarantineId, SafeName, Sha256, UploadDetails, UploadId,
};
use crate::error::{Error, Invalid, Result};
use crate::files::io_error;
use crate::store::StoredQuarantined;
use part::Received;

pub use part::Upload;
pub(crate) use resumable::OpenUploads;
pub use resumable::{Append, Checksum, NewResumable, ResumableStatus, ResumableUpload};

/// The folder of all LoRAs.
pub(super) const LORAS: &str = "loras";
/// What an upload shows when it does not say so.
const NO_TYPE: &str = "no_type_provided";
/// Formats that are taken, by extension.
const EXTENSIONS: [&str; 5] = ["safetensors", "ckpt", "pt", "pth", "bin"];

/// An uploaded file in its place.
#[expect(clippy::struct_field_names, reason = "the time of the upload is called that everywhere")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its id.
    pub id: UploadId,
    /// The name that the client gave.
    pub file_name: String,
    /// Where it is below the models root.
    pub path: ModelPath,
    /// Where it is, absolute.
    pub file_path: PathBuf,
    /// Length in bytes.
    pub size_bytes: u64,
    /// The content's hash.
    pub sha256: Sha256,
    /// What it shows.
    pub entity_type: String,
    /// When.
    pub uploaded_at: DateTime<Utc>,
}

/// A judged file that only needs its place.
pub(super) struct Judged {
    pub(super) id: UploadId,
    /// Where it is now.
    pub(super) part: PathBuf,
    /// The very file that was judged.
    pub(super) file: File,
    pub(super) size_bytes: u64,
    pub(super) sha256: Sha256,
    /// The name that the client gave.
    pub(super) name: SafeName,
    pub(super) entity_type: String,
    pub(super) is_versioned: bool,
    /// What identification found.
    pub(super) document: EntryDocument,
}

impl Registry {
    /// Refuses an upload by what is said of it, before or after its bytes came: an unsafe name, an unknown format or
    /// entity type.
    #[expect(clippy::unused_self, reason = "asked of the product like every other rule")]
    pub fn check_upload(&self, details: &UploadDetails) -> Result<()> {
        judged_name(&details.file_name)?;
        entity_type(details)?;
        Ok(())
    }

    /// The refusal of a file that is announced as too large.
    pub fn upload_too_large(&self) -> Error {
        part::too_large(self.settings().max_upload_bytes)
    }
}

impl Upload {
    /// Judges what came in and puts it into its place. Runs to its end although the client may have gone.
    ///
    /// `Quarantined` when the content may be a program, `Invalid` when it is no model, `Conflict` when its name is taken
    /// and it may not get another.
    pub async fn finish(self, details: UploadDetails, caller: &Caller) -> Result<Uploaded> {
        // What can be refused by its name is not hashed to its end.
        judged_name(&details.file_name)?;
        entity_type(&details)?;
        let (registry, id, received) = self.received().await?;
        let by = caller.name().to_owned();
        let own = registry.clone();
        registry.uninterrupted(async move { own.accept_upload(id, received, &details, &by).await }).await
    }
}

impl Registry {
    /// Judges a whole file and puts it into its place; see [`Upload::finish`].
    async fn accept_upload(
        &self,
        id: UploadId,
        received: Received,
        details: &UploadDetails,
        by: &str,
    ) -> Result<Uploaded> {
        let (name, entity_type) = (judged_name(&details.file_name)?, entity_type(details)?);
        if received.size_bytes == 0 {
            return Err(empty_file());
        }
        let (received, verdict, document) = self.judge_upload(received, &name).await?;
        self.refuse_unclean(id, &received, &verdict, &name, &entity_type).await?;
        let Received { part, file, size_bytes, sha256 } = received;
        let judged = Judged {
            id,
            part: part.path().to_owned(),
            file,
            size_bytes,
            sha256,
            name,
            entity_type,
            is_versioned: details.use_safe_filename,
            document,
        };
        // `part` lives until the file is in its place, and removes what is left of it.
        let placed = self.place_upload(judged, by).await;
        drop(part);
        placed
    }

    /// Scans and identifies the received file by its open descriptor.
    async fn judge_upload(
        &self,
        received: Received,
        name: &SafeName,
    ) -> Result<(Received, Verdict, EntryDocument)> {
        let name = name.to_string();
        self.blocking("judging an upload", move || {
            let examination = examine(&received.file, received.size_bytes, &name, Limits::default());
            let mut document = EntryDocument::default();
            if examination.verdict.is_clean() {
                let identity = identity_of(&examination, &received.file, &name);
                let facts = facts_of(name, &examination, identity);
                describe(&mut document, &facts, Words::All);
            }
            (received, examination.verdict, document)
        })
        .await
    }

    async fn refuse_unclean(
        &self,
        id: UploadId,
        received: &Received,
        verdict: &Verdict,
        name: &SafeName,
        entity_type: &str,
    ) -> Result<()> {
        match verdict {
            Verdict::Clean => Ok(()),
            Verdict::Malformed { reason } => Err(Error::invalid("malformed_file", "file", reason.clone())),
            Verdict::Denied { rule, reason } => {
                let file = StoredQuarantined {
                    id: QuarantineId(id.0),
                    is_upload: true,
                    path: ModelPath { folder: folder_of(entity_type)?, file: name.clone() },
                    entity_type: Some(entity_type.to_owned()),
                    file_name: name.to_string(),
                    size_bytes: received.size_bytes,
                    sha256: received.sha256,
                    rule: Some((*rule).to_owned()),
                    reason: reason.clone(),
                    quarantined_at: self.inner.clock.now(),
                };
                self.quarantine_upload(received, &file).await?;
                let sha256 = received.sha256.to_string();
                tracing::warn!(upload.id = %id, file = %name, rule, sha256, "an uploaded file went to quarantine");
                let line =
                    format!("ERROR -- {name}: the upload went to quarantine ({rule}), SHA-256 {sha256}");
                self.log_activity(ActivityLevel::Error, line).await;
                let message = format!(
                    "the file is in quarantine and will not be loaded, by the rule `{rule}`: {reason}; an admin can \
                     release it by its SHA-256 `{sha256}`"
                );
                Err(Error::Quarantined { message, sha256 })
            }
        }
    }

    async fn quarantine_upload(&self, received: &Received, row: &StoredQuarantined) -> Result<()> {
        self.inner.store.save_quarantined(row).await?;
        let (part, to) = (received.part.path().to_owned(), self.quarantine_path(row.id.0));
        let moved = self
            .blocking("moving an upload to quarantine", move || {
                if let Some(folder) = to.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                // The part is readable by its owner alone, and so it stays.
                std::fs::rename(&part, &to)
            })
            .await?;
        if let Err(error) = moved {
            self.inner.store.delete_quarantined(row.id).await?;
            return Err(io_error("the upload cannot be moved to quarantine", error));
        }
        Ok(())
    }
}

fn empty_file() -> Error {
    Error::invalid("empty_file", "file", "the file is empty; send it again")
}

/// The folder of the uploads of that type.
pub(super) fn folder_of(entity_type: &str) -> Result<ModelFolder> {
    Ok(ModelFolder::parse("entity_type", &format!("{LORAS}/{entity_type}"))?)
}

/// A safe name with the extension of a supported format.
fn judged_name(name: &str) -> Result<SafeName> {
    let safe = SafeName::parse("filename", name)?;
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
        return Ok(safe);
    }
    Err(Error::invalid(
        "unsupported_format",
        "filename",
        format!(
            "`{safe}` is not in a supported format; supported are .safetensors, .ckpt, .pt, .pth and .bin"
        ),
    ))
}

fn entity_type(details: &UploadDetails) -> Result<String> {
    let known = details.route.entity_types();
    match details.entity_type.as_deref() {
        None | Some("") => Ok(NO_TYPE.to_owned()),
        Some(name) if known.contains(&name) => Ok(name.to_owned()),
        Some(name) => {
            let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
            Err(Error::Invalid(Invalid {
                code: "unknown_entity_type",
                field: "entity_type".into(),
                message: format!(
                    "entity_type `{shown}` is not supported; supported are {}",
                    known.join(", ")
                ),
                suggestion: None,
            }))
        }
    }
}

/// What failed publishing means to the caller.
pub(super) fn transfer_error(what: &str, error: TransferError) -> Error {
    match error {
        TransferError::Io { source, .. } => io_error(&format!("{what} failed"), source),
        error @ TransferError::DiskFull { .. } => {
            Error::Unavailable { code: "disk_full", message: error.to_string() }
        }
        error @ TransferError::ContentRefused { .. } => Error::conflict("changed", error.to_string()),
        other => Error::internal(what, other),
    }
}

#[cfg(test)]
mod tests;
