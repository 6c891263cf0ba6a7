//! What a killed process left: parts go, published files get their entries, entries of restored files come back.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use lorakeep_weights::digest;

use super::place::is_left_over;
use crate::domain::Sha256;
use crate::error::Result;
use crate::files::remove_file;
use crate::service::Registry;
use crate::store::StoredUpload;

impl Registry {
    /// Part of `open`.
    pub(in crate::service) async fn open_uploads(&self) -> Result<()> {
        let parts = self.parts_folder();
        self.blocking("removing parts of uploads", move || remove_left_over(&parts)).await?;
        for upload in self.inner.store.unfinished_uploads().await? {
            self.finish_upload(upload).await?;
        }
        self.settle_bin_entries().await
    }

    async fn finish_upload(&self, upload: StoredUpload) -> Result<()> {
        let path = upload.path.below(&self.inner.config.models_dir);
        let (size, sha256) = (upload.size_bytes, upload.sha256);
        let is_there =
            self.blocking("looking at an upload", move || has_content(&path, size, sha256)).await?;
        if is_there {
            tracing::info!(upload.id = %upload.id, file = %upload.path, "an upload that was cut off is finished");
            self.list_upload(upload).await?;
            return Ok(());
        }
        self.inner.store.delete_upload(upload.id).await
    }
}

fn remove_left_over(parts: &PathBuf) {
    for item in std::fs::read_dir(parts).into_iter().flatten().flatten() {
        let file = item.path();
        if !is_left_over(&file) {
            continue;
        }
        match remove_file(&file) {
            Ok(()) => {
                tracing::info!(file = %file.display(), "removed the part of an upload that was cut off");
            }
            Err(error) => tracing::warn!(file = %file.display(), %error, "the part of an upload stays"),
        }
    }
}

fn has_content(path: &PathBuf, size: u64, sha256: Sha256) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    if !metadata.is_file() || metadata.len() != size {
        return false;
    }
    let Ok(file) = std::fs::File::open(path) else { return false };
    let never = AtomicBool::new(false);
    digest::sha256(&file, size, |_| {}, &never).is_ok_and(|found| found == sha256)
}
