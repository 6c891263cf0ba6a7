//! Pictures and videos that lie on this machine: an adopted gallery's, and previews beside models.
//!
//! What one is, its bytes tell. The bytes are shared (reflink or hard link) where the file system can, else copied; the
//! original is never changed. A file without an id of CivitAI's gets one from its content, above all of theirs.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256 as Hasher};

use super::record::{GalleryImage, shard};
use super::thumbnail::thumbnail;
use crate::domain::{Entry, MediaFormat, SNIFFED_BYTES, Sha256};
use crate::error::{Error, Result};
use crate::files::share_bytes;
use crate::service::Registry;

/// Ids from here on are ours; CivitAI's are far below, and programs that count in doubles still tell them apart.
const FIRST_LOCAL_ID: u64 = 1 << 52;
/// Larger files are no previews.
const MAX_BYTES: u64 = 512 << 20;

/// A picture or video to keep.
#[derive(Debug, Clone)]
pub(crate) struct LocalMedia {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// A small picture of it that somebody made, for what cannot be decoded here.
    pub(crate) small: Option<PathBuf>,
    /// What is known of it; form, place and lengths are filled in.
    pub(crate) record: GalleryImage,
}

/// What came of keeping one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is new.
    New,
    /// It was here already.
    Known,
    /// It is neither picture nor video, or too large.
    Unusable(&'static str),
}

/// The id of a picture without one of CivitAI's: the same content for the same owner has the same id.
pub(crate) fn local_image_id(owner: u64, sha256: Sha256) -> u64 {
    let digest = Hasher::new().chain_update(owner.to_be_bytes()).chain_update(sha256.as_bytes()).finalize();
    let bytes: [u8; 8] = digest[..8].try_into().expect("a SHA-256 has more than eight bytes");
    local(u64::from_be_bytes(bytes))
}

fn local(number: u64) -> u64 {
    FIRST_LOCAL_ID | (number & (FIRST_LOCAL_ID - 1))
}

impl GalleryImage {
    /// The record of a picture of which nothing is known but whose it is.
    pub(crate) fn local(id: u64, model_id: u64, now: DateTime<Utc>) -> Self {
        Self {
            id,
            file_uuid: None,
            kind: String::new(),
            extension: String::new(),
            file_path: String::new(),
            thumb_path: None,
            file_size: 0,
            thumb_size: None,
            model_id,
            version_ids: Vec::new(),
            post_id: None,
            post_title: None,
            username: None,
            base_model: None,
            width: None,
            height: None,
            duration: None,
            has_audio: false,
            created_at: None,
            downloaded_at: now,
            reactions: 0,
            comments: 0,
            collected: 0,
            source: "original".to_owned(),
            search_mode: "fixed".to_owned(),
            is_starred: false,
            meta: Value::Null,
            generation_data: None,
        }
    }
}

impl Entry {
    /// The model that this entry's images belong to: CivitAI's, else one of our own.
    pub(crate) fn gallery_model_id(&self) -> u64 {
        self.document.id("civitai_model_id").unwrap_or_else(|| {
            // The end of the id is its random part.
            local(self.id.0.as_u64_pair().1)
        })
    }
}

impl Registry {
    /// Keeps a picture or video under the record's id.
    pub(crate) async fn keep_local_media(&self, media: LocalMedia) -> Result<Kept> {
        let LocalMedia { path, small, mut record } = media;
        match self.gallery_image(record.id).await {
            Err(Error::NotFound { .. }) => {}
            Ok(_) => return Ok(Kept::Known),
            Err(error) => return Err(error),
        }
        let (gallery, id) = (self.gallery_dir(), record.id);
        let _turn = self.inner.studio.thumbnails.acquire().await;
        let placed = self
            .blocking("keeping a picture", move || place(&gallery, id, &path, small.as_deref()))
            .await?
            .map_err(|error| crate::files::io_error("the gallery", error))?;
        let placed = match placed {
            Ok(placed) => placed,
            Err(reason) => return Ok(Kept::Unusable(reason)),
        };
        let folder = shard(id);
        if placed.format.is_video() { "video" } else { "image" }.clone_into(&mut record.kind);
        placed.format.extension().clone_into(&mut record.extension);
        record.file_path = format!("{folder}/{id}{}", placed.format.extension());
        record.thumb_path = placed.thumb_size.map(|_| format!("{folder}/{id}.thumb.jpg"));
        (record.file_size, record.thumb_size) = (placed.size_bytes, placed.thumb_size);
        self.save_gallery_image(&record).await?;
        Ok(Kept::New)
    }

