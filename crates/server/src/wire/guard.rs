//! The stream of one connection, watched: heads are judged on the way in, stuck writes are noticed on the way out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Watch;
use super::head::HeadScanner;

/// A stream between the operating system and hyper.
#[derive(Debug)]
pub(super) struct GuardedStream<S> {
    stream: S,
    watch: Arc<Watch>,
    scanner: HeadScanner,
    is_refused: bool,
}

impl<S> GuardedStream<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch, scanner: HeadScanner::new(), is_refused: false }
    }

    /// The stream itself, to be read to its end after hyper is done with it.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Judges the bytes that were just read. At a forbidden form hyper gets a NUL, which it answers with 400, and then
    /// the end of the stream.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let look = self.scanner.look(&buffer.filled()[before..]);
        if look.saw_head {
            self.watch.saw_head();
        }
        if let Some(at) = look.fault_at {
            buffer.set_filled(before + at);
            buffer.put_slice(b"\0");
            self.is_refused = true;
        }
    }

    fn note_write<T>(&self, outcome: &Poll<io::Result<T>>) {
        match outcome {
            Poll::Pending => self.watch.write_stuck(),
            Poll::Ready(_) => self.watch.write_moved(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_refused {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.judge(buffer, before);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
