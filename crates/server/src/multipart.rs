//! Multipart forms, part by part, or their one small file at once.
//!
//! multer keeps reading until a part's headers end, whatever that costs. Here it may take only so many bytes between two
//! pieces of content, and gets one piece of the body at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::BodyDataStream;
use axum::extract::Request;
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};

use crate::envelope::Refusal;
use crate::extract::{body_error, refuse_encoded, refuse_long, too_long};

/// Longest catalog file, bytes.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 64 << 20;
/// Bytes that a part's headers, or what stands between parts, may have; one network read more is possible.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Parts of a form.
const MAX_PARTS: usize = 16;
/// Longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Bytes around the content of a form that are allowed for.
pub(crate) const MAX_OVERHEAD: usize = 64 << 10;

/// A form that is read part by part, none of it held in memory.
pub(crate) struct Form {
    content: Multipart<'static>,
    budget: Arc<AtomicUsize>,
    parts: usize,
    limit: usize,
}

/// One part of a form.
pub(crate) struct Part {
    field: Field<'static>,
    budget: Arc<AtomicUsize>,
    limit: usize,
}

impl Form {
    /// Begins to read; `limit` is the longest content of all parts together that a client may announce.
    pub(crate) fn open(request: Request, limit: usize) -> Result<Self, Refusal> {
        refuse_encoded(request.headers())?;
        let boundary = boundary(&request)?;
        refuse_long(request.headers(), limit + MAX_OVERHEAD)?;
        let budget = Arc::new(AtomicUsize::new(0));
        let body = Metered {
            body: request.into_body().into_data_stream(),
            budget: Arc::clone(&budget),
            has_paused: true,
        };
        Ok(Self { content: Multipart::new(body, boundary), budget, parts: 0, limit })
    }

    /// The next part. The one before must be gone.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, Refusal> {
        self.budget.store(0, Ordering::Relaxed);
        let next = self.content.next_field().await.map_err(|error| form_error(&error, self.limit))?;
        let Some(field) = next else { return Ok(None) };
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(bad_form(format!("the form has more than {MAX_PARTS} parts")));
        }
        Ok(Some(Part { field, budget: Arc::clone(&self.budget), limit: self.limit }))
    }
}

