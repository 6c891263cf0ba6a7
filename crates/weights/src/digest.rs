//! SHA-256 of a file, read by position in chunks, with progress and a way to stop it.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::read::ReadAt;

/// How much is read and hashed at once; also the distance between two progress reports.
const CHUNK: usize = 1024 * 1024;

/// A SHA-256; its text is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl schemars::JsonSchema for Sha256 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}

impl Sha256 {
    /// The hash whose bytes these are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The short form that CivitAI and the studio's web interface call AutoV2: the first ten digits.
    pub fn auto_v2(&self) -> String {
        hex::encode(&self.0[..5])
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha256({self})")
    }
}

/// A text that is not a SHA-256.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a SHA-256: give 64 hexadecimal digits")]
pub struct NotASha256(String);

impl FromStr for Sha256 {
    type Err = NotASha256;

    /// Reads upper-case digits too; CivitAI writes them.
    fn from_str(text: &str) -> Result<Self, NotASha256> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| NotASha256(crate::safetensors::display_name(text)))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// The cancel flag was set.
    #[error("hashing was cancelled")]
    Cancelled,
    /// The file could not be read, or is shorter than it was said to be.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// The SHA-256 of the first `size` bytes of `file`.
///
/// `on_progress` hears the bytes hashed so far after each chunk; `cancel` is looked at before each.
pub fn sha256<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    mut on_progress: impl FnMut(u64),
    cancel: &AtomicBool,
) -> Result<Sha256, DigestError> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; CHUNK.min(size as usize)];
    let mut done = 0;
    while done < size {
        if cancel.load(Ordering::Relaxed) {
            return Err(DigestError::Cancelled);
        }
        let count = (size - done).min(buffer.len() as u64) as usize;
        file.read_exact_at(&mut buffer[..count], done)?;
        hasher.update(&buffer[..count]);
        done += count as u64;
        on_progress(done);
    }
    Ok(Sha256(hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_file_of_several_chunks_hashes_as_its_bytes() {
        let bytes: Vec<u8> = (0..2_500_000_u32).map(|number| (number % 253) as u8).collect();
        let mut reports = Vec::new();
        let hash = sha256(&bytes, bytes.len() as u64, |done| reports.push(done), &AtomicBool::new(false));
        assert_eq!(hash.unwrap(), Sha256::of(&bytes));
        assert_eq!(reports, [1_048_576, 2_097_152, 2_500_000]);
    }

    #[test]
    fn nothing_has_the_known_hash() {
        let hash = sha256(&[][..], 0, |_| (), &AtomicBool::new(false)).unwrap();
        assert_eq!(hash.to_string(), NOTHING);
        assert_eq!(hash.auto_v2(), &NOTHING[..10]);
    }

    #[test]
    fn a_set_flag_stops_it_and_a_short_file_is_an_error() {
        let bytes = vec![0_u8; 10];
        let cancelled = sha256(&bytes, 10, |_| (), &AtomicBool::new(true));
        assert!(matches!(cancelled, Err(DigestError::Cancelled)));
        let short = sha256(&bytes, 11, |_| (), &AtomicBool::new(false));
        assert!(matches!(short, Err(DigestError::Read(_))));
    }

    #[test]
    fn text_goes_both_ways_and_case_does_not_matter() {
        let hash: Sha256 = NOTHING.to_uppercase().parse().unwrap();
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{NOTHING}\""));
        assert_eq!("abc".parse::<Sha256>(), Err(NotASha256("abc".to_owned())));
    }
}
