//! One connection of a transfer: takes pieces in order, asks for them, passes their bytes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::answer::{Answer, Content, Length};
use crate::engine::Shared;
use crate::error::TransferError;
use crate::failure::Failure;
use crate::limits::lock;
use crate::options::MinSpeed;
use crate::plan::{Accepted, Plan, Worker};
use crate::probe::{Ask, Patience, Source};
use crate::writer::{BlockSender, WriterGone};

/// Bytes that go to the writer at once, when they come fast.
const BATCH_BYTES: usize = 256 * 1024;
/// Parts of a batch at most; small ones are held in buffers that are larger than they.
const BATCH_PARTS: usize = 128;
/// How long bytes wait for company.
const BATCH_AFTER: Duration = Duration::from_millis(500);

/// What the connections of one transfer share.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) shared: Arc<Shared>,
    pub(crate) source: Arc<Source>,
    pub(crate) plan: Mutex<Plan>,
    pub(crate) sender: BlockSender,
    /// Bytes of the file; `None` when only the end of the one stream tells.
    pub(crate) size: Option<u64>,
    /// The strong validator that every part must come under.
    pub(crate) etag: Option<String>,
    /// How many connections share the plan at most.
    pub(crate) connections: usize,
    /// Bytes of the file that arrived in this run, each counted once.
    pub(crate) arrived: AtomicU64,
}

impl Lanes {
    /// Bytes of the file that arrived in this run.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}

/// An answer that is there before its connection is set up.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) answer: Answer,
    /// Bytes of its body that were looked at already.
    pub(crate) head: Option<Bytes>,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<(), Failure>,
    /// Bytes that it brought.
    pub(crate) fetched: u64,
}

/// Whether a body brought its whole piece.
#[derive(Debug, PartialEq, Eq)]
enum Streamed {
    Piece,
    Less,
}

/// Works until there is nothing to do or something fails. What it has not fetched is in the plan again.
pub(crate) async fn work(
    lanes: Arc<Lanes>,
    worker: Worker,
    first: Option<First>,
    patience: Patience,
) -> Ended {
    let mut connection = Connection { lanes: &lanes, worker, patience, fetched: 0 };
    let result = connection.run(first).await;
    let fetched = connection.fetched;
    lock(&lanes.plan).give_back(worker);
    Ended { result, fetched }
}

struct Connection<'a> {
    lanes: &'a Lanes,
    worker: Worker,
    patience: Patience,
    fetched: u64,
}

