//! What a served file is: name, size, kind and seed; its hashes are computed once.

use super::{Content, LoraFamily, safetensors};
use crate::checksum::Crc32;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// What a generated file looks like to somebody who opens it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FileKind {
    /// A valid safetensors file whose tensors cover exactly its data (below 10 bytes: raw bytes).
    #[default]
    Safetensors,
    /// A safetensors LoRA with the tensor names of a family; made by [`FileSpec::lora`].
    Lora {
        /// Whose layer names the tensors carry.
        family: LoraFamily,
        /// Inner dimension of every pair of matrices.
        rank: u64,
    },
    /// Pseudo-random bytes without any format.
    Raw,
    /// An HTML page, as an error page that comes in the place of a file.
    Html,
    /// Starts as a pickle of protocol 2 (`80 02`).
    Pickle,
    /// Starts as a torch zip archive (`PK\x03\x04`).
    TorchZip,
    /// No bytes at all.
    Empty,
    /// Exactly these bytes.
    Bytes(Bytes),
}

/// One file of the stand-in. Clones share the computed hash.
#[derive(Debug, Clone)]
pub struct FileSpec {
    name: String,
    size: u64,
    kind: FileKind,
    seed: u64,
    made: Arc<Made>,
}

#[derive(Debug, Default)]
struct Made {
    content: OnceLock<Content>,
    sha256: OnceLock<[u8; 32]>,
    sha256_of_tensors: OnceLock<[u8; 32]>,
    crc32: OnceLock<u32>,
}

impl FileSpec {
    /// A valid safetensors file of `size` bytes; the seed comes from the name, so names give different bytes.
    pub fn new(name: impl Into<String>, size: u64) -> Self {
        let name = name.into();
        let seed = seed_of(&name);
        Self { name, size, kind: FileKind::Safetensors, seed, made: Arc::default() }
    }

    /// A file with exactly these bytes, for configurations and pages.
    pub fn of_bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(name, bytes.len() as u64).kind(FileKind::Bytes(bytes))
    }

    /// A safetensors LoRA of the given family and rank; its size follows from them.
    pub fn lora(name: impl Into<String>, family: LoraFamily, rank: u64) -> Self {
        let size = safetensors::lora_size(family, rank);
        Self::new(name, size).kind(FileKind::Lora { family, rank })
    }

    /// The same file as another kind. [`FileKind::Bytes`], [`FileKind::Empty`] and
    /// [`FileKind::Lora`] bring their own size.
    #[must_use]
    pub fn kind(mut self, kind: FileKind) -> Self {
        self.size = match &kind {
            FileKind::Bytes(bytes) => bytes.len() as u64,
            FileKind::Empty => 0,
            FileKind::Lora { family, rank } => safetensors::lora_size(*family, *rank),
            _ => self.size,
        };
        self.kind = kind;
        self.made = Arc::default();
        self
    }

    /// The same file with other pseudo-random bytes.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.made = Arc::default();
        self
    }

    /// Name, or path inside a repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Lower-case hex SHA-256. The first call reads the whole content (about a second for 2 GiB).
    pub fn sha256(&self) -> String {
        hex::encode(self.made.sha256.get_or_init(|| self.hash_from(0)))
    }

    /// SHA-256 of the bytes behind the safetensors header: what CivitAI calls AutoV3 (its first 12 digits).
    pub(crate) fn sha256_of_tensors(&self) -> String {
        let hash = self.made.sha256_of_tensors.get_or_init(|| {
            let mut length = [0; 8];
            self.read_at(0, &mut length);
            self.hash_from(u64::from_le_bytes(length).saturating_add(8))
        });
        hex::encode(hash)
    }

    /// CRC-32 of the whole content.
    pub(crate) fn crc32(&self) -> u32 {
        *self.made.crc32.get_or_init(|| {
            let mut crc = Crc32::new();
            self.each_piece(0, |piece| crc.update(piece));
            crc.value()
        })
    }

    /// Copies the bytes at `offset` into `buffer`; the count is short only at the end of the file.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        self.content().read_at(offset, buffer)
    }

    /// The whole content; meant for small files.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = vec![0; self.size as usize];
        let filled = self.read_at(0, &mut all);
        all.truncate(filled);
        all
    }

    /// The content, built on first use.
    pub(crate) fn content(&self) -> &Content {
        self.made.content.get_or_init(|| self.build())
    }

    /// 64 hex digits that identify this content without reading it; `purpose` gives different ones.
    pub(crate) fn mark(&self, purpose: &str) -> String {
        let text = format!("{purpose}\0{}\0{}\0{}\0{:?}", self.name, self.size, self.seed, self.kind);
        hex::encode(Sha256::digest(text))
    }

    /// The file that stands in this one's place after its owner replaced it: same size, other bytes.
    pub(crate) fn replaced(&self) -> Self {
        match &self.kind {
            FileKind::Bytes(bytes) => {
                let turned: Vec<u8> = bytes.iter().map(|byte| byte ^ 0xff).collect();
                self.clone().kind(FileKind::Bytes(turned.into()))
            }
            _ => self.clone().seed(self.seed ^ 0x5eed),
        }
    }

    fn build(&self) -> Content {
        let (size, seed) = (self.size, self.seed);
        match &self.kind {
            FileKind::Safetensors => Content::new(safetensors::plain_header(size), size, seed),
            FileKind::Lora { family, rank } => {
                Content::new(safetensors::lora_header(*family, *rank), size, seed)
            }
            FileKind::Raw => Content::new(Bytes::new(), size, seed),
            FileKind::Html => Content::given(html_page(size).into()),
            FileKind::Pickle => Content::new(&b"\x80\x02}q\x00."[..], size, seed),
            FileKind::TorchZip => Content::new(&b"PK\x03\x04"[..], size, seed),
            FileKind::Empty => Content::given(Bytes::new()),
            FileKind::Bytes(bytes) => Content::given(bytes.clone()),
        }
    }

    fn hash_from(&self, start: u64) -> [u8; 32] {
        let mut hasher = Sha256::new();
        self.each_piece(start, |piece| hasher.update(piece));
        hasher.finalize().into()
    }

    fn each_piece(&self, start: u64, mut act: impl FnMut(&[u8])) {
        const WINDOW: u64 = 4 * 1024 * 1024;
        let mut pieces = Vec::new();
        let mut at = start;
        while at < self.size {
            self.content().pieces(at, at + WINDOW, &mut pieces);
            pieces.drain(..).for_each(|piece| act(&piece));
            at += WINDOW;
        }
    }
}

/// An HTML page padded with spaces to `size` bytes (cut when that is too short for one).
pub(crate) fn html_page(size: u64) -> Vec<u8> {
    let page = "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>\
                <body><h1>Please sign in to continue</h1></body></html>\n";
    let mut bytes = page.as_bytes().to_vec();
    bytes.resize(size as usize, b' ');
    bytes
}

fn seed_of(name: &str) -> u64 {
    let digest = Sha256::digest(name);
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}
