//! Pictures and videos: what they are by their first bytes, whatever their name or their server says.

/// A format that the gallery keeps. Formats that can hold scripts (SVG, HTML) are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
    /// AVIF.
    Avif,
    /// MP4 and its relatives.
    Mp4,
    /// WebM and Matroska.
    Webm,
}

/// How many first bytes decide.
pub const SNIFFED_BYTES: usize = 16;

impl MediaFormat {
    /// Every format.
    pub const ALL: [Self; 7] =
        [Self::Png, Self::Jpeg, Self::Webp, Self::Gif, Self::Avif, Self::Mp4, Self::Webm];

    /// The format of a file that begins so; [`SNIFFED_BYTES`] are enough.
    pub fn sniff(start: &[u8]) -> Option<Self> {
        let has = |at: usize, bytes: &[u8]| start.get(at..at + bytes.len()) == Some(bytes);
        if has(0, b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if has(0, &[0xFF, 0xD8, 0xFF]) {
            Some(Self::Jpeg)
        } else if has(0, b"RIFF") && has(8, b"WEBP") {
            Some(Self::Webp)
        } else if has(0, b"GIF87a") || has(0, b"GIF89a") {
            Some(Self::Gif)
        } else if has(4, b"ftyp") {
            Some(if has(8, b"avif") || has(8, b"avis") { Self::Avif } else { Self::Mp4 })
        } else if has(0, &[0x1A, 0x45, 0xDF, 0xA3]) {
            Some(Self::Webm)
        } else {
            None
        }
    }

    /// The extension of its files, with the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => ".png",
            Self::Jpeg => ".jpeg",
            Self::Webp => ".webp",
            Self::Gif => ".gif",
            Self::Avif => ".avif",
            Self::Mp4 => ".mp4",
            Self::Webm => ".webm",
        }
    }

    /// The format of that extension, with the dot.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Avif => "image/avif",
            Self::Mp4 => "video/mp4",
            Self::Webm => "video/webm",
        }
    }

    /// Whether it moves.
    pub fn is_video(self) -> bool {
        matches!(self, Self::Mp4 | Self::Webm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_told_by_their_first_bytes() {
        assert_eq!(MediaFormat::sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some(MediaFormat::Png));
        assert_eq!(MediaFormat::sniff(&[0xFF, 0xD8, 0xFF, 0xE0]), Some(MediaFormat::Jpeg));
        assert_eq!(MediaFormat::sniff(b"RIFF\x10\0\0\0WEBPVP8 "), Some(MediaFormat::Webp));
        assert_eq!(MediaFormat::sniff(b"\0\0\0\x20ftypisom"), Some(MediaFormat::Mp4));
        assert_eq!(MediaFormat::sniff(b"\0\0\0\x20ftypavif"), Some(MediaFormat::Avif));
    }

    #[test]
    fn what_can_hold_scripts_is_no_medium() {
        for start in [&b"<svg xmlns="[..], b"<!DOCTYPE html>", b"", b"PK\x03\x04", b"%PDF-1.7"] {
            assert_eq!(MediaFormat::sniff(start), None);
        }
    }
}