impl Connection<'_> {
    async fn run(&mut self, first: Option<First>) -> Result<(), Failure> {
        if let Some(first) = first {
            self.stream(first).await?;
        }
        while let Some(piece) = self.next_piece() {
            let ask = Ask { range: Some(piece.clone()), etag: self.lanes.etag.clone() };
            let answer = self.lanes.source.ask(&ask, self.patience).await?;
            self.check(&answer, &piece)?;
            if self.stream(First { answer, head: None }).await? == Streamed::Less {
                // The server gave less than was asked for, as it may; the rest is a piece again.
                lock(&self.lanes.plan).give_back(self.worker);
            }
        }
        Ok(())
    }

    fn next_piece(&self) -> Option<std::ops::Range<u64>> {
        let now = Instant::now();
        let mut plan = lock(&self.lanes.plan);
        plan.take(self.worker, self.lanes.connections, now).or_else(|| plan.split(self.worker, now))
    }

    /// An answer must bring the beginning of `piece` of the same file.
    fn check(&self, answer: &Answer, piece: &std::ops::Range<u64>) -> Result<(), Failure> {
        let changed = match (&self.lanes.etag, &answer.etag) {
            (Some(ours), Some(theirs)) => ours != theirs,
            _ => false,
        };
        if changed {
            return Err(Failure::Contradiction(
                "the file changed at its source while it was fetched".to_owned(),
            ));
        }
        match &answer.content {
            Content::Part { range, total } => {
                if total.is_some() && *total != self.lanes.size {
                    return Err(Failure::Contradiction(
                        "the size of the file changed at its source".to_owned(),
                    ));
                }
                if range.start != piece.start || range.end > piece.end {
                    return Err(Failure::Contradiction(format!(
                        "bytes {}-{} were asked for and {}-{} came",
                        piece.start,
                        piece.end - 1,
                        range.start,
                        range.end - 1
                    )));
                }
                Ok(())
            }
            Content::Whole { .. } => Err(Failure::RangeIgnored),
            Content::Beyond { .. } => {
                Err(Failure::Contradiction("the server says that the file is shorter than before".to_owned()))
            }
        }
    }

    /// Passes a body on to the writer; what came before a failure is kept.
    async fn stream(&mut self, first: First) -> Result<Streamed, Failure> {
        let mut batch = Batch::default();
        let streamed = self.receive(first, &mut batch).await;
        self.flush(&mut batch).await?;
        streamed
    }

    async fn receive(&mut self, first: First, batch: &mut Batch) -> Result<Streamed, Failure> {
        let First { mut answer, mut head } = first;
        let mut speed = SpeedWatch::new(self.lanes.shared.options.min_speed);
        loop {
            let chunk = match head.take() {
                Some(chunk) => Some(chunk),
                None => self.read(&mut answer, &mut speed, batch).await?,
            };
            let Some(chunk) = chunk else { return self.ended(&answer) };
            let length = chunk.len() as u64;
            self.lanes.shared.bandwidth.pay(length).await;
            let accepted = self.keep(chunk, batch);
            if accepted.complete {
                let surplus = length - accepted.length;
                return self.expect_end(&mut answer, &mut speed, batch, surplus).await;
            }
            if batch.is_full() {
                self.flush(batch).await?;
            }
            if self.patience == Patience::Try && self.lanes.shared.connections.should_yield() {
                return Err(Failure::NoConnection);
            }
        }
    }

    /// Takes what the plan wants of `chunk`; no more than its piece lacks.
    fn keep(&mut self, mut chunk: Bytes, batch: &mut Batch) -> Accepted {
        let accepted = lock(&self.lanes.plan).accept(self.worker, chunk.len() as u64);
        self.fetched += chunk.len() as u64;
        chunk.truncate(accepted.length as usize);
        self.lanes.arrived.fetch_add(accepted.length, Ordering::Relaxed);
        batch.push(accepted.offset, chunk);
        accepted
    }

    /// A whole body that marks its own end must end where the file does.
    async fn expect_end(
        &mut self,
        answer: &mut Answer,
        speed: &mut SpeedWatch,
        batch: &mut Batch,
        surplus: u64,
    ) -> Result<Streamed, Failure> {
        let unbounded = matches!(answer.content, Content::Whole { length: Length::Marked | Length::Unknown });
        let (true, Some(size)) = (unbounded, self.lanes.size) else { return Ok(Streamed::Piece) };
        let more = if surplus > 0 {
            surplus
        } else {
            self.read(answer, speed, batch).await?.map_or(0, |more| more.len() as u64)
        };
        if more == 0 { Ok(Streamed::Piece) } else { Err(self.wrong_size(size + more)) }
    }

    fn wrong_size(&self, actual: u64) -> Failure {
        let expected = self.lanes.size.unwrap_or_default();
        TransferError::SizeMismatch { url: self.lanes.source.masked(), expected, actual }.into()
    }

    /// Reads once; while bytes wait for company only as long as they may.
    async fn read(
        &self,
        answer: &mut Answer,
        speed: &mut SpeedWatch,
        batch: &mut Batch,
    ) -> Result<Option<Bytes>, Failure> {
        loop {
            let patience = speed.patience().min(batch.patience());
            let asked = Instant::now();
            let read = tokio::time::timeout(patience, answer.response.chunk()).await;
            let bytes = if let Ok(Ok(Some(chunk))) = &read { chunk.len() as u64 } else { 0 };
            let fast_enough = speed.note(asked.elapsed(), bytes);
            match read {
                Ok(Ok(chunk)) if fast_enough || chunk.is_none() => return Ok(chunk),
                Ok(Err(_)) => {
                    return Err(Failure::passing(format!("{} closed the connection early", host(answer))));
                }
                _ if !fast_enough => {
                    return Err(Failure::passing(format!("{} became too slow", host(answer))));
                }
                _ => self.flush(batch).await?,
            }
        }
    }

    /// The body ended before its piece did.
    fn ended(&self, answer: &Answer) -> Result<Streamed, Failure> {
        match (&answer.content, self.lanes.size) {
            (Content::Part { .. }, _) => Ok(Streamed::Less),
            (_, None) => {
                lock(&self.lanes.plan).end_here(self.worker);
                Ok(Streamed::Piece)
            }
            (_, Some(0)) => Ok(Streamed::Piece),
            (Content::Whole { length: Length::Marked }, _) => {
                Err(self.wrong_size(lock(&self.lanes.plan).accept(self.worker, 0).offset))
            }
            (_, Some(_)) => Err(Failure::passing(format!("{} sent less than the whole file", host(answer)))),
        }
    }

    async fn flush(&self, batch: &mut Batch) -> Result<(), Failure> {
        let Batch { offset, parts, .. } = std::mem::take(batch);
        if parts.is_empty() {
            return Ok(());
        }
        self.lanes.sender.send(offset, parts).await.map_err(|WriterGone| Failure::WriterGone)
    }
}

fn host(answer: &Answer) -> String {
    format!("`{}`", answer.url.host_str().unwrap_or_default())
}

/// Bytes of one place that go to the writer together.
#[derive(Debug, Default)]
struct Batch {
    offset: u64,
    parts: Vec<Bytes>,
    length: usize,
    since: Option<Instant>,
}

impl Batch {
    fn push(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.parts.is_empty() {
            self.offset = offset;
            self.since = Some(Instant::now());
        }
        self.length += bytes.len();
        self.parts.push(bytes);
    }

    fn is_full(&self) -> bool {
        self.length >= BATCH_BYTES || self.parts.len() >= BATCH_PARTS
    }

    /// How long what is here may still wait.
    fn patience(&self) -> Duration {
        self.since.map_or(Duration::MAX, |since| BATCH_AFTER.saturating_sub(since.elapsed()))
    }
}

/// Judges a connection's speed by the time spent waiting for it alone.
#[derive(Debug)]
struct SpeedWatch {
    limit: MinSpeed,
    waited: Duration,
    bytes: u64,
}

impl SpeedWatch {
    fn new(limit: MinSpeed) -> Self {
        Self { limit, waited: Duration::ZERO, bytes: 0 }
    }

    /// How long may be waited before a verdict is due.
    fn patience(&self) -> Duration {
        self.limit.window.saturating_sub(self.waited)
    }

    /// Notes a wait; false when the connection was too slow over the whole window.
    fn note(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.limit.window {
            return true;
        }
        let wanted = self.limit.bytes_per_second as f64 * self.waited.as_secs_f64();
        let fast_enough = self.bytes as f64 >= wanted;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        fast_enough
    }
}
