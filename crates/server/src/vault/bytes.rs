//! The bytes of one file, whole or a range of them (RFC 9110 section 14).

use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use lorakeep_registry::LoraFile;
use lorakeep_registry::domain::{Caller, Right};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::listing::FileQuery;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::extract::Query;

/// What RFC 8187 lets stand in an extended value.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How much is read from the disk at once.
const BLOCK: usize = 256 << 10;

pub(super) async fn read(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(query): Query<FileQuery>,
) -> Result<Response, Refusal> {
    caller.require(Right::Read)?;
    let file = app.registry().open_lora(&query.partial_path).await?;
    let tag = tag(&file);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let size = file.size_bytes;
    let range = match wanted(&headers, &tag, size) {
        Wanted::All => None,
        Wanted::Part(first, last) => Some((first, last)),
        Wanted::Nothing => return Ok(unsatisfiable(size)),
    };
    let (first, length) = range.map_or((0, size), |(first, last)| (first, last - first + 1));
    let mut content = tokio::fs::File::from_std(file.file);
    content
        .seek(SeekFrom::Start(first))
        .await
        .map_err(|error| lorakeep_registry::Error::internal("reading a file", error))?;
    let body = Body::from_stream(ReaderStream::with_capacity(content.take(length), BLOCK));
    let mut response =
        (if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }, body).into_response();
    let own = response.headers_mut();
    own.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    own.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    own.insert(CONTENT_LENGTH, length.into());
    own.insert(ETAG, tag);
    own.insert(CONTENT_DISPOSITION, disposition(file.path.file.as_str()));
    if let Some((first, last)) = range {
        let text = format!("bytes {first}-{last}/{size}");
        own.insert(CONTENT_RANGE, HeaderValue::try_from(text).expect("digits are a header value"));
    }
    Ok(response)
}

/// By content where its hash is known, else by what changes with it.
fn tag(file: &LoraFile) -> HeaderValue {
    let text = match &file.fact {
        Some(fact) => match fact.sha256 {
            Some(sha256) => format!("\"{sha256}\""),
            None => format!("\"{}-{}-{}\"", fact.stamp.size_bytes, fact.stamp.modified_ns, fact.stamp.inode),
        },
        None => format!("\"{}\"", file.size_bytes),
    };
    HeaderValue::try_from(text).expect("hex digits are a header value")
}

fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Some(known) = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else { return false };
    let own = tag.to_str().unwrap_or_default();
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == own || one == "*")
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// First and last byte.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

/// One range is answered; several, or one that is not understood, count as none (RFC 9110 section 14.2).
fn wanted(headers: &HeaderMap, tag: &HeaderValue, size: u64) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Wanted::All };
    if headers.get(IF_RANGE).is_some_and(|condition| condition != tag) {
        return Wanted::All;
    }
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|set| set.trim().split_once('-')) else {
        return Wanted::All;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size && !last.contains(',') => Wanted::Nothing,
        (Ok(first), Ok(last)) if first <= last => Wanted::Part(first, last.min(size - 1)),
        (Ok(first), _) if last.is_empty() => Wanted::Part(first, size - 1),
        (_, Ok(0)) if first.is_empty() => Wanted::Nothing,
        (_, Ok(length)) if first.is_empty() && size > 0 => {
            Wanted::Part(size.saturating_sub(length), size - 1)
        }
        _ => Wanted::All,
    }
}

fn unsatisfiable(size: u64) -> Response {
    let mut response = Refusal::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        "the file has no such range",
    )
    .into_response();
    let text = format!("bytes */{size}");
    response
        .headers_mut()
        .insert(CONTENT_RANGE, HeaderValue::try_from(text).expect("digits are a header value"));
    response
}

fn disposition(name: &str) -> HeaderValue {
    let text = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NAME));
    HeaderValue::try_from(text).expect("percent-encoded text is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_understood_or_passed_over() {
        let cases = [
            ("bytes=0-0", Wanted::Part(0, 0)),
            ("bytes=2-", Wanted::Part(2, 9)),
            ("bytes=-3", Wanted::Part(7, 9)),
            ("bytes=-30", Wanted::Part(0, 9)),
            ("bytes=5-100", Wanted::Part(5, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("items=0-1", Wanted::All),
            ("bytes=a-b", Wanted::All),
        ];
        let tag = HeaderValue::from_static("\"x\"");
        for (range, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(range));
            assert_eq!(wanted(&headers, &tag, 10), expected, "{range}");
            headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
            assert_eq!(wanted(&headers, &tag, 10), Wanted::All, "{range} of another content");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let value = disposition("a\";x=\".pt\r\nX:y é");
        assert_eq!(value, "attachment; filename*=UTF-8''a%22%3Bx%3D%22.pt%0D%0AX%3Ay%20%C3%A9");
    }
}
