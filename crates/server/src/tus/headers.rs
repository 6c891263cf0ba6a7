//! The headers of the protocol.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lorakeep_registry::domain::{UploadDetails, UploadRoute};
use lorakeep_registry::{Checksum, Error};

use crate::envelope::Refusal;
use crate::extract::bool_of;
use crate::problem::Problem;

/// The one version that is spoken.
pub(super) const VERSION: &str = "1.0.0";
/// What is served of the protocol beside its core.
pub(super) const EXTENSIONS: &str = "creation,creation-with-upload,termination,checksum,expiration";
/// What a piece is sent as.
const PIECE: &str = "application/offset+octet-stream";
/// `Checksum Mismatch`, a status of the protocol's own.
pub(super) const CHECKSUM_MISMATCH: u16 = 460;

pub(super) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(super) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(super) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(super) const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(super) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(super) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(super) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The client must say which version it speaks, and it must be ours.
pub(super) fn require_version(own: &HeaderMap) -> Result<(), Refusal> {
    if own.get(RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let detail = format!("the header `Tus-Resumable: {VERSION}` is missing or names another version");
    let mut problem = Problem::new(StatusCode::PRECONDITION_FAILED, "unknown_version", detail);
    problem.headers.push((VERSIONS, HeaderValue::from_static(VERSION)));
    Err(problem.into())
}

/// The length of the whole.
pub(super) fn length(own: &HeaderMap) -> Result<u64, Refusal> {
    if own.contains_key(DEFER_LENGTH) {
        let detail =
            "the length of an upload must be known when it begins; `Upload-Defer-Length` is not served";
        return Err(bad_header(detail));
    }
    number(own, &LENGTH)
}

/// The byte that a piece begins at.
pub(super) fn offset(own: &HeaderMap) -> Result<u64, Refusal> {
    number(own, &OFFSET)
}

fn number(own: &HeaderMap, name: &HeaderName) -> Result<u64, Refusal> {
    let text = own.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `+5` would parse, too.
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number
        .filter(|number| i64::try_from(*number).is_ok())
        .ok_or_else(|| bad_header(format!("the header `{name}` must be a whole number of bytes")))
}

pub(super) fn checksum(own: &HeaderMap) -> Result<Option<Checksum>, Error> {
    own.get(CHECKSUM).map(|value| Checksum::parse(value.to_str().unwrap_or_default())).transpose()
}

/// Whether the body is a piece of the upload.
pub(super) fn is_piece(own: &HeaderMap) -> bool {
    own.get(CONTENT_TYPE).is_some_and(|kind| kind == PIECE)
}

pub(super) fn require_piece(own: &HeaderMap) -> Result<(), Refusal> {
    if is_piece(own) {
        return Ok(());
    }
    let detail = format!("a piece of an upload must be sent as `{PIECE}`");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// What the client says of the upload, as written and as understood: `filename` (or `name`), `entity_type`,
/// `use_safe_filename`; other keys are kept and passed over.
pub(super) fn metadata(own: &HeaderMap, route: UploadRoute) -> Result<(String, UploadDetails), Refusal> {
    let written = own.get(METADATA).map(|value| value.to_str().map(str::trim));
    let written =
        written.transpose().map_err(|_| bad_header("`Upload-Metadata` must be ASCII"))?.unwrap_or_default();
    let (mut file_name, mut name, mut entity_type, mut use_safe_filename) = (None, None, None, None);
    for pair in written.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let place = match key {
            "filename" => &mut file_name,
            "name" => &mut name,
            "entity_type" => &mut entity_type,
            "use_safe_filename" => &mut use_safe_filename,
            _ => continue,
        };
        if place.replace(text(key, value)?).is_some() {
            return Err(bad_header(format!("`Upload-Metadata` has `{key}` twice")));
        }
    }
    let Some(file_name) = file_name.or(name).filter(|name| !name.is_empty()) else {
        return Err(bad_header("`Upload-Metadata` needs a `filename`, its value in base64"));
    };
    let use_safe_filename = flag(use_safe_filename.as_deref())?;
    Ok((written.to_owned(), UploadDetails { route, file_name, entity_type, use_safe_filename }))
}

/// The text of one key of `Upload-Metadata`.
pub(super) fn value_of(metadata: &str, key: &str) -> Option<String> {
    let mut pairs = metadata.split(',').map(|pair| pair.trim().split_once(' ').unwrap_or((pair.trim(), "")));
    pairs.find(|(own, _)| *own == key).and_then(|(key, value)| text(key, value).ok())
}

fn text(key: &str, value: &str) -> Result<String, Refusal> {
    let bytes = STANDARD.decode(value.trim()).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| bad_header(format!("`{key}` of `Upload-Metadata` must be UTF-8 in base64")))
}

fn flag(text: Option<&str>) -> Result<bool, Refusal> {
    match text {
        None | Some("") => Ok(true),
        Some(text) => bool_of(text)
            .ok_or_else(|| bad_header("`use_safe_filename` of `Upload-Metadata` must be `true` or `false`")),
    }
}

pub(super) fn bad_header(detail: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad_header", detail)
}

/// RFC 9110 section 5.6.7.
pub(super) fn http_date(moment: DateTime<Utc>) -> HeaderValue {
    let text = moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::try_from(text).expect("a date is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<(String, Option<String>, bool)> {
        let own = HeaderMap::from_iter([(METADATA, HeaderValue::from_static(text))]);
        let (written, details) = metadata(&own, UploadRoute::User).ok()?;
        assert_eq!(written, text.trim());
        Some((details.file_name, details.entity_type, details.use_safe_filename))
    }

    #[test]
    fn metadata_is_read_as_clients_write_it() {
        let all = "filename YS5wdA==,entity_type c3R5bGVz, use_safe_filename ZmFsc2U=,filetype ,is_secret";
        assert_eq!(read(all), Some(("a.pt".into(), Some("styles".into()), false)));
        assert_eq!(read("name YS5wdA=="), Some(("a.pt".into(), None, true)));
        assert_eq!(read("name eA==,filename YS5wdA=="), Some(("a.pt".into(), None, true)));
        let wrong = [
            "",
            "filename",
            "filename YS5wdA",
            "filename /w==",
            "filename YQ==,filename YQ==",
            "filename YQ==,use_safe_filename YQ==",
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_of_bytes_is_digits_and_nothing_else() {
        for (text, number) in [("0", Some(0)), ("5", Some(5)), ("9223372036854775807", Some(i64::MAX as u64))]
        {
            let own = HeaderMap::from_iter([(OFFSET, HeaderValue::from_static(text))]);
            assert_eq!(offset(&own).ok(), number);
        }
        for text in ["", "-1", "+5", "1.0", "0x5", "9223372036854775808", "1 ", "five"] {
            let own = HeaderMap::from_iter([(OFFSET, HeaderValue::from_static(text))]);
            assert!(offset(&own).is_err(), "{text}");
        }
    }

    #[test]
    fn a_date_is_written_as_http_does() {
        let moment = DateTime::from_timestamp(1_781_000_000, 0).expect("a time");
        assert_eq!(http_date(moment), "Tue, 09 Jun 2026 10:13:20 GMT");
    }
}
