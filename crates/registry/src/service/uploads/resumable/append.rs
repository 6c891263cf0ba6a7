//! The next piece of an upload: written behind what is there, made durable, acknowledged.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::digest;
use tokio::runtime::Handle;

use super::{KEPT, ResumableUpload, Turn, locked};
use crate::domain::{Caller, UploadId};
use crate::error::{Error, Result};
use crate::files::io_error;
use crate::service::Registry;
use crate::service::uploads::part::open_part;
use crate::service::uploads::sink::{BlockWriter, Sink};
use crate::store::{ResumableState, StoredFailure, StoredResumable};

/// After so many bytes of one piece they are made durable, so that a cut costs no more than these.
const CHECKPOINT: u64 = 32 << 20;

/// What a piece must hash to; for a piece that names none, the end of the connection is the only check.
#[derive(Debug, Clone)]
pub struct Checksum {
    algorithm: &'static digest::Algorithm,
    value: Vec<u8>,
}

/// A piece that is being received. Dropping it keeps what came so far, unless it has a checksum.
pub struct Append(Piece);

enum Piece {
    Coming(Box<Writer>),
    /// Of an upload that is in its place; only an empty piece fits.
    Over(Registry, Box<StoredResumable>),
    Ended,
}

struct Writer {
    registry: Registry,
    upload: StoredResumable,
    turn: Turn,
    blocks: BlockWriter,
    /// Bytes that were handed over.
    position: u64,
    checksum: Option<Checksum>,
}

impl Checksum {
    /// Algorithms by the names of the protocol.
    pub const ALGORITHMS: [&str; 2] = ["sha1", "sha256"];

    /// Reads `ALGORITHM BASE64`; an algorithm that is not known is `Invalid` (`unknown_checksum`).
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |message: String| Error::invalid("unknown_checksum", "Upload-Checksum", message);
        let (name, value) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let algorithm = match name {
            "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &digest::SHA256,
            _ => {
                let known = Self::ALGORITHMS.join(", ");
                return Err(wrong(format!(
                    "checksums by `{}` are not known; known are {known}",
                    name.escape_debug()
                )));
            }
        };
        let value = STANDARD.decode(value.trim()).ok().filter(|value| value.len() == algorithm.output_len());
        let value = value.ok_or_else(|| wrong(format!("the checksum is not one of `{name}` in base64")))?;
        Ok(Self { algorithm, value })
    }
}

impl Registry {
    /// Continues an upload at the byte `at`. `announced` is the length of the piece, when its sender names it.
    ///
    /// `Conflict` by code: `offset_mismatch` when the upload is not at that byte, `upload_locked` while another piece
    /// comes in, `upload_failed` when it was refused.
    pub async fn append_resumable(
        &self,
        id: UploadId,
        at: u64,
        announced: Option<u64>,
        checksum: Option<Checksum>,
        caller: &Caller,
    ) -> Result<Append> {
        self.load_resumable(id, Some(caller)).await?;
        let turn = self.resumable_turn(id).await.ok_or_else(locked)?;
        let upload = self.load_resumable(id, Some(caller)).await?;
        if let ResumableState::Failed(StoredFailure { text, .. }) = &upload.state {
            return Err(Error::conflict("upload_failed", format!("the upload was refused: {text}")));
        }
        refuse_offset(&upload, at)?;
        if upload.state == ResumableState::Done {
            return Ok(Append(Piece::Over(self.clone(), upload.into())));
        }
        let left = upload.length_bytes - upload.offset_bytes;
        if announced.is_some_and(|bytes| bytes > left) {
            return Err(too_long(&upload));
        }
        self.require_space(left).await?;
        let blocks = self.open_resumable_part(&upload, &turn, checksum.as_ref()).await?;
        let position = upload.offset_bytes;
        let writer = Writer { registry: self.clone(), upload, turn, blocks, position, checksum };
        Ok(Append(Piece::Coming(writer.into())))
    }

    async fn open_resumable_part(
        &self,
        upload: &StoredResumable,
        turn: &Turn,
        checksum: Option<&Checksum>,
    ) -> Result<BlockWriter> {
        let (root, path) = (self.inner.config.models_dir.clone(), self.resumable_part(upload.id));
        let offset = upload.offset_bytes;
        let file =
            self.blocking("opening the part of an upload", move || open_at(&root, &path, offset)).await?;
        let file = file.map_err(|error| io_error("the part of the upload cannot be written", error))?;
        // What was not hashed while it came is read again when all is here.
        let hasher = (turn.bytes == offset).then(|| turn.hasher.clone());
        let checksum = checksum.map(|checksum| digest::Context::new(checksum.algorithm));
        Ok(BlockWriter::new(Sink { file, hasher, checksum }))
    }
}

