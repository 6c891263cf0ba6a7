//! What an answer brings: which bytes, under which validator, of which file.

use std::ops::Range;

use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use url::Url;

use crate::error::TransferError;
use crate::failure::Failure;
use crate::limits::Permit;
use crate::masked_url::MaskedUrl;

/// An answer with a body to read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) content: Content,
    /// Strong validator of the answer.
    pub(crate) etag: Option<String>,
    pub(crate) url: Url,
    /// Held as long as the connection is used.
    pub(crate) _permit: Permit,
}

/// Which bytes an answer brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// 206.
    Part { range: Range<u64>, total: Option<u64> },
    /// 200.
    Whole { length: Length },
    /// 416: nothing, and perhaps the size of the file.
    Beyond { total: Option<u64> },
}

/// What is known of the end of a whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    /// The body marks its end.
    Marked,
    /// The end of the connection is the end of the body: cut or complete, nobody knows.
    Unknown,
}

/// Host and port: what limits and gates count by.
pub(crate) fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Reads the headers of an answer to a request for bytes.
pub(crate) fn answer(response: Response, permit: Permit, url: &Url) -> Result<Answer, Failure> {
    let headers = response.headers();
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        let encoding = printable(encoding.as_bytes(), 40);
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            return Err(TransferError::Encoded { url: MaskedUrl::new(url), encoding }.into());
        }
    }
    let content = content(response.status(), headers)
        .map_err(|detail| Failure::Contradiction(format!("`{}` {detail}", authority(url))))?;
    let etag = headers.get(header::ETAG).and_then(|value| strong_etag(value.to_str().ok()?));
    Ok(Answer { content, etag, url: url.clone(), _permit: permit, response })
}

/// A strong validator; weak ones promise too little to put parts together.
fn strong_etag(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() > 2 && text.starts_with('"') && text.ends_with('"')).then(|| text.to_owned())
}

fn content(status: StatusCode, headers: &HeaderMap) -> Result<Content, String> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let ranges = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let (range, total) = ranges.and_then(parse_content_range).ok_or_else(|| {
                format!("sent a part without a usable `Content-Range` (`{}`)", ranges.unwrap_or(""))
            })?;
            if length.is_some_and(|length| length != range.end - range.start) {
                return Err("sent a part whose length is not that of its range".to_owned());
            }
            Ok(Content::Part { range, total })
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let total = ranges.and_then(|text| text.strip_prefix("bytes */")?.parse().ok());
            Ok(Content::Beyond { total })
        }
        _ => Ok(Content::Whole {
            length: match length {
                Some(length) => Length::Known(length),
                None if headers.contains_key(header::TRANSFER_ENCODING) => Length::Marked,
                None => Length::Unknown,
            },
        }),
    }
}

/// Reads `bytes 0-9/100` and `bytes 0-9/*`.
fn parse_content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    let total = if total == "*" { None } else { Some(total.parse::<u64>().ok()?) };
    (range.start < range.end && total.is_none_or(|total| range.end <= total)).then_some((range, total))
}

/// The `filename` parameter of a `Content-Disposition`.
pub(crate) fn file_name(disposition: &str) -> Option<String> {
    let at = disposition.to_ascii_lowercase().find("filename=")? + "filename=".len();
    let value = disposition.get(at..)?.trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        let plain = value.split(';').next()?.trim();
        return (!plain.is_empty()).then(|| plain.to_owned());
    };
    let mut name = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => name.push(characters.next()?),
            character => name.push(character),
        }
    }
    (!name.is_empty()).then_some(name)
}

/// Text from a header without control characters, cut to `limit` characters.
pub(crate) fn printable(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_and_senseless_ones_refused() {
        assert_eq!(parse_content_range("bytes 0-9/100"), Some((0..10, Some(100))));
        assert_eq!(parse_content_range("bytes 5-5/*"), Some((5..6, None)));
        for wrong in [
            "",
            "bytes",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "items 0-1/2",
            "bytes -5/9",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_strong_validators_count() {
        assert_eq!(strong_etag("\"a\"").as_deref(), Some("\"a\""));
        assert_eq!(strong_etag("W/\"a\""), None);
        assert_eq!(strong_etag("a"), None);
    }

    #[test]
    fn file_names_are_taken_as_they_are_written() {
        assert_eq!(file_name("attachment; filename=\"a b.safetensors\"").as_deref(), Some("a b.safetensors"));
        assert_eq!(file_name("attachment; FileName=a.pt; x=y").as_deref(), Some("a.pt"));
        assert_eq!(file_name("attachment; filename=\"a\\\"b;c\"").as_deref(), Some("a\"b;c"));
        assert_eq!(file_name("attachment; filename*=UTF-8''x"), None);
        assert_eq!(file_name("attachment; filename=\"open"), None);
    }
}
