//! The header of a safetensors file, read strictly: what two readers could understand differently is
//! malformed.
//!
//! Format: <https://huggingface.co/docs/safetensors>. Stricter than the reference reader on purpose:
//! duplicate keys, white space before the header, a rank above 64 and more than 200,000 tensors are
//! refused, and no sum can wrap.

mod dtype;
mod layout;
mod parse;

use std::io;
use std::ops::Range;

pub use dtype::Dtype;

use crate::read::ReadAt;

/// The longest header that is read, in bytes; the reference reader's limit.
pub const HEADER_CAP: u64 = 100_000_000;
/// The most tensors a file may name.
pub const TENSOR_CAP: usize = 200_000;
/// The highest rank of a tensor.
pub const RANK_CAP: usize = 64;
/// The deepest nesting of the header's JSON.
pub const DEPTH_CAP: usize = 4;
/// The longest tensor name or metadata key, in bytes.
pub const NAME_CAP: usize = 64 * 1024;
/// The most metadata entries.
pub const METADATA_ENTRY_CAP: usize = 65_536;
/// How much of one metadata value is kept, in bytes.
pub const METADATA_VALUE_KEPT: usize = 1024 * 1024;
/// How much of all metadata values together is kept, in bytes.
pub const METADATA_TOTAL_KEPT: usize = 16 * 1024 * 1024;

/// Why a file is not a safetensors file that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Fewer than eight bytes.
    #[error("the file has {size} bytes, too few for a safetensors header")]
    TooShort {
        /// The file's size in bytes.
        size: u64,
    },
    /// The header's length is above [`HEADER_CAP`].
    #[error("the header claims {length} bytes, more than {HEADER_CAP} are not read")]
    HeaderTooLong {
        /// The length that the file claims.
        length: u64,
    },
    /// The header would end behind the end of the file.
    #[error("the header claims {length} bytes but the file has {size}: it is cut off, download it again")]
    HeaderBeyondEnd {
        /// The length that the file claims.
        length: u64,
        /// The file's size in bytes.
        size: u64,
    },
    /// The header's first byte is not `{`.
    #[error("the header does not start with `{{`")]
    NoBrace,
    /// The header is not the JSON that the format asks for.
    #[error("the header is malformed: {0}")]
    Json(String),
    /// A tensor's shape, type and byte range do not fit each other.
    #[error("tensor `{name}` {reason}")]
    Tensor {
        /// The tensor's name, shortened for display.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tensors do not cover the data exactly.
    #[error("{0}")]
    Layout(String),
    /// The file ends before or after the tensors do.
    #[error("the tensors end at byte {expected} but the file has {size} bytes: {advice}")]
    Size {
        /// The size that the header asks for.
        expected: u64,
        /// The file's size in bytes.
        size: u64,
        /// What to make of it.
        advice: &'static str,
    },
    /// The file could not be read; nothing is known about its content.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name; hostile text.
    pub name: Box<str>,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape, outermost dimension first; empty for a scalar.
    pub shape: Box<[u64]>,
    /// Where its bytes are, counted from the first byte behind the header.
    pub range: Range<u64>,
}

impl Tensor {
    /// The number of elements; it was checked to fit.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// One metadata entry; both texts are hostile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataEntry {
    /// The key.
    pub key: String,
    /// The value, or the start of it when [`truncated`](Self::truncated).
    pub value: String,
    /// The value was longer than what is kept.
    pub truncated: bool,
}

/// What a safetensors file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The length of the JSON header in bytes; tensor data begins at `8 + length`.
    pub length: u64,
    /// The tensors in the order in which the header names them.
    pub tensors: Vec<Tensor>,
    /// The metadata in the order of the header.
    pub metadata: Vec<MetadataEntry>,
}

impl Header {
    /// Reads and judges the header of a file of `size` bytes. Tensor data is not read.
    pub fn read<F: ReadAt + ?Sized>(file: &F, size: u64) -> Result<Self, Malformed> {
        let length = header_length(file, size)?;
        let mut header = parse::parse(file, length)?;
        header.length = length;
        layout::check(&header.tensors, header.data_start(), size)?;
        Ok(header)
    }