/// Opens the part with the cursor at `offset`; what is there beyond was never acknowledged.
fn open_at(root: &Path, path: &Path, offset: u64) -> io::Result<std::fs::File> {
    let mut file = open_part(root, path, OpenOptions::new().create(offset == 0))?;
    let length = file.metadata()?.len();
    if length < offset {
        return Err(io::Error::other(format!("it holds {length} bytes where {offset} were written")));
    }
    file.set_len(offset)?;
    if offset == 0
        && let Some(folder) = path.parent()
    {
        std::fs::File::open(folder)?.sync_all()?;
    }
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

impl Append {
    /// Takes the next bytes; refuses what goes beyond the length that the upload was begun with.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let writer = match &mut self.0 {
            Piece::Coming(writer) => writer,
            Piece::Over(_, upload) if !bytes.is_empty() => return Err(too_long(upload)),
            Piece::Over(..) => return Ok(()),
            Piece::Ended => return Err(ended()),
        };
        if writer.position + bytes.len() as u64 > writer.upload.length_bytes {
            return Err(too_long(&writer.upload));
        }
        writer.position += bytes.len() as u64;
        writer.blocks.write(bytes).await?;
        if writer.checksum.is_none() && writer.position - writer.upload.offset_bytes >= CHECKPOINT {
            writer.keep().await?;
        }
        Ok(())
    }

    /// The piece is here. Answers when its bytes are durable, and, with the last of them, when the whole is judged and
    /// in its place; errors are those of [`Upload::finish`](crate::Upload::finish) then.
    ///
    /// `Invalid` (`checksum_mismatch`) when the piece is not what its checksum says; nothing of it is kept then.
    pub async fn finish(mut self) -> Result<ResumableUpload> {
        match std::mem::replace(&mut self.0, Piece::Ended) {
            Piece::Coming(writer) => {
                let registry = writer.registry.clone();
                registry.uninterrupted(writer.finish()).await
            }
            Piece::Over(registry, upload) => registry.shown_resumable(*upload).await,
            Piece::Ended => Err(ended()),
        }
    }
}

impl Drop for Append {
    fn drop(&mut self) {
        let Piece::Coming(writer) = std::mem::replace(&mut self.0, Piece::Ended) else { return };
        // Without a runtime the process ends, and what was acknowledged is safe.
        if writer.checksum.is_none() && Handle::try_current().is_ok() {
            let tasks = writer.registry.inner.tasks.clone();
            tasks.spawn(writer.leave());
        }
    }
}

impl Writer {
    /// The sender is gone: what came of the piece counts.
    async fn leave(mut self) {
        let id = self.upload.id;
        if let Err(error) = self.keep().await {
            tracing::info!(upload.id = %id, %error, "the last bytes of a piece were not kept");
        }
    }

    async fn finish(mut self) -> Result<ResumableUpload> {
        self.compare_checksum().await?;
        self.keep().await?;
        let Self { registry, upload, turn, .. } = self;
        if upload.state == ResumableState::Receiving && upload.offset_bytes == upload.length_bytes {
            return registry.accept_resumable(upload, turn).await;
        }
        registry.shown_resumable(upload).await
    }

    /// Makes what came durable and acknowledges it.
    async fn keep(&mut self) -> Result<()> {
        self.blocks.sync().await?;
        if self.position == self.upload.offset_bytes {
            return Ok(());
        }
        let expires_at = self.registry.now() + KEPT;
        self.registry.inner.store.advance_resumable(self.upload.id, self.position, expires_at).await?;
        (self.upload.offset_bytes, self.upload.expires_at) = (self.position, expires_at);
        if let Some(hasher) = self.blocks.hasher() {
            (self.turn.hasher, self.turn.bytes) = (hasher, self.position);
        }
        Ok(())
    }

    async fn compare_checksum(&mut self) -> Result<()> {
        let Some(expected) = &self.checksum else { return Ok(()) };
        let found = self.blocks.checksum().await?;
        if found.is_some_and(|found| found.as_ref() == expected.value) {
            return Ok(());
        }
        let message = "the piece does not have the checksum that was sent with it; send it again";
        Err(Error::invalid("checksum_mismatch", "Upload-Checksum", message))
    }
}

fn refuse_offset(upload: &StoredResumable, at: u64) -> Result<()> {
    let offset = upload.offset_bytes;
    if at == offset {
        return Ok(());
    }
    Err(Error::conflict(
        "offset_mismatch",
        format!("the upload is at byte {offset}, not {at}; go on from there"),
    ))
}

fn too_long(upload: &StoredResumable) -> Error {
    let StoredResumable { length_bytes, offset_bytes, .. } = upload;
    let left = length_bytes - offset_bytes;
    Error::TooLarge {
        message: format!(
            "the upload was begun with {length_bytes} bytes and lacks {left}; the piece is longer"
        ),
    }
}

fn ended() -> Error {
    Error::internal("a piece goes on after it ended", io::Error::from(io::ErrorKind::BrokenPipe))
}
