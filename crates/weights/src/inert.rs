//! Formats that cannot run anything when they are loaded: GGUF, ONNX, JSON and plain text.
//!
//! They are recognised, not judged: enough is read to know that a file is what its name says.

use std::io::{self, BufRead};

use crate::read::{ReadAt, Window};

/// The largest JSON or text file that is taken, in bytes; a tokenizer has some tens of megabytes.
const TEXT_CAP: u64 = 128 * 1024 * 1024;
/// The most top-level fields of an ONNX model that are followed.
const ONNX_FIELD_CAP: usize = 100_000;

/// What is wrong with a file, or that it could not be read.
pub(crate) enum Flaw {
    Wrong(String),
    Read(io::Error),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

fn wrong<T>(text: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw::Wrong(text.into()))
}

/// Magic, a version that exists, and counts that the file has room for.
pub(crate) fn check_gguf<F: ReadAt + ?Sized>(file: &F, size: u64) -> Result<(), Flaw> {
    if size < 24 {
        return wrong("the GGUF header is cut off, fetch it again");
    }
    let mut head = [0; 24];
    file.read_exact_at(&mut head, 0)?;
    let version = u32::from_le_bytes(head[4..8].try_into().expect("four bytes"));
    if !head.starts_with(b"GGUF") || !(2..=3).contains(&version) {
        return wrong(format!("GGUF version {version} is not known, only 2 and 3 are"));
    }
    // A tensor's entry takes at least 24 bytes, a metadata pair at least 13.
    let count = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let least = count(8).checked_mul(24).zip(count(16).checked_mul(13)).map(|(a, b)| a.saturating_add(b));
    match least {
        Some(least) if least <= size => Ok(()),
        _ => wrong("the GGUF header counts more entries than the file has room for"),
    }
}

/// Follows the top-level protobuf fields of an ONNX ModelProto to the end of the file.
pub(crate) fn check_onnx<F: ReadAt + ?Sized>(file: &F, size: u64) -> Result<(), Flaw> {
    let (mut at, mut graph) = (0, false);
    for _ in 0..ONNX_FIELD_CAP {
        if at == size {
            return if graph { Ok(()) } else { wrong("the ONNX model has no graph") };
        }
        let (key, start) = varint(file, at, size)?;
        at = match (key >> 3, key & 7) {
            // ir_version, model_version
            (1 | 5, 0) => varint(file, start, size)?.1,
            // names, doc text, graph, operator sets, metadata, training info, functions, configurations
            (field @ (2..=4 | 6..=8 | 14 | 20 | 25 | 26), 2) => {
                graph |= field == 7;
                let (length, data) = varint(file, start, size)?;
                match data.checked_add(length).filter(|end| *end <= size) {
                    Some(end) => end,
                    None => return wrong("the ONNX model is cut off, fetch it again"),
                }
            }
            _ => return wrong("it does not have the fields of an ONNX model"),
        };
    }
    wrong("it does not have the fields of an ONNX model")
}

/// A protobuf varint at `at`, and the position behind it.
fn varint<F: ReadAt + ?Sized>(file: &F, at: u64, size: u64) -> Result<(u64, u64), Flaw> {
    let mut bytes = [0; 10];
    let count = (size - at).min(10) as usize;
    file.read_exact_at(&mut bytes[..count], at)?;
    let mut value = 0_u64;
    for (index, byte) in bytes[..count].iter().enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok((value, at + index as u64 + 1));
        }
    }
    wrong("it does not have the fields of an ONNX model")
}

/// JSON to the last byte, of any content.
pub(crate) fn check_json<F: ReadAt + ?Sized>(file: &F, size: u64) -> Result<(), Flaw> {
    refuse_large(size)?;
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_reader(Window::new(file, 0, size));
    match parsed {
        Ok(_) => Ok(()),
        Err(error) if error.is_io() => Err(Flaw::Read(error.into())),
        Err(error) => wrong(format!("it is not JSON: {error}")),
    }
}

/// UTF-8 text without NUL to the last byte.
pub(crate) fn check_text<F: ReadAt + ?Sized>(file: &F, size: u64) -> Result<(), Flaw> {
    refuse_large(size)?;
    let mut window = Window::new(file, 0, size);
    // The last bytes of a chunk may be the start of a character.
    let mut text = Vec::new();
    loop {
        let chunk = window.fill_buf()?;
        let count = chunk.len();
        text.extend_from_slice(chunk);
        window.consume(count);
        let whole = match std::str::from_utf8(&text) {
            Ok(_) => text.len(),
            Err(error) if error.error_len().is_none() && count > 0 => error.valid_up_to(),
            Err(_) => return wrong("it is not a plain text"),
        };
        if text[..whole].contains(&0) {
            return wrong("it is not a plain text");
        }
        text.drain(..whole);
        if count == 0 {
            return Ok(());
        }
    }
}

fn refuse_large(size: u64) -> Result<(), Flaw> {
    if size <= TEXT_CAP { Ok(()) } else { wrong(format!("a text of {size} bytes is too large")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(result: Result<(), Flaw>) -> Option<String> {
        match result {
            Ok(()) => None,
            Err(Flaw::Wrong(text)) => Some(text),
            Err(Flaw::Read(error)) => Some(error.to_string()),
        }
    }

    fn gguf(version: u32, tensors: u64) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.resize(64, 0);
        bytes
    }

    #[test]
    fn gguf_needs_a_known_version_and_room_for_its_counts() {
        assert_eq!(flaw(check_gguf(&gguf(3, 1), 64)), None);
        assert!(flaw(check_gguf(&gguf(9, 1), 64)).unwrap().contains("version 9"));
        assert!(flaw(check_gguf(&gguf(3, u64::MAX), 64)).unwrap().contains("room"));
        assert!(flaw(check_gguf(&gguf(3, 1)[..10].to_vec(), 10)).unwrap().contains("cut off"));
    }

    #[test]
    fn onnx_is_followed_to_its_end() {
        let model = b"\x08\x08\x12\x04test\x3a\x02\x0a\x00";
        assert_eq!(flaw(check_onnx(&model[..], model.len() as u64)), None);
        let cut = &model[..model.len() - 1];
        assert!(flaw(check_onnx(cut, cut.len() as u64)).unwrap().contains("cut off"));
        let other = b"\x08\x08\x5a\x01x";
        assert!(flaw(check_onnx(&other[..], other.len() as u64)).is_some());
        let endless = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(flaw(check_onnx(&endless[..], 11)).is_some());
    }

    #[test]
    fn json_and_text_are_read_to_the_end() {
        assert_eq!(flaw(check_json(&b"{\"a\": [1]}\n"[..], 11)), None);
        assert!(flaw(check_json(&b"{\"a\": [1]} x"[..], 12)).is_some());
        let deep = "[".repeat(100_000);
        assert!(flaw(check_json(deep.as_bytes(), 100_000)).is_some());
        assert_eq!(flaw(check_text("a\nüb".as_bytes(), 5)), None);
        assert!(flaw(check_text(&b"a\0b"[..], 3)).is_some());
        assert!(flaw(check_text(&b"a\xff"[..], 2)).is_some());
        assert!(flaw(check_text(&b"a\xc3"[..], 2)).is_some());
        let long = "é".repeat(100_001) + "x";
        assert_eq!(flaw(check_text(format!("x{long}").as_bytes(), long.len() as u64 + 1)), None);
    }
}
