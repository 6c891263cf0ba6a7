//! What a file is by its first bytes. A name is a claim, the content is a fact.

use std::fmt;

use crate::safetensors::HEADER_CAP;

/// How many bytes of a file [`sniff`] wants to see; fewer are fine when the file is shorter.
pub const SNIFF_LENGTH: usize = 1024;

/// A pickle of the integer `0x1950a86a20f9469cfc6c`, with which files of torch 0.1.10 to 1.5 begin.
pub(crate) const TORCH_LEGACY_MAGIC: [u8; 15] =
    [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];

/// What the first bytes of a file look like. Nothing is said yet about the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A length and a JSON header.
    Safetensors,
    /// A zip whose first member is what `torch.save` writes (torch 1.6 and newer).
    TorchZip,
    /// The magic pickle of torch 0.1.10 to 1.5.
    TorchLegacy,
    /// A pickle without a torch container.
    BarePickle,
    /// llama.cpp's container.
    Gguf,
    /// A protobuf that begins like an ONNX model.
    Onnx,
    /// A NumPy array.
    Npy,
    /// A web page.
    Html,
    /// JSON text.
    Json,
    /// Any other readable text.
    Text,
    /// The pointer that Git LFS stores in place of a file.
    LfsPointer,
    /// A zip that torch did not write.
    Zip,
    /// A gzip stream.
    Gzip,
    /// A 7z archive.
    SevenZip,
    /// A RAR archive.
    Rar,
    /// An xz stream.
    Xz,
    /// A Zstandard stream.
    Zstd,
    /// A bzip2 stream.
    Bzip2,
    /// A tar archive; torch before 0.1.10 wrote these.
    Tar,
    /// Not a single byte.
    Empty,
    /// None of the above.
    Unknown,
}

