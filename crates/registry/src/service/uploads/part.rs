//! The bytes of an upload on their way to the disk: hashed while they are written, counted before they are kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::Digest;
use tokio::task::JoinHandle;

use crate::domain::{Sha256, UploadId};
use crate::error::{Error, Result};
use crate::files::{Folder, io_error, remove_file};
use crate::service::Registry;

/// How much is gathered before it is written; twice that is held while a block is being written.
const BLOCK: usize = 1 << 20;
/// The ending of a part of an upload; no loader opens it.
pub(super) const ENDING: &str = "upload";

/// An upload that is being received. Dropping it removes what came so far.
pub struct Upload {
    pub(super) registry: Registry,
    pub(super) id: UploadId,
    part: Part,
    limit: u64,
    received: u64,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    sink: Option<Sink>,
    writing: Option<JoinHandle<io::Result<Sink>>>,
}

/// A part file, removed unless it went somewhere.
#[derive(Debug)]
pub(super) struct Part(PathBuf);

impl Part {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Err(error) = remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "a part of an upload stays until the next start");
        }
    }
}

/// Where the bytes go.
struct Sink {
    file: File,
    hasher: sha2::Sha256,
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
        let limit = self.inner.config.uploads.max_bytes;
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
                let file = create(&root, &path)?;
                Ok((Part(path), file))
            })
            .await?;
        let (part, file) = made.map_err(|error| io_error("the upload cannot be written", error))?;
        Ok(Upload {
            registry: self.clone(),
            id,
            part,
            limit,
            received: 0,
            gathered: Vec::new(),
            gathered_bytes: 0,
            sink: Some(Sink { file, hasher: sha2::Sha256::new() }),
            writing: None,
        })
    }

    async fn require_space(&self, bytes: u64) -> Result<()> {
        let free = self.make_room(bytes).await?;
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

/// A new file for its owner alone; no link is followed on the way.
fn create(models_dir: &Path, path: &Path) -> io::Result<File> {
    Folder::create(models_dir, ".lorakeep/parts")?;
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

impl Upload {
    /// Takes the next bytes; refuses what goes beyond the limit before it is kept.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(too_large(self.limit));
        }
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= BLOCK { self.flush().await } else { Ok(()) }
    }

    /// Hands what was gathered to the disk and goes on while it writes.
    async fn flush(&mut self) -> Result<()> {
        let mut sink = self.take_sink().await?;
        let blocks = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            for block in blocks {
                sink.file.write_all(&block)?;
                sink.hasher.update(&block);
            }
            Ok(sink)
        }));
        Ok(())
    }

    /// The sink, when the block before is written.
    async fn take_sink(&mut self) -> Result<Sink> {
        if let Some(writing) = self.writing.take() {
            let written = writing
                .await
                .map_err(|error| Error::internal("writing an upload ended in a panic", error))?;
            return written.map_err(|error| io_error("the upload cannot be written", error));
        }
        self.sink.take().ok_or_else(|| {
            Error::internal("an upload goes on after it failed", io::Error::from(io::ErrorKind::BrokenPipe))
        })
    }

    /// The whole content.
    pub(super) async fn received(mut self) -> Result<(Registry, UploadId, Received)> {
        self.flush().await?;
        let sink = self.take_sink().await?;
        let Self { registry, id, part, received, .. } = self;
        let sha256 = Sha256::from_bytes(sink.hasher.finalize().into());
        Ok((registry, id, Received { part, file: sink.file, size_bytes: received, sha256 }))
    }
}

pub(super) fn too_large(limit: u64) -> Error {
    let limit = match limit % (1 << 20) {
        0 => format!("{} MB", limit >> 20),
        _ => format!("{limit} bytes"),
    };
    Error::TooLarge { message: format!("the file is larger than the maximum of {limit}") }
}
