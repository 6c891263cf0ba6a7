//! Content of the served files: made from a seed, addressable at any offset, never held whole.

mod filler;
mod safetensors;
mod spec;

pub use safetensors::LoraFamily;
pub(crate) use spec::html_page;
pub use spec::{FileKind, FileSpec};

use bytes::Bytes;

/// The bytes of one file: a prefix that gives the file its format, then filler up to `size`.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    prefix: Bytes,
    size: u64,
    seed: u64,
}

impl Content {
    /// `prefix` followed by filler of `seed`; a prefix longer than `size` is cut.
    pub(crate) fn new(prefix: impl Into<Bytes>, size: u64, seed: u64) -> Self {
        let mut prefix = prefix.into();
        prefix.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Self { prefix, size, seed }
    }

    /// Exactly the given bytes.
    pub(crate) fn given(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self { prefix: bytes, size, seed: 0 }
    }

    /// Appends the slices that make up `start..end` (clipped to the file) without copying filler.
    pub(crate) fn pieces(&self, start: u64, end: u64, out: &mut Vec<Bytes>) {
        let end = end.min(self.size);
        let prefix_end = end.min(self.prefix.len() as u64);
        if start < prefix_end {
            out.push(self.prefix.slice(start as usize..prefix_end as usize));
        }
        filler::pieces(self.seed, start.max(prefix_end), end, out);
    }

    /// Copies the bytes at `offset` into `buffer`; the count is short only at the end of the file.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut pieces = Vec::new();
        self.pieces(offset, offset.saturating_add(buffer.len() as u64), &mut pieces);
        let mut filled = 0;
        for piece in pieces {
            buffer[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        filled
    }
}