impl Format {
    /// What a person would call it, with its article: `an HTML page`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Safetensors => "a safetensors file",
            Self::TorchZip => "a torch file (zip)",
            Self::TorchLegacy => "a torch file (before 1.6)",
            Self::BarePickle => "a bare pickle",
            Self::Gguf => "a GGUF file",
            Self::Onnx => "an ONNX model",
            Self::Npy => "a NumPy array",
            Self::Html => "an HTML page",
            Self::Json => "a JSON text",
            Self::Text => "a plain text",
            Self::LfsPointer => "a Git LFS pointer",
            Self::Zip => "a zip archive",
            Self::Gzip => "a gzip archive",
            Self::SevenZip => "a 7z archive",
            Self::Rar => "a RAR archive",
            Self::Xz => "an xz archive",
            Self::Zstd => "a Zstandard archive",
            Self::Bzip2 => "a bzip2 archive",
            Self::Tar => "a tar archive",
            Self::Empty => "an empty file",
            Self::Unknown => "a file of an unknown format",
        }
    }

    /// One lower-case word for JSON and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "torch_zip",
            Self::TorchLegacy => "torch_legacy",
            Self::BarePickle => "pickle",
            Self::Gguf => "gguf",
            Self::Onnx => "onnx",
            Self::Npy => "npy",
            Self::Html => "html",
            Self::Json => "json",
            Self::Text => "text",
            Self::LfsPointer => "lfs_pointer",
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::SevenZip => "7z",
            Self::Rar => "rar",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Tar => "tar",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }

    /// A container that hides its content from every check here.
    pub fn is_archive(self) -> bool {
        matches!(
            self,
            Self::Zip
                | Self::Gzip
                | Self::SevenZip
                | Self::Rar
                | Self::Xz
                | Self::Zstd
                | Self::Bzip2
                | Self::Tar
        )
    }

    /// Loading such a file can run the program in it.
    pub fn is_pickle(self) -> bool {
        matches!(self, Self::TorchZip | Self::TorchLegacy | Self::BarePickle | Self::Npy)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// Magic bytes at the start, in the order in which they are tried.
const MAGICS: &[(&[u8], Format)] = &[
    (&TORCH_LEGACY_MAGIC, Format::TorchLegacy),
    (b"PK\x05\x06", Format::Zip),
    (b"PK\x07\x08", Format::Zip),
    (b"GGUF", Format::Gguf),
    (b"\x93NUMPY", Format::Npy),
    (b"\x1f\x8b", Format::Gzip),
    (b"7z\xbc\xaf\x27\x1c", Format::SevenZip),
    (b"Rar!\x1a\x07", Format::Rar),
    (b"\xfd7zXZ\x00", Format::Xz),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (b"BZh", Format::Bzip2),
    (b"version https://git-lfs", Format::LfsPointer),
];

/// Says what a file of `size` bytes is by its first bytes (give [`SNIFF_LENGTH`] of them).
pub fn sniff(head: &[u8], size: u64) -> Format {
    if size == 0 || head.is_empty() {
        return Format::Empty;
    }
    if let Some((_, format)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *format;
    }
    if head.starts_with(b"PK\x03\x04") {
        return zip_kind(head);
    }
    if looks_like_safetensors(head) {
        return Format::Safetensors;
    }
    if head.get(257..262) == Some(b"ustar".as_slice()) {
        return Format::Tar;
    }
    if matches!(head, [0x80, 0..=5, ..]) {
        return Format::BarePickle;
    }
    sniff_text(head).unwrap_or_else(|| sniff_binary(head))
}

fn looks_like_safetensors(head: &[u8]) -> bool {
    let Some((length, rest)) = head.split_first_chunk::<8>() else { return false };
    u64::from_le_bytes(*length) <= HEADER_CAP && rest.first() == Some(&b'{')
}

/// torch writes its members under one folder, the pickle first.
fn zip_kind(head: &[u8]) -> Format {
    let name_length =
        head.get(26..28).map_or(0, |bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let name = head.get(30..30 + name_length).unwrap_or_default();
    let torch = [&b"/data.pkl"[..], b"/version", b"/byteorder", b"/.format_version", b"/constants.pkl"];
    if torch.iter().any(|member| name.ends_with(member)) { Format::TorchZip } else { Format::Zip }
}

fn sniff_text(head: &[u8]) -> Option<Format> {
    let text = printable_start(head)?;
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if is_text_pickle(start) {
        return Some(Format::BarePickle);
    }
    let lower: String = start.chars().take(512).flat_map(char::to_lowercase).collect();
    let html = ["<!doctype html", "<html", "<head", "<body", "<script"];
    let xml_page = lower.starts_with("<?xml") && lower.contains("<html");
    if html.iter().any(|tag| lower.starts_with(tag)) || lower.starts_with("<!--") || xml_page {
        return Some(Format::Html);
    }
    match start.as_bytes().first() {
        Some(b'{' | b'[') => Some(Format::Json),
        _ => Some(Format::Text),
    }
}

/// The head as text, if nothing in it is binary; a character cut in two at the end does not count.
fn printable_start(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).expect("valid up to there")
        }
        Err(_) => return None,
    };
    let binary =
        |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t' | '\u{c}');
    if text.is_empty() || text.contains(binary) { None } else { Some(text) }
}

/// Protocol 0 has no magic: an import `cmodule\nname\n` and what is done with it, or a mark followed by an
/// opcode and its line. Lists of words look a little like it, so both have to go on as a pickle does.
fn is_text_pickle(text: &str) -> bool {
    let body = text.trim_start_matches(['(', ']', '}', ')']);
    if body.strip_prefix(['c', 'i']).is_some_and(is_import) {
        return true;
    }
    let mut letters = body.chars();
    let (opcode, next) = (letters.next(), letters.next());
    let number = next.is_some_and(|letter| letter.is_ascii_digit() || letter == '-');
    let third_is_number = letters.next().is_some_and(|letter| letter.is_ascii_digit());
    let goes_on = match opcode {
        Some('l' | 'd' | 't') => matches!(next, Some('.' | '(')) || (next == Some('p') && third_is_number),
        Some('N') => matches!(next, Some('.' | '(')),
        Some('S') => matches!(next, Some('\'' | '"')),
        Some('I' | 'F' | 'L' | 'p') => number,
        _ => false,
    };
    text.starts_with('(') && goes_on
}

