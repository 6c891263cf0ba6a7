//! Sending a file of the gallery: in pieces, by range, cached for good; never inline in a form that a browser would run.

use std::io::SeekFrom;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::{Error, MediaFile};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::conditional::is_known;
use crate::envelope::Refusal;

/// The file behind an id never changes.
const FOR_GOOD: &str = "public, max-age=86400, immutable";
/// Nothing within a media file may run or load anything.
const NOTHING_RUNS: &str = "default-src 'none'; sandbox";

/// What is asked of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    /// First and last byte.
    Part(u64, u64),
    Unsatisfiable,
}

pub(crate) async fn send(media: MediaFile, headers: &HeaderMap) -> Result<Response, Refusal> {
    let failed = |error| Refusal::from(Error::internal("reading a file of the gallery", error));
    let mut file = File::open(&media.path).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    let (length, etag) = (metadata.len(), etag(&metadata));
    if headers.contains_key(IF_NONE_MATCH) && is_known(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let (status, first, count) = match wanted(headers, &etag, length) {
        Wanted::All => (StatusCode::OK, 0, length),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Unsatisfiable => {
            let range = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    file.seek(SeekFrom::Start(first)).await.map_err(failed)?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(count), 64 << 10));
    let mut response = (status, body).into_response();
    let own = response.headers_mut();
    own.insert(CONTENT_TYPE, HeaderValue::from_static(media.media_type));
    own.insert(CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
    own.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_RUNS));
    own.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    own.insert(CONTENT_LENGTH, count.into());
    own.insert(ETAG, etag);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{length}", first + count - 1);
        own.insert(CONTENT_RANGE, HeaderValue::try_from(range).expect("digits are a header value"));
    }
    Ok(response)
}

/// Length and time of change name the bytes.
fn etag(metadata: &std::fs::Metadata) -> HeaderValue {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let nanoseconds = changed.map_or(0, |since| since.as_nanos());
    let text = format!("\"{:x}-{nanoseconds:x}\"", metadata.len());
    HeaderValue::try_from(text).expect("hexadecimal digits are a header value")
}

/// RFC 9110 section 14.2: one range of bytes; anything else asks for all.
fn wanted(headers: &HeaderMap, etag: &HeaderValue, length: u64) -> Wanted {
    if headers.get(IF_RANGE).is_some_and(|known| known != etag) {
        return Wanted::All;
    }
    let range = headers
        .get(RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Wanted::All;
    };
    if range.is_some_and(|range| range.contains(',')) {
        return Wanted::All;
    }
    let bounds = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(length.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, length.saturating_sub(1)),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => {
            (length.saturating_sub(count), length.saturating_sub(1))
        }
        (Err(_), Ok(0)) if first.is_empty() => return Wanted::Unsatisfiable,
        _ => return Wanted::All,
    };
    if bounds.0 < length { Wanted::Part(bounds.0, bounds.1) } else { Wanted::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &'static str) -> Wanted {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]);
        wanted(&headers, &HeaderValue::from_static("\"a\""), 10)
    }

    #[test]
    fn one_range_is_answered_and_anything_odd_asks_for_all() {
        assert_eq!(of("bytes=0-3"), Wanted::Part(0, 3));
        assert_eq!(of("bytes=4-"), Wanted::Part(4, 9));
        assert_eq!(of("bytes=-3"), Wanted::Part(7, 9));
        assert_eq!(of("bytes=8-99"), Wanted::Part(8, 9));
        assert_eq!(of("bytes=10-"), Wanted::Unsatisfiable);
        assert_eq!(of("bytes=-0"), Wanted::Unsatisfiable);
        for odd in ["bytes=3-1", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=-"] {
            assert_eq!(of(odd), Wanted::All, "{odd}");
        }
    }

    #[test]
    fn a_range_of_another_version_asks_for_all() {
        let headers = HeaderMap::from_iter([
            (RANGE, HeaderValue::from_static("bytes=0-3")),
            (IF_RANGE, HeaderValue::from_static("\"b\"")),
        ]);
        assert_eq!(wanted(&headers, &HeaderValue::from_static("\"a\""), 10), Wanted::All);
    }
}
