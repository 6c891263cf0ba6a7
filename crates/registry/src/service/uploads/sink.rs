//! Bytes on their way to the disk: gathered to blocks, hashed and written off the async threads.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use sha2::Digest;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::files::io_error;

/// How much is gathered before it is written; twice that is held while a block is being written.
const BLOCK: usize = 1 << 20;

/// Where the bytes go.
pub(super) struct Sink {
    pub(super) file: File,
    /// The whole content's hash as far as it is written; `None` when something before was not hashed.
    pub(super) hasher: Option<sha2::Sha256>,
    /// The checksum of what is being sent, when its sender named one.
    pub(super) checksum: Option<ring::digest::Context>,
}

/// Writes blocks to a sink, one at a time, and takes bytes meanwhile.
pub(super) struct BlockWriter {
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    sink: Option<Sink>,
    writing: Option<JoinHandle<io::Result<Sink>>>,
}

impl Sink {
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all(block)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(block);
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(block);
        }
        Ok(())
    }
}

impl BlockWriter {
    pub(super) fn new(sink: Sink) -> Self {
        Self { gathered: Vec::new(), gathered_bytes: 0, sink: Some(sink), writing: None }
    }

    /// Takes the next bytes; waits while a block before is written.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= BLOCK { self.flush().await } else { Ok(()) }
    }

    /// Hands what was gathered to the disk and goes on while it writes.
    async fn flush(&mut self) -> Result<()> {
        let mut sink = self.take().await?;
        let blocks = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            for block in blocks {
                sink.write(&block)?;
            }
            Ok(sink)
        }));
        Ok(())
    }

    /// Makes all of it durable; the bytes may be acknowledged then.
    pub(super) async fn sync(&mut self) -> Result<()> {
        self.flush().await?;
        let sink = self.take().await?;
        let syncing = tokio::task::spawn_blocking(move || sink.file.sync_data().map(|()| sink));
        self.writing = Some(syncing);
        let sink = self.take().await?;
        self.sink = Some(sink);
        Ok(())
    }

    /// The hash of all that was made durable; asked right after [`Self::sync`].
    pub(super) fn hasher(&self) -> Option<sha2::Sha256> {
        self.sink.as_ref().and_then(|sink| sink.hasher.clone())
    }

    /// The checksum of all that came; it is asked once.
    pub(super) async fn checksum(&mut self) -> Result<Option<ring::digest::Digest>> {
        self.flush().await?;
        let mut sink = self.take().await?;
        let checksum = sink.checksum.take().map(ring::digest::Context::finish);
        self.sink = Some(sink);
        Ok(checksum)
    }

    /// Everything is written.
    pub(super) async fn finish(mut self) -> Result<Sink> {
        self.flush().await?;
        self.take().await
    }

    /// The sink, when the block before is written.
    async fn take(&mut self) -> Result<Sink> {
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
}
