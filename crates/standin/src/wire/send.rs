//! Writing one answer: head, body in large vectored writes or in paced slices, and its ending.

use super::Source;
use crate::faults::Ending;
use crate::observe::{Record, Serving};
use crate::storage::Signed;
use bytes::{Buf, Bytes};
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};

/// Body bytes handed to the socket at once when nothing limits them.
const BATCH: u64 = 1024 * 1024;
/// A paced connection sends a fiftieth of a second's worth at a time.
const SLICES_A_SECOND: u64 = 50;
const LARGEST_SLICE: u64 = 64 * 1024;
/// Time given up when a sender could not keep the pace.
const MOST_CREDIT: Duration = Duration::from_millis(100);

/// An answer with all faults applied, ready for the wire.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) source: Source,
    /// `Content-Length` to promise; chunked when absent.
    pub(crate) promised: Option<u64>,
    pub(crate) stop: Option<(u64, Ending)>,
    pub(crate) rate: Option<u64>,
    pub(crate) latency: Duration,
    pub(crate) reset_at_once: bool,
    pub(crate) head_only: bool,
    /// The signed address that this answer draws on.
    pub(crate) signed: Option<Arc<Signed>>,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    KeepAlive,
    Close,
    Reset,
}

/// Keeps a connection at its rate, over all its responses.
#[derive(Debug)]
pub(super) struct Pace {
    due: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Waits until another `bytes` may go out at `rate` bytes a second.
    async fn wait(&mut self, bytes: u64, rate: u64) {
        sleep_until(self.due).await;
        let now = Instant::now();
        let earliest = now.checked_sub(MOST_CREDIT).unwrap_or(now);
        self.due = self.due.max(earliest) + Duration::from_secs_f64(bytes as f64 / rate as f64);
    }
}

/// Sends an answer. `cap` gives the connection's rate limit, asked before every slice.
pub(super) async fn send(
    stream: &mut TcpStream,
    delivery: &Delivery,
    record: &Record,
    serving: Option<&Serving>,
    pace: &mut Pace,
    cap: impl Fn() -> Option<u64>,
) -> io::Result<Next> {
    sleep(delivery.latency).await;
    if delivery.reset_at_once {
        return Ok(Next::Reset);
    }
    record.answered(delivery.status);
    stream.write_all(head(delivery).as_bytes()).await?;
    if delivery.head_only {
        return Ok(Next::KeepAlive);
    }
    let count = |bytes| {
        record.sent(bytes);
        if let Some(serving) = serving {
            serving.sent(bytes);
        }
        if let Some(signed) = &delivery.signed {
            signed.gave(bytes);
        }
    };
    let end = delivery.stop.map_or(u64::MAX, |(bytes, _)| bytes).min(delivery.source.len());
    let mut at = 0;
    while at < end {
        let rate = slower(delivery.rate, cap());
        let step = rate.map_or(BATCH, |rate| (rate / SLICES_A_SECOND).clamp(1, LARGEST_SLICE)).min(end - at);
        if let Some(rate) = rate {
            pace.wait(step, rate).await;
        }
        if let Some(serving) = serving.filter(|_| at + step == delivery.source.len()) {
            serving.finish();
        }
        let mut pieces = Vec::new();
        delivery.source.pieces(at, at + step, &mut pieces);
        write_step(stream, delivery.promised.is_none(), step, &mut pieces, count).await?;
        at += step;
    }
    ending(stream, delivery).await
}

async fn ending(stream: &mut TcpStream, delivery: &Delivery) -> io::Result<Next> {
    match delivery.stop {
        Some((_, Ending::Reset)) => {
            // A reset overtakes what still waits in the socket: let a reading client have it first.
            sleep(Duration::from_millis(10)).await;
            return Ok(Next::Reset);
        }
        Some((_, Ending::Close)) => return Ok(Next::Close),
        Some((_, Ending::Stall)) => {
            while stream.read(&mut [0; 1024]).await? > 0 {}
            return Ok(Next::Close);
        }
        None => {}
    }
    match delivery.promised {
        None => stream.write_all(b"0\r\n\r\n").await.map(|()| Next::KeepAlive),
        Some(promised) if promised == delivery.source.len() => Ok(Next::KeepAlive),
        Some(_) => Ok(Next::Close),
    }
}

async fn write_step(
    stream: &mut TcpStream,
    chunked: bool,
    step: u64,
    pieces: &mut [Bytes],
    count: impl Fn(u64),
) -> io::Result<()> {
    if !chunked {
        return write_all(stream, pieces, count).await;
    }
    stream.write_all(format!("{step:x}\r\n").as_bytes()).await?;
    write_all(stream, pieces, count).await?;
    stream.write_all(b"\r\n").await
}

async fn write_all(stream: &mut TcpStream, pieces: &mut [Bytes], count: impl Fn(u64)) -> io::Result<()> {
    let mut first = 0;
    while first < pieces.len() {
        let slices: Vec<IoSlice<'_>> = pieces[first..].iter().map(|piece| IoSlice::new(piece)).collect();
        let mut written = stream.write_vectored(&slices).await?;
        count(written as u64);
        while first < pieces.len() && written >= pieces[first].len() {
            written -= pieces[first].len();
            first += 1;
        }
        if written > 0 {
            pieces[first].advance(written);
        }
    }
    Ok(())
}

fn slower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).filter(|rate| *rate > 0).min()
}

fn head(delivery: &Delivery) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", delivery.status, reason(delivery.status));
    for (name, value) in &delivery.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match delivery.promised {
        Some(_) if delivery.status == 304 => {}
        Some(length) => drop(write!(head, "content-length: {length}\r\n")),
        None => head.push_str("transfer-encoding: chunked\r\n"),
    }
    head.push_str("\r\n");
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
