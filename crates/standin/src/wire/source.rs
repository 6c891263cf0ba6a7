//! The bytes of a body, addressable at any offset: memory, a span of a file, or gzip around a file.

use crate::checksum::Crc32;
use crate::content::FileSpec;
use bytes::Bytes;

/// Where body bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    Span { spec: FileSpec, start: u64, end: u64, corrupt: Vec<u64> },
    Gzip(Gzip),
}

impl Source {
    /// A gzip stream around `inner`, which is read once for its checksum.
    pub(crate) fn gzip(inner: Self) -> Self {
        Self::Gzip(Gzip::new(inner))
    }

    /// A span of a file in which the bytes at `corrupt` are inverted.
    pub(crate) fn span(spec: FileSpec, start: u64, end: u64, corrupt: Vec<u64>) -> Self {
        Self::Span { spec, start, end, corrupt }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Span { start, end, .. } => end - start,
            Self::Gzip(gzip) => gzip.len(),
        }
    }

    /// Appends the slices of body bytes `from..to`.
    pub(crate) fn pieces(&self, from: u64, to: u64, out: &mut Vec<Bytes>) {
        match self {
            Self::Memory(bytes) => out.push(bytes.slice(from as usize..to as usize)),
            Self::Span { spec, start, corrupt, .. } => {
                let first = out.len();
                spec.content().pieces(start + from, start + to, out);
                invert(&mut out[first..], start + from, corrupt);
            }
            Self::Gzip(gzip) => gzip.pieces(from, to, out),
        }
    }
}

/// Inverts the bytes at the offsets `corrupt`; the pieces begin at `at`.
fn invert(pieces: &mut [Bytes], mut at: u64, corrupt: &[u64]) {
    for piece in pieces {
        let end = at + piece.len() as u64;
        for offset in corrupt.iter().filter(|offset| (at..end).contains(offset)) {
            let mut changed = piece.to_vec();
            changed[(offset - at) as usize] ^= 0xff;
            *piece = changed.into();
        }
        at = end;
    }
}

/// A gzip stream (RFC 1952) of stored blocks (RFC 1951, 3.2.4), so that its length is known ahead.
#[derive(Debug)]
pub(crate) struct Gzip {
    inner: Box<Source>,
    crc: u32,
}

const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const BLOCK: u64 = 65_535;
const BLOCK_HEAD: u64 = 5;

impl Gzip {
    /// Reads `inner` once for its checksum.
    pub(crate) fn new(inner: Source) -> Self {
        let mut crc = Crc32::new();
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < inner.len() {
            let to = inner.len().min(at + (1 << 20));
            inner.pieces(at, to, &mut pieces);
            pieces.drain(..).for_each(|piece| crc.update(&piece));
            at = to;
        }
        Self { inner: Box::new(inner), crc: crc.value() }
    }

    fn blocks(&self) -> u64 {
        self.inner.len().div_ceil(BLOCK).max(1)
    }

    fn len(&self) -> u64 {
        HEAD.len() as u64 + self.blocks() * BLOCK_HEAD + self.inner.len() + 8
    }

    fn pieces(&self, from: u64, to: u64, out: &mut Vec<Bytes>) {
        let mut at = 0;
        clip(&Bytes::from_static(HEAD), &mut at, from, to, out);
        for block in 0..self.blocks() {
            let start = block * BLOCK;
            let end = self.inner.len().min(start + BLOCK);
            if at + BLOCK_HEAD + (end - start) > from && at < to {
                clip(&self.block_head(block, (end - start) as u16), &mut at, from, to, out);
                let (first, last) = (from.max(at).min(at + end - start), to.max(at).min(at + end - start));
                self.inner.pieces(start + first - at, start + last - at, out);
                at += end - start;
            } else {
                at += BLOCK_HEAD + (end - start);
            }
        }
        let trailer = [self.crc.to_le_bytes(), (self.inner.len() as u32).to_le_bytes()].concat();
        clip(&trailer.into(), &mut at, from, to, out);
    }

    fn block_head(&self, block: u64, length: u16) -> Bytes {
        let last = u8::from(block + 1 == self.blocks());
        let [low, high] = length.to_le_bytes();
        vec![last, low, high, !low, !high].into()
    }
}

/// Appends what of `bytes`, which lie at `at`, falls into `from..to`, and moves `at` behind them.
fn clip(bytes: &Bytes, at: &mut u64, from: u64, to: u64, out: &mut Vec<Bytes>) {
    let length = bytes.len() as u64;
    let first = from.saturating_sub(*at).min(length);
    let last = to.saturating_sub(*at).min(length);
    if first < last {
        out.push(bytes.slice(first as usize..last as usize));
    }
    *at += length;
}