    /// The position in the file of the first byte of tensor data.
    pub fn data_start(&self) -> u64 {
        8 + self.length
    }

    /// The number of elements of all tensors.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(Tensor::elements).fold(0, u64::saturating_add)
    }

    /// The value of a metadata key.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}

fn header_length<F: ReadAt + ?Sized>(file: &F, size: u64) -> Result<u64, Malformed> {
    if size < 8 {
        return Err(Malformed::TooShort { size });
    }
    let mut prefix = [0; 8];
    file.read_exact_at(&mut prefix, 0)?;
    let length = u64::from_le_bytes(prefix);
    if length > HEADER_CAP {
        return Err(Malformed::HeaderTooLong { length });
    }
    if length > size - 8 {
        return Err(Malformed::HeaderBeyondEnd { length, size });
    }
    let mut first = [0; 1];
    if length > 0 {
        file.read_exact_at(&mut first, 8)?;
    }
    if first == *b"{" { Ok(length) } else { Err(Malformed::NoBrace) }
}

/// A name from a file, short enough and harmless enough for an error text.
pub(crate) fn display_name(name: &str) -> String {
    let mut shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    if name.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn read(header: &str, data: usize) -> Result<Header, Malformed> {
        let bytes = file(header, data);
        Header::read(&bytes, bytes.len() as u64)
    }

    fn reason(header: &str, data: usize) -> String {
        read(header, data).expect_err(header).to_string()
    }

    #[test]
    fn a_plain_header_is_read_in_file_order() {
        let header = read(
            r#"{"b":{"dtype":"F16","shape":[2,2],"data_offsets":[4,12]},"__metadata__":{"z":"1","a":"2"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   "#,
            12,
        )
        .unwrap();
        assert_eq!(header.tensors.iter().map(|tensor| &*tensor.name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(header.tensors[0].range, 4..12);
        assert_eq!(header.parameters(), 5);
        assert_eq!(header.metadata[0].key, "z");
        assert_eq!(header.metadata_value("a"), Some("2"));
    }

    #[test]
    fn a_header_without_tensors_is_read() {
        assert_eq!(read("{}", 0).unwrap().tensors, []);
        assert!(read(r#"{"__metadata__":null}"#, 0).is_err());
    }

    #[test]
    fn duplicate_keys_anywhere_are_malformed_also_when_escaped() {
        let tensor = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
        let cases = [
            format!(r#"{{"a":{tensor},"a":{tensor}}}"#),
            format!(r#"{{"a":{tensor},"\u0061":{tensor}}}"#),
            format!(r#"{{"__metadata__":{{"k":"1","\u006b":"2"}},"a":{tensor}}}"#),
            format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"a":{tensor}}}"#),
            r#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#.to_owned(),
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1,"x":2}}"#.to_owned(),
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{"y":1,"y":2}}}"#.to_owned(),
        ];
        for case in cases {
            assert!(reason(&case, 1).contains("twice"), "{case}: {}", reason(&case, 1));
        }
    }

    #[test]
    fn what_is_not_the_formats_json_is_malformed() {
        let cases = [
            " {}",
            "[]",
            "{",
            "{}x",
            "{\"a\":1}",
            "{\"a\":{}}",
            "{\"__metadata__\":{\"k\":1}}",
            "{'a':1}",
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#,
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#,
            r#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#,
            r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#,
            r#"{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}"#,
            r#"{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}}"#,
            r#"{"a":{"dtype":"U8","shape":"1","data_offsets":[0,1]}}"#,
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}}"#,
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[[[1]]]}}"#,
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},}"#,
        ];
        for case in cases {
            assert!(read(case, 1).is_err(), "{case}");
        }
        let nested = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[[1]]}}"#;
        assert!(read(nested, 1).is_ok(), "four levels are allowed");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_malformed() {
        let mut bytes = file(r#"{"__metadata__":{"k":"x"}}"#, 0);
        let position = bytes.iter().position(|byte| *byte == b'x').unwrap();
        bytes[position] = 0xff;
        assert!(matches!(Header::read(&bytes, bytes.len() as u64), Err(Malformed::Json(_))));
    }

    #[test]
    fn ranges_must_fit_the_shape_and_cover_the_data() {
        let tensor = |name: &str, shape: &str, range: &str| {
            format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{range}}}"#)
        };
        let header = |parts: &[String]| format!("{{{}}}", parts.join(","));
        let wrong = [
            (header(&[tensor("a", "[1]", "[0,8]")]), 8, "needs 4 bytes"),
            (header(&[tensor("a", "[1]", "[4,0]")]), 4, "ends before it begins"),
            (header(&[tensor("a", "[1]", "[4,8]")]), 8, "gap"),
            (header(&[tensor("a", "[2]", "[0,8]"), tensor("b", "[1]", "[4,8]")]), 8, "overlap"),
            (header(&[tensor("a", "[1]", "[0,4]")]), 5, "bytes behind"),
            (header(&[tensor("a", "[2]", "[0,8]")]), 5, "cut off"),
            (header(&[tensor("a", "[9223372036854775807,4]", "[0,4]")]), 4, "too large"),
            (header(&[tensor("a", "[4611686018427387903]", "[0,18446744073709551612]")]), 4, "too large"),
        ];
        for (text, data, expected) in wrong {
            assert!(reason(&text, data).contains(expected), "{text}: {}", reason(&text, data));
        }
        let zero = header(&[
            tensor("a", "[1]", "[0,4]"),
            tensor("e", "[0,7]", "[4,4]"),
            tensor("b", "[1]", "[4,8]"),
        ]);
        assert!(read(&zero, 8).is_ok(), "an empty tensor has a place between two others");
    }

    #[test]
    fn elements_smaller_than_a_byte_must_fill_bytes() {
        let header = |shape: u32, end: u32| {
            format!(r#"{{"a":{{"dtype":"F4","shape":[{shape}],"data_offsets":[0,{end}]}}}}"#)
        };
        assert!(read(&header(4, 2), 2).is_ok());
        assert!(reason(&header(3, 2), 2).contains("whole number of bytes"));
    }

    #[test]
    fn a_header_that_claims_more_than_the_file_has_is_refused_unread() {
        let mut bytes = 100_000_000_u64.to_le_bytes().to_vec();
        bytes.resize(108, b'{');
        assert!(matches!(Header::read(&bytes, 108), Err(Malformed::HeaderBeyondEnd { .. })));
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(Header::read(&bytes, 108), Err(Malformed::HeaderTooLong { .. })));
        assert!(matches!(Header::read(&[0_u8; 7][..], 7), Err(Malformed::TooShort { .. })));
        assert!(matches!(Header::read(&[0_u8; 8][..], 8), Err(Malformed::NoBrace)));
    }

    #[test]
    fn ranks_and_counts_are_capped() {
        let shape = vec!["1"; RANK_CAP + 1].join(",");
        let rank = format!(r#"{{"a":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,1]}}}}"#);
        assert!(reason(&rank, 1).contains("64"));
        let many: Vec<String> = (0..=TENSOR_CAP)
            .map(|number| format!(r#""{number}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#))
            .collect();
        assert!(reason(&format!("{{{}}}", many.join(",")), 0).contains("200000"));
    }

    #[test]
    fn long_metadata_is_cut_and_says_so() {
        let value = "é".repeat(METADATA_VALUE_KEPT);
        let header = read(&format!(r#"{{"__metadata__":{{"k":"{value}","short":"x"}}}}"#), 0).unwrap();
        assert!(header.metadata[0].truncated);
        assert_eq!(header.metadata[0].value.len(), METADATA_VALUE_KEPT);
        assert!(!header.metadata[1].truncated);
    }

    #[test]
    fn a_long_header_is_read_as_a_short_one() {
        let padding = " ".repeat(10 * 1024 * 1024);
        let header = read(
            &format!(r#"{{{padding}"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}{padding}"#),
            1,
        );
        assert_eq!(header.unwrap().tensors.len(), 1);
    }
}
