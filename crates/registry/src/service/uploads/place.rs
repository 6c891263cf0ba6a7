//! A judged upload gets its name, its place and its entry.
//!
//! Row, file, entry: the row says what is about to appear, the file appears by a rename that replaces nothing, and the
//! entry is made in the transaction that ends the row. A process that is killed in between is finished at the next start.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lorakeep_transfer::{Replace, TransferError, publish_open};
use serde_json::json;

use super::{Judged, Uploaded, folder_of, transfer_error};
use crate::domain::{CatalogName, Category, EntryDocument, FileFact, ModelPath, SafeName, Sha256, UploadId};
use crate::error::{Error, Result};
use crate::files::{folder_error, io_error, remove_file, share_bytes, stamp_at};
use crate::service::Registry;
use crate::service::activity::ActivityLevel;
use crate::store::{Beside, FinishedUpload, StoredUpload};

/// Versions of one name that are tried.
const MAX_VERSIONS: u32 = 10_000;
/// The ending of a link to bytes that are here already.
pub(super) const SHARED_ENDING: &str = "linked";

impl Registry {
    /// Gives the file its place. What is left at its old one is the caller's.
    pub(in crate::service) async fn place_upload(&self, judged: Judged, by: &str) -> Result<Uploaded> {
        let synced = judged.file.try_clone().map_err(|error| io_error("the upload cannot be read", error))?;
        let synced = self.blocking("syncing an upload", move || synced.sync_all()).await?;
        synced.map_err(|error| io_error("the upload cannot be written", error))?;
        let folder = folder_of(&judged.entity_type)?;
        let (tree, own) = (self.inner.tree.clone(), folder.clone());
        let made = self.blocking("making a folder", move || tree.create(own.as_str())).await?;
        made.map_err(|error| folder_error(&folder, &format!("the folder `{folder}` cannot be made"), error))?;
        let twin = self.twin_of(&judged).await?;
        let _turn = self.inner.upload_turn.lock().await;
        for version in 1..=MAX_VERSIONS {
            let path = ModelPath { folder: folder.clone(), file: versioned(&judged.name, version)? };
            let upload = self.row_of(&judged, path, twin.as_ref().map(|twin| &twin.of), by);
            if !self.is_taken(&upload.path) && self.publish_upload(&judged, twin.as_ref(), &upload).await? {
                return self.list_upload(upload).await;
            }
            if !judged.is_versioned {
                return Err(taken(&judged.name));
            }
        }
        Err(Error::conflict(
            "exists",
            format!("`{}` has {MAX_VERSIONS} versions; choose another name", judged.name),
        ))
    }

    /// Whether a catalog or the disk has that path or a twin of it, as far as is known; the rename decides.
    pub(super) fn is_taken(&self, path: &ModelPath) -> bool {
        let library = self.library();
        !library.entries_at(path).is_empty()
            || library.file(path).is_some()
            || library.twin_of(path).is_some()
    }

    /// The row first, then the file; answers whether the name was free.
    async fn publish_upload(
        &self,
        judged: &Judged,
        twin: Option<&Twin>,
        upload: &StoredUpload,
    ) -> Result<bool> {
        let failed = |error| io_error("the upload cannot be read", error);
        let (part, file) = match twin {
            Some(twin) => (twin.part.0.clone(), twin.file.try_clone().map_err(failed)?),
            None => (judged.part.clone(), judged.file.try_clone().map_err(failed)?),
        };
        self.inner.store.insert_upload(upload).await?;
        self.fault("upload_row_written")?;
        let to = upload.path.below(&self.inner.config.models_dir);
        let published = self
            .blocking("publishing an upload", move || publish_open(file, &part, &to, Replace::Never))
            .await?;
        match published {
            Ok(()) => {
                self.fault("upload_published")?;
                Ok(true)
            }
            Err(error) => {
                self.inner.store.delete_upload(upload.id).await?;
                match error {
                    TransferError::Exists(_) => Ok(false),
                    other => Err(transfer_error("publishing an upload", other)),
                }
            }
        }
    }

    /// Makes the entry of a published file and ends its row.
    pub(super) async fn list_upload(&self, upload: StoredUpload) -> Result<Uploaded> {
        let file_path = upload.path.below(&self.inner.config.models_dir);
        if let Some(stamp) = stamp_at(&file_path) {
            let fact = FileFact::hashed(stamp, upload.sha256, None, self.inner.clock.now());
            self.library_mut().set_file(upload.path.clone(), Some(fact));
            self.inner.files_changed.notify_one();
            self.identify_soon();
        }
        let category = Category::named_after_id(&format!("uploads_{}", upload.entity_type));
        let document = upload.document.clone();
        let finished = self.finished(&upload);
        let listed =
            self.insert_entry_of(CatalogName::Loras, &category, document, Some(finished.clone())).await;
        match listed {
            Ok(_) => {}
            // Somebody made an entry of that path meanwhile; it describes this file now.
            Err(Error::Conflict { code: "exists", .. }) => {
                self.inner.store.apply_catalog_changes(&[], Some(&Beside::Upload(finished.clone()))).await?;
            }
            Err(error) => return Err(error),
        }
        self.show_activity(finished.line);
        tracing::info!(
            upload.id = %upload.id,
            file = %upload.path,
            size_bytes = upload.size_bytes,
            by = upload.uploaded_by,
            "uploaded"
        );
        Ok(self.uploaded(upload))
    }

