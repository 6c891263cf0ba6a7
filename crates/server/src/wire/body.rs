//! Bodies with an eye on them: a request body has to make progress, a response body says when it ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::connections::{Phase, Watch};

/// A request body that fails with `TimedOut` when a span passes without progress.
#[derive(Debug)]
pub(super) struct PacedBody {
    body: Incoming,
    timeout: Duration,
    min_bytes: usize,
    span_bytes: usize,
    span: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
    /// Set when the body was dropped before its end: the client may still be sending.
    unread: Arc<AtomicBool>,
}

impl PacedBody {
    pub(super) fn new(body: Incoming, timeout: Duration, min_bytes: usize, unread: Arc<AtomicBool>) -> Self {
        let has_ended = body.is_end_stream();
        Self { body, timeout, min_bytes, span_bytes: 0, span: None, has_ended, unread }
    }

    /// Waits for the end of the span; begins the next one when enough came in.
    fn poll_span(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.timeout;
        let span = self.span.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(span.as_mut().poll(context));
        if self.span_bytes < self.min_bytes {
            return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the request body made no progress"));
        }
        self.span_bytes = 0;
        span.as_mut().reset(tokio::time::Instant::now() + timeout);
        span.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => self.poll_span(context).map(|timed_out| Some(Err(timed_out.into()))),
            Poll::Ready(Some(Ok(frame))) => {
                self.span_bytes += frame.data_ref().map_or(0, Bytes::len);
                self.has_ended = self.body.is_end_stream();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                self.has_ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        if !self.has_ended {
            self.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// A response body that tells the table of connections when it was handed over whole.
#[derive(Debug)]
pub(super) struct TrackedBody {
    body: axum::body::Body,
    watch: Arc<Watch>,
}

impl TrackedBody {
    pub(super) fn new(body: axum::body::Body, watch: Arc<Watch>) -> Self {
        Self { body, watch }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.watch.enter(Phase::Idle);
    }
}