/// Two lines with the name of a module and of something in it, and an opcode that uses it.
fn is_import(rest: &str) -> bool {
    let identifier = |line: &str| {
        !line.is_empty()
            && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    };
    let mut lines = rest.splitn(3, '\n');
    let names = lines.next().is_some_and(identifier) && lines.next().is_some_and(identifier);
    let mut after = lines.next().unwrap_or_default().chars();
    let used = match after.next() {
        Some('(' | ')' | '.' | ']' | '}') => true,
        Some('p' | 'q') => after.next().is_some_and(|letter| letter.is_ascii_digit()),
        _ => false,
    };
    names && used
}

fn sniff_binary(head: &[u8]) -> Format {
    match head {
        // A mark, an empty container or an import followed by binary opcodes.
        [b'(' | b']' | b'}' | b')' | b'c', ..] => Format::BarePickle,
        // ModelProto: ir_version as field 1, then a field that ModelProto has.
        [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..] => Format::Onnx,
        _ => Format::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors(header: &str) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
    }

    fn zip_head(name: &str) -> Vec<u8> {
        let mut head = b"PK\x03\x04".to_vec();
        head.resize(26, 0);
        head.extend((name.len() as u16).to_le_bytes());
        head.extend([0, 0]);
        head.extend(name.as_bytes());
        head
    }

    #[test]
    fn each_magic_is_recognised() {
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: Vec<(Vec<u8>, Format)> = vec![
            (safetensors("{}"), Format::Safetensors),
            (zip_head("archive/data.pkl"), Format::TorchZip),
            (zip_head("readme.txt"), Format::Zip),
            (b"PK\x05\x06rest".to_vec(), Format::Zip),
            (TORCH_LEGACY_MAGIC.to_vec(), Format::TorchLegacy),
            (b"\x80\x04\x95rest".to_vec(), Format::BarePickle),
            (b"cos\nsystem\n(S'id'\ntR.".to_vec(), Format::BarePickle),
            (b"(lp0\n.".to_vec(), Format::BarePickle),
            (b"GGUF\x03\0\0\0".to_vec(), Format::Gguf),
            (b"\x08\x08\x12\x07pytorch".to_vec(), Format::Onnx),
            (b"\x93NUMPY\x01\0".to_vec(), Format::Npy),
            (b"  <!DOCTYPE HTML>".to_vec(), Format::Html),
            (b"<html lang=en>".to_vec(), Format::Html),
            (b"{\"error\": \"not found\"}".to_vec(), Format::Json),
            (b"Not Found".to_vec(), Format::Text),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), Format::LfsPointer),
            (b"\x1f\x8b\x08".to_vec(), Format::Gzip),
            (b"7z\xbc\xaf\x27\x1c".to_vec(), Format::SevenZip),
            (b"Rar!\x1a\x07\x01\0".to_vec(), Format::Rar),
            (b"\xfd7zXZ\0".to_vec(), Format::Xz),
            (b"\x28\xb5\x2f\xfd".to_vec(), Format::Zstd),
            (b"BZh9".to_vec(), Format::Bzip2),
            (tar, Format::Tar),
            (Vec::new(), Format::Empty),
            (vec![0; 64], Format::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(sniff(&bytes, bytes.len() as u64), expected, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn text_cut_in_the_middle_of_a_character_is_still_text() {
        assert_eq!(sniff("<html>é".as_bytes().split_last().unwrap().1, 100), Format::Html);
    }

    #[test]
    fn word_lists_are_texts() {
        for text in
            ["cat\ndog\nbird\n", "(the end)", "(dpi settings)", "(low quality:1.4), text", "i\nyou\nwe"]
        {
            assert_eq!(sniff(text.as_bytes(), text.len() as u64), Format::Text, "{text}");
        }
        for pickle in ["(dp0\nS'a'\n", "(lp1\n.", "(S'id'\nios\nsystem\n.", "cos\nsystem\np0\n(", "(I1\nt."] {
            assert_eq!(sniff(pickle.as_bytes(), pickle.len() as u64), Format::BarePickle, "{pickle}");
        }
    }

    #[test]
    fn names_are_unique() {
        let all = [Format::Safetensors, Format::TorchZip, Format::Zip, Format::Tar, Format::Unknown];
        let names: std::collections::HashSet<_> = all.iter().map(|format| format.name()).collect();
        assert_eq!(names.len(), all.len());
    }
}
