//! The hashes by which other tools know a file, in one pass over it.
//!
//! AutoV1 to AutoV3 are the short forms of CivitAI and of the Stable Diffusion web interface. A hash of
//! nothing is not a hash: where there are no bytes to hash, the answer is none.

use std::io::BufRead;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::digest::{DigestError, Sha256};
use crate::read::{ReadAt, Window};

/// The bytes that AutoV1 looks at: 64 KiB behind the first MiB.
const AUTO_V1: Range<u64> = 0x10_0000..0x11_0000;

/// What a file hashes to. Texts are lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hashes {
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
    /// The first 8 digits of the SHA-256 of the 64 KiB behind the first MiB; none for smaller files.
    pub auto_v1: Option<String>,
    /// The first 10 digits of `sha256`.
    pub auto_v2: String,
    /// The first 12 digits of `tensors`.
    pub auto_v3: Option<String>,
    /// SHA-256 of the tensor data of a safetensors file, which editing its metadata does not change.
    pub tensors: Option<Sha256>,
    /// BLAKE3 of the whole file.
    pub blake3: String,
    /// CRC-32 of the whole file.
    pub crc32: String,
}

/// A SHA-256 over one range of the file.
struct Part {
    range: Range<u64>,
    hasher: sha2::Sha256,
}

impl Part {
    fn new(range: Range<u64>) -> Self {
        Self { range, hasher: sha2::Sha256::new() }
    }

    /// Takes what of `chunk`, which begins at `at`, lies in the range.
    fn update(&mut self, chunk: &[u8], at: u64) {
        let end = at + chunk.len() as u64;
        let (from, to) = (self.range.start.max(at), self.range.end.min(end));
        if from < to {
            self.hasher.update(&chunk[(from - at) as usize..(to - at) as usize]);
        }
    }

    fn finish(self) -> Option<Sha256> {
        (!self.range.is_empty()).then(|| Sha256::from_bytes(self.hasher.finalize().into()))
    }
}

/// Hashes the first `size` bytes of `file`. `tensors_start` is [`data_start`](crate::Header::data_start) of
/// a safetensors file.
///
/// `on_progress` hears the bytes hashed so far after each chunk; `cancel` is looked at before each.
pub fn hashes<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    tensors_start: Option<u64>,
    mut on_progress: impl FnMut(u64),
    cancel: &AtomicBool,
) -> Result<Hashes, DigestError> {
    let mut whole = sha2::Sha256::new();
    let mut first = Part::new(AUTO_V1.start.min(size)..AUTO_V1.end.min(size));
    let mut tensors = Part::new(tensors_start.unwrap_or(size).min(size)..size);
    let (mut blake3, mut crc32) = (blake3::Hasher::new(), crc32fast::Hasher::new());
    let (mut window, mut done) = (Window::new(file, 0, size), 0);
    while done < size {
        if cancel.load(Ordering::Relaxed) {
            return Err(DigestError::Cancelled);
        }
        let chunk = window.fill_buf()?;
        let count = chunk.len();
        whole.update(chunk);
        blake3.update(chunk);
        crc32.update(chunk);
        first.update(chunk, done);
        tensors.update(chunk, done);
        window.consume(count);
        done += count as u64;
        on_progress(done);
    }
    let sha256 = Sha256::from_bytes(whole.finalize().into());
    let tensors = tensors.finish();
    Ok(Hashes {
        sha256,
        auto_v1: first.finish().map(|hash| short(&hash, 8)),
        auto_v2: sha256.auto_v2(),
        auto_v3: tensors.as_ref().map(|hash| short(hash, 12)),
        tensors,
        blake3: blake3.finalize().to_hex().to_string(),
        crc32: format!("{:08x}", crc32.finalize()),
    })
}

fn short(hash: &Sha256, digits: usize) -> String {
    let mut text = hash.to_string();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], tensors_start: Option<u64>) -> Hashes {
        hashes(bytes, bytes.len() as u64, tensors_start, |_| (), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn each_hash_is_over_its_own_bytes() {
        let bytes: Vec<u8> = (0..1_500_000_u32).map(|number| (number % 239) as u8).collect();
        let found = of(&bytes, Some(1000));
        assert_eq!(found.sha256, Sha256::of(&bytes));
        assert_eq!(found.auto_v2, found.sha256.to_string()[..10]);
        assert_eq!(found.auto_v1.unwrap(), Sha256::of(&bytes[0x10_0000..0x11_0000]).to_string()[..8]);
        assert_eq!(found.tensors.unwrap(), Sha256::of(&bytes[1000..]));
        assert_eq!(found.auto_v3.unwrap(), Sha256::of(&bytes[1000..]).to_string()[..12]);
        assert_eq!(found.blake3, blake3::hash(&bytes).to_hex().to_string());
        assert_eq!(found.crc32, format!("{:08x}", crc32fast::hash(&bytes)));
    }

    #[test]
    fn the_check_values_of_the_algorithms_come_out() {
        let found = of(b"123456789", None);
        assert_eq!(found.crc32, "cbf43926");
        assert_eq!(found.auto_v2, "15e2b0d3c3");
        let nothing = of(b"", None);
        assert_eq!(nothing.blake3, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }

    #[test]
    fn a_hash_of_nothing_is_none() {
        let small = of(b"12345678{}", Some(10));
        assert_eq!((small.auto_v1, small.auto_v3, small.tensors), (None, None, None));
    }

    #[test]
    fn a_set_flag_stops_it() {
        let stopped = hashes(&[0_u8; 10][..], 10, None, |_| (), &AtomicBool::new(true));
        assert!(matches!(stopped, Err(DigestError::Cancelled)));
    }
}
