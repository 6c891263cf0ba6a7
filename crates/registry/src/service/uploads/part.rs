//! The bytes of an upload that comes at once: counted before they are kept, gone when it breaks off.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::Digest;

use super::sink::{BlockWriter, Sink};
use crate::domain::{Sha256, UploadId};
use crate::error::{Error, Result};
use crate::files::{Folder, io_error, remove_file};
use crate::service::Registry;

/// The ending of a part of an upload; no loader opens it.
pub(super) const ENDING: &str = "upload";

/// An upload that is being received. Dropping it removes what came so far.
pub struct Upload {
    pub(super) registry: Registry,
    pub(super) id: UploadId,
    part: Part,
    limit: u64,
    received: u64,
    writer: BlockWriter,
}

/// A part file.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    /// Whether it outlives this: an upload in pieces is asked for again.
    stays: bool,
}

impl Part {
    /// Removed with this unless it went somewhere.
    pub(super) fn passing(path: PathBuf) -> Self {
        Self { path, stays: false }
    }

    /// Left alone.
    pub(super) fn staying(path: PathBuf) -> Self {
        Self { path, stays: true }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        if let Err(error) = remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "a part of an upload stays until the next start");
        }
    }
}

/// What came in.
pub(super) struct Received {
    pub(super) part: Part,
    pub(super) file: File,
    pub(super) size_bytes: u64,
    pub(super) sha256: Sha256,
}

impl Registry {
    /// Makes the part of a new upload. `announced` is the length that the client named; with too little space for it
    /// nothing is read (`disk_full`), the bin makes room first.
    pub async fn begin_upload(&self, announced: Option<u64>) -> Result<Upload> {
        let limit = self.settings().max_upload_bytes;
        if announced.is_some_and(|bytes| bytes > limit) {
            return Err(too_large(limit));
        }
        self.require_space(announced.unwrap_or(0)).await?;
        let id = UploadId::new(self.inner.clock.now());
        let path = self.parts_folder().join(format!("{id}.{ENDING}"));
        let root = self.inner.config.models_dir.clone();
        // Whoever waits may go away meanwhile: the part is made with what removes it.
        let made = self
            .blocking("making the part of an upload", move || {
                let file = open_part(&root, &path, OpenOptions::new().create_new(true))?;
                Ok((Part::passing(path), file))
            })
            .await?;
        let (part, file) = made.map_err(|error| io_error("the upload cannot be written", error))?;
        let sink = Sink { file, hasher: Some(sha2::Sha256::new()), checksum: None };
        let writer = BlockWriter::new(sink);
        Ok(Upload { registry: self.clone(), id, part, limit, received: 0, writer })
    }

    /// Refuses what the disk has no room for, after the bin made some.
    pub(super) async fn require_space(&self, bytes: u64) -> Result<()> {
        let free = self.make_room(&self.inner.config.models_dir, bytes).await?;
        if free >= bytes {
            return Ok(());
        }
        Err(Error::Unavailable {
            code: "disk_full",
            message: format!(
                "the upload needs {bytes} bytes and {free} are free; free some space and try again"
            ),
        })
    }
}

/// Opens a part for its owner alone, to be read and written; no link is followed on the way.
pub(super) fn open_part(models_dir: &Path, path: &Path, how: &mut OpenOptions) -> io::Result<File> {
    Folder::create(models_dir, ".lorakeep/parts")?;
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    how.read(true).write(true).custom_flags(flags).mode(0o600).open(path)
}

impl Upload {
    /// Takes the next bytes; refuses what goes beyond the limit before it is kept.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(too_large(self.limit));
        }
        self.writer.write(bytes).await
    }

    /// The whole content.
    pub(super) async fn received(self) -> Result<(Registry, UploadId, Received)> {
        let Self { registry, id, part, received, writer, .. } = self;
        let Sink { file, hasher, .. } = writer.finish().await?;
        let hasher = hasher.expect("an upload at once is hashed from its first byte");
        let sha256 = Sha256::from_bytes(hasher.finalize().into());
        Ok((registry, id, Received { part, file, size_bytes: received, sha256 }))
    }
}

pub(super) fn too_large(limit: u64) -> Error {
    let limit = match limit % (1 << 20) {
        0 => format!("{} MB", limit >> 20),
        _ => format!("{limit} bytes"),
    };
    Error::TooLarge { message: format!("the file is larger than the maximum of {limit}") }
}