impl Part {
    /// The field's name; empty when it has none.
    pub(crate) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// The name of the file that is sent, exactly as the client wrote it.
    pub(crate) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The next piece of content.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.budget.store(0, Ordering::Relaxed);
        self.field.chunk().await.map_err(|error| form_error(&error, self.limit))
    }

    /// The whole content, of at most `limit` bytes.
    pub(crate) async fn bytes(mut self, limit: usize) -> Result<Vec<u8>, Refusal> {
        let mut content = Vec::new();
        while let Some(piece) = self.piece().await? {
            if content.len() + piece.len() > limit {
                return Err(too_long(limit));
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// Reads to the end of the content and keeps nothing of it.
    pub(crate) async fn pass_over(mut self, limit: usize) -> Result<(), Refusal> {
        let mut passed = 0;
        while let Some(piece) = self.piece().await? {
            passed += piece.len();
            if passed > limit {
                return Err(too_long(limit));
            }
        }
        Ok(())
    }
}

/// Reads the field `name`; 422 when the form has none.
pub(crate) async fn read_file(request: Request, name: &'static str) -> Result<Vec<u8>, Refusal> {
    read_file_of(request, name, MAX_DOCUMENT_BYTES).await
}

/// [`read_file`] of at most `limit` bytes.
pub(crate) async fn read_file_of(
    request: Request,
    name: &'static str,
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let mut form = Form::open(request, limit)?;
    let mut found = None;
    while let Some(part) = form.next().await? {
        if part.name() != name {
            part.pass_over(limit).await?;
        } else if found.is_some() {
            return Err(twice(name));
        } else {
            found = Some(part.bytes(limit).await?);
        }
    }
    found.ok_or_else(|| missing(name))
}

/// A form that sends one field twice could be read differently by others.
pub(crate) fn twice(name: &str) -> Refusal {
    bad_form(format!("the form has more than one field `{name}`"))
}

fn boundary(request: &Request) -> Result<String, Refusal> {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = "the file must be sent as `multipart/form-data`";
        return Err(Refusal::new(status, "unsupported_media_type", detail));
    }
    match multer::parse_boundary(content_type) {
        Ok(boundary) if (1..=MAX_BOUNDARY).contains(&boundary.len()) => Ok(boundary),
        _ => Err(bad_form(format!("the form needs a boundary of 1 to {MAX_BOUNDARY} characters"))),
    }
}

/// A field that the form must have.
pub(crate) fn missing(name: &str) -> Refusal {
    Refusal::unreadable(vec!["body".into(), name.into()], "Field required", "missing")
}

pub(crate) fn bad_form(detail: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad_form", detail)
}

fn form_error(error: &multer::Error, limit: usize) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(cause) if cause.is::<HeadersTooLong>() => bad_form(cause.to_string()),
        multer::Error::StreamReadFailed(cause) => body_error(cause.as_ref(), limit),
        other => bad_form(format!("the form is malformed: {other}")),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the headers of a part are longer than {} KiB", MAX_HEADER_BYTES >> 10)]
struct HeadersTooLong;

/// A body that gives one piece at a time, and no more than the budget before somebody resets it.
struct Metered {
    body: BodyDataStream,
    budget: Arc<AtomicUsize>,
    has_paused: bool,
}

impl Stream for Metered {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.has_paused {
            self.has_paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.budget.load(Ordering::Relaxed) > MAX_HEADER_BYTES {
            return Poll::Ready(Some(Err(HeadersTooLong.into())));
        }
        match Pin::new(&mut self.body).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(piece))) => {
                self.has_paused = false;
                self.budget.fetch_add(piece.len(), Ordering::Relaxed);
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse;
    use futures_util::stream;

    use super::*;

    async fn read(content_type: &str, pieces: Vec<Vec<u8>>) -> Result<Vec<u8>, u16> {
        let pieces =
            stream::iter(pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
        let request = Request::builder().header(CONTENT_TYPE, content_type).body(Body::from_stream(pieces));
        let outcome = read_file(request.expect("a request"), "file").await;
        outcome.map_err(|error| error.into_response().status().as_u16())
    }

    const FORM: &str = "multipart/form-data; boundary=B";
    const PART: &str = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n";

    #[tokio::test]
    async fn the_file_is_read_however_the_body_is_cut() {
        let content = "x".repeat(100_000);
        let body = format!("{PART}{content}\r\n--B--\r\n").into_bytes();
        for size in [1_000, 7_777, 50_000, body.len()] {
            let pieces = body.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(read(FORM, pieces).await.expect("read"), content.as_bytes());
        }
    }

    #[tokio::test]
    async fn an_endless_part_header_is_refused_early() {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let start =
            stream::iter([Bytes::from("--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"")]);
        let endless = stream::repeat_with(move || {
            counter.fetch_add(8192, Ordering::Relaxed);
            Bytes::from(vec![b'a'; 8192])
        });
        let body = futures_util::StreamExt::chain(start, endless);
        let body = Body::from_stream(futures_util::StreamExt::map(body, Ok::<_, std::io::Error>));
        let request = Request::builder().header(CONTENT_TYPE, FORM).body(body).expect("a request");
        let error = read_file(request, "file").await.expect_err("refused");
        assert_eq!(error.into_response().status(), StatusCode::BAD_REQUEST);
        assert!(taken.load(Ordering::Relaxed) <= 2 * MAX_HEADER_BYTES);
    }

    #[tokio::test]
    async fn malformed_forms_are_refused() {
        let whole = |text: &str| vec![text.as_bytes().to_vec()];
        let parts = "--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n".repeat(MAX_PARTS + 1);
        let storm = vec![b"\r\n--B".repeat(10_000)];
        let cases = [
            ("multipart/form-data", whole(""), 400),
            ("multipart/form-data; boundary=", whole(""), 400),
            ("application/json", whole("{}"), 415),
            (FORM, whole(""), 400),
            (FORM, whole(PART), 400),
            (FORM, whole("--B--\r\n"), 422),
            (FORM, whole(&format!("{parts}--B--\r\n")), 400),
            (FORM, whole(&format!("{PART}a\r\n{PART}b\r\n--B--\r\n")), 400),
            (FORM, storm, 400),
        ];
        for (content_type, pieces, status) in cases {
            let shown = String::from_utf8_lossy(&pieces[0]).chars().take(60).collect::<String>();
            assert_eq!(read(content_type, pieces).await, Err(status), "{content_type}: {shown}");
        }
        let long = format!("multipart/form-data; boundary={}", "B".repeat(MAX_BOUNDARY + 1));
        assert_eq!(read(&long, whole("")).await, Err(400));
    }
}
