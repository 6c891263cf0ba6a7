//! Decoding pictures that came from outside, within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{DynamicImage, ImageReader, Limits};

/// Pixels in either direction that are decoded.
const MAX_SIDE: u32 = 16_384;
/// Memory that decoding may take, bytes.
const MAX_MEMORY: u64 = 256 << 20;

/// The picture in a file, whatever its name says that it is; blocks the thread. The error says why there is none.
pub(super) fn decode(path: &Path) -> Result<DynamicImage, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    decode_from(BufReader::new(file))
}

/// The picture that these bytes are; blocks the thread.
pub(super) fn decode_bytes(bytes: Vec<u8>) -> Result<DynamicImage, String> {
    decode_from(Cursor::new(bytes))
}

fn decode_from(source: impl BufRead + Seek) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(source).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    reader.decode().map_err(|error| error.to_string())
}
