//! Pseudo-random filler that depends on its position: served by slices of one shared pool.
//!
//! A file is cut into segments of 64 KiB. Each begins with a stamp made from seed and index, so that
//! no two segments of a file are equal, and continues with a slice of the pool at an offset chosen by
//! the same hash. Every aligned pair of bytes is a finite F16 and BF16 (and every four a finite F32).

use bytes::Bytes;
use std::sync::LazyLock;

const SEGMENT: u64 = 64 * 1024;
const STAMP: usize = 16;
const POOL: usize = 2 * 1024 * 1024;

static SHARED: LazyLock<Bytes> = LazyLock::new(build_pool);

/// Appends slices with the filler of `seed` at `start..end`, counted from the start of the file.
pub(super) fn pieces(seed: u64, start: u64, end: u64, out: &mut Vec<Bytes>) {
    if start >= end {
        return;
    }
    let first = start / SEGMENT;
    let last = (end - 1) / SEGMENT;
    let stamps: Bytes = (first..=last).flat_map(|index| stamp(seed, index)).collect::<Vec<u8>>().into();
    for index in first..=last {
        let base = index * SEGMENT;
        let from = start.saturating_sub(base) as usize;
        let to = (end - base).min(SEGMENT) as usize;
        let own_stamp = (index - first) as usize * STAMP;
        if from < STAMP {
            out.push(stamps.slice(own_stamp + from..own_stamp + to.min(STAMP)));
        }
        if to > STAMP {
            let pool = pool_offset(seed, index);
            out.push(SHARED.slice(pool + from.max(STAMP)..pool + to));
        }
    }
}

/// Eight bytes that differ for every index of one seed, each followed by the top byte of a small float.
fn stamp(seed: u64, index: u64) -> [u8; STAMP] {
    let mut stamp = [0x30; STAMP];
    for (pair, byte) in stamp.chunks_exact_mut(2).zip((mix(seed) ^ index).to_le_bytes()) {
        pair[0] = byte;
    }
    stamp
}

/// An even offset into the pool with a whole segment behind it.
fn pool_offset(seed: u64, index: u64) -> usize {
    let slots = (POOL as u64 - SEGMENT) / 2;
    (mix(seed ^ mix(index)) % slots * 2) as usize
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn build_pool() -> Bytes {
    let mut pool = Vec::with_capacity(POOL);
    for index in 0..(POOL / 8) as u64 {
        let mut bytes = mix(index ^ 0x0005_7a4d_1400).to_le_bytes();
        for high in bytes.iter_mut().skip(1).step_by(2) {
            *high = small_exponent(*high);
        }
        pool.extend_from_slice(&bytes);
    }
    pool.into()
}

/// The top byte of an F16 with magnitude between 2^-10 and 1: sign kept, exponent 5 to 14.
fn small_exponent(byte: u8) -> u8 {
    let exponent = 5 + (byte >> 2) % 10;
    (byte & 0x80) | (exponent << 2) | (byte & 0x03)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seed: u64, start: u64, end: u64) -> Vec<u8> {
        let mut out = Vec::new();
        pieces(seed, start, end, &mut out);
        out.concat()
    }

    #[test]
    fn any_window_equals_the_same_window_of_the_whole() {
        let whole = read(7, 0, 300_000);
        assert_eq!(whole.len(), 300_000);
        for (start, end) in [(0, 1), (3, 20), (65_530, 65_560), (65_536, 131_072), (131_071, 299_999)] {
            assert_eq!(read(7, start, end), whole[start as usize..end as usize], "{start}..{end}");
        }
    }

    #[test]
    fn no_two_segments_of_a_file_are_equal() {
        let mut stamps: Vec<_> = (0..40_000).map(|index| stamp(1, index)).collect();
        stamps.sort_unstable();
        stamps.dedup();
        assert_eq!(stamps.len(), 40_000);
    }

    #[test]
    fn every_aligned_pair_is_a_finite_half_float() {
        for pair in read(3, 0, 200_000).chunks_exact(2) {
            assert_ne!(pair[1] & 0x7c, 0x7c, "exponent of all ones is infinity or NaN");
        }
    }
}