    /// The model that the gallery keeps an entry's images under: CivitAI's, else one of our own.
    pub fn gallery_model_of(&self, file: &str, dest: Option<&str>) -> Result<u64> {
        self.find_entry(file, dest).map(|state| state.entry.gallery_model_id())
    }

    /// Lets an image stand for its model when a user has chosen none; answers whether it does now.
    pub(crate) async fn choose_preview(&self, model_id: u64, image_id: u64) -> Result<bool> {
        if self.inner.store.load_preview(model_id as i64).await?.is_some() {
            return Ok(false);
        }
        self.inner.store.save_preview(model_id as i64, image_id as i64).await?;
        self.refresh_summary(model_id).await?;
        Ok(true)
    }
}

/// A file in its place.
struct Placed {
    format: MediaFormat,
    size_bytes: u64,
    thumb_size: Option<u64>,
}

/// Puts the bytes and a small picture where they belong; the inner error says why the file is not usable.
fn place(
    gallery: &Path,
    id: u64,
    path: &Path,
    small: Option<&Path>,
) -> io::Result<Result<Placed, &'static str>> {
    let (format, size_bytes) = match sniffed(path)? {
        Ok(sniffed) => sniffed,
        Err(reason) => return Ok(Err(reason)),
    };
    let folder = gallery.join(shard(id));
    let target = folder.join(format!("{id}{}", format.extension()));
    let part = folder.join(format!(".{id}.{:x}.part", fastrand::u64(..)));
    let real = path.canonicalize()?;
    let kept = share_bytes(&real, &part)
        .or_else(|_| fs::copy(&real, &part).map(drop))
        .and_then(|()| fs::rename(&part, &target));
    if kept.is_err() {
        // Best effort: the failure itself is what to tell.
        drop(fs::remove_file(&part));
    }
    kept?;
    // Somebody's small picture is decoded in no time, and stands for a video where there is no `ffmpeg`.
    let of_small = small.and_then(|small| thumbnail(small, sniffed(small).ok()?.ok()?.0));
    let thumb = of_small.or_else(|| thumbnail(&target, format));
    let thumb_size = thumb.as_ref().map(|bytes| bytes.len() as u64);
    if let Some(bytes) = thumb {
        fs::write(folder.join(format!("{id}.thumb.jpg")), bytes)?;
    }
    Ok(Ok(Placed { format, size_bytes, thumb_size }))
}

/// Format and length, or why the file is no picture and no video.
fn sniffed(path: &Path) -> io::Result<Result<(MediaFormat, u64), &'static str>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(Err("it is not a regular file"));
    }
    if metadata.len() > MAX_BYTES {
        return Ok(Err("it is too large for a preview"));
    }
    let file = fs::File::open(path)?;
    let mut start = vec![0; SNIFFED_BYTES.min(metadata.len() as usize)];
    FileExt::read_exact_at(&file, &mut start, 0)?;
    let format = MediaFormat::sniff(&start).ok_or("its content is neither a picture nor a video");
    Ok(format.map(|format| (format, metadata.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_our_own_are_above_all_of_civitais_and_exact_as_doubles() {
        let first = local_image_id(7, Sha256::of(b"a"));
        assert_eq!(first, local_image_id(7, Sha256::of(b"a")));
        assert_ne!(first, local_image_id(8, Sha256::of(b"a")), "another owner's is another row");
        for id in [first, local(0), local(u64::MAX)] {
            assert!((FIRST_LOCAL_ID..1 << 53).contains(&id), "{id}");
        }
    }
}