    /// The end of that upload, with what the activity log says of it.
    fn finished(&self, upload: &StoredUpload) -> FinishedUpload {
        let StoredUpload { id, path, uploaded_by, size_bytes, .. } = upload;
        let message = format!("OK -- {path}: uploaded by {uploaded_by}, {size_bytes} bytes");
        let (line, oldest) = self.draft_activity(ActivityLevel::Ok, message);
        FinishedUpload { id: *id, line, oldest }
    }

    /// A stored upload as it is told to callers.
    pub(super) fn uploaded(&self, upload: StoredUpload) -> Uploaded {
        Uploaded {
            id: upload.id,
            file_name: upload.file_name,
            file_path: upload.path.below(&self.inner.config.models_dir),
            path: upload.path,
            size_bytes: upload.size_bytes,
            sha256: upload.sha256,
            entity_type: upload.entity_type,
            uploaded_at: upload.uploaded_at,
        }
    }

    fn row_of(&self, judged: &Judged, path: ModelPath, twin: Option<&ModelPath>, by: &str) -> StoredUpload {
        let now = self.inner.clock.now();
        StoredUpload {
            id: judged.id,
            document: document_of(judged, &path, twin, now),
            path,
            entity_type: judged.entity_type.clone(),
            file_name: judged.name.to_string(),
            size_bytes: judged.size_bytes,
            sha256: judged.sha256,
            uploaded_by: by.to_owned(),
            uploaded_at: now,
        }
    }

    /// The same content under another name, linked beside the part and compared byte by byte. `None` when there is none,
    /// or when sharing fails for whatever reason: the uploaded bytes are used then.
    async fn twin_of(&self, judged: &Judged) -> Result<Option<Twin>> {
        let Some(of) = self.present_with(judged.sha256) else { return Ok(None) };
        let original = of.below(&self.inner.config.models_dir);
        let part = TwinPart(self.parts_folder().join(format!("{}.{SHARED_ENDING}", judged.id)));
        let own = judged.file.try_clone().map_err(|error| io_error("the upload cannot be read", error))?;
        let size = judged.size_bytes;
        let linked = self
            .blocking("sharing the bytes of an upload", move || {
                share_bytes(&original, &part.0)?;
                let file = File::open(&part.0)?;
                if !has_same_bytes(&file, &own, size)? {
                    return Err(io::Error::other("its content has changed since it was hashed"));
                }
                Ok((part, file))
            })
            .await?;
        match linked {
            Ok((part, file)) => Ok(Some(Twin { of, part, file })),
            Err(error) => {
                tracing::info!(upload.id = %judged.id, twin = %of, %error, "content is not shared");
                Ok(None)
            }
        }
    }

    fn present_with(&self, sha256: Sha256) -> Option<ModelPath> {
        let library = self.library();
        let twins = library.files().iter().filter(|(_, fact)| fact.sha256 == Some(sha256));
        twins.map(|(path, _)| path).min().cloned()
    }
}

/// A link to a present file of the same content.
struct Twin {
    of: ModelPath,
    part: TwinPart,
    file: File,
}

/// Removed when it was not published.
struct TwinPart(PathBuf);

impl Drop for TwinPart {
    fn drop(&mut self) {
        if let Err(error) = remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "a link to shared bytes stays until the next start");
        }
    }
}

fn document_of(
    judged: &Judged,
    path: &ModelPath,
    twin: Option<&ModelPath>,
    now: chrono::DateTime<chrono::Utc>,
) -> EntryDocument {
    let mut document = EntryDocument::default();
    document.set("name", path.file.stem());
    document.set("file", path.file.as_str());
    document.set("dest", path.folder.as_str());
    document.set("source", "upload");
    document.set("entity_type", judged.entity_type.as_str());
    document.set("original_name", judged.name.as_str());
    document.set("sha256", judged.sha256.to_string());
    document.set("size_bytes", judged.size_bytes);
    document.set("size_gb", (judged.size_bytes as f64 / 1e6).round() / 1e3);
    document.set("tags", json!([]));
    document.set("uploaded_at", now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    if let Some(twin) = twin {
        document.set("duplicate_of", twin.relative());
    }
    for (field, value) in judged.document.iter() {
        document.set(field, value.to_value());
    }
    document
}

/// The refusal of a name that is taken and may not get a version.
pub(super) fn taken(name: &SafeName) -> Error {
    let message = format!("`{name}` exists already; choose another name or set use_safe_filename to true");
    Error::conflict("exists", message)
}

/// `name.safetensors`, `name_v2.safetensors` and so on.
pub(super) fn versioned(name: &SafeName, version: u32) -> Result<SafeName> {
    if version == 1 {
        return Ok(name.clone());
    }
    let (stem, extension) = name.as_str().rsplit_once('.').unwrap_or((name.as_str(), ""));
    Ok(SafeName::parse("filename", &format!("{stem}_v{version}.{extension}"))?)
}

fn has_same_bytes(one: &File, other: &File, size: u64) -> io::Result<bool> {
    const BLOCK: usize = 1 << 20;
    if one.metadata()?.len() != size {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut position = 0;
    while position < size {
        let length = (size - position).min(BLOCK as u64) as usize;
        one.read_exact_at(&mut left[..length], position)?;
        other.read_exact_at(&mut right[..length], position)?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
        position += length as u64;
    }
    Ok(true)
}

/// Whether that is the name of something that only a killed process leaves in the folder of parts.
pub(super) fn is_left_over(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    [super::part::ENDING, SHARED_ENDING].contains(&ending) && stem.parse::<UploadId>().is_ok()
}
