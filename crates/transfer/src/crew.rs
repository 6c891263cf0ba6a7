//! The connections of one transfer: how many there are, what becomes of those that fail, progress.
//!
//! It begins with the connection that brought the first answer. Others join one by one while they
//! promise to make it faster, and stay away from a server that does not bear them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::budget::Budget;
use crate::error::TransferError;
use crate::failure::{Failure, Trouble};
use crate::limits::lock;
use crate::observer::{Event, Observer};
use crate::plan::Worker;
use crate::probe::Patience;
use crate::segment::{self, First, Lanes};
use crate::transfer::Ended;

/// How often the crew is looked after.
const TICK: Duration = Duration::from_millis(20);
/// Progress is a mean over this time.
const SPEED_WINDOW: Duration = Duration::from_secs(3);
/// Whether another connection would help is judged by this time.
const RAMP_WINDOW: Duration = Duration::from_millis(60);
/// A connection that the server did not bear is tried again after this time.
const RAISE_AFTER: Duration = Duration::from_secs(10);

/// The connections of one transfer and their keeper.
pub(crate) struct Crew {
    lanes: Arc<Lanes>,
    workers: JoinSet<segment::Ended>,
    next_worker: Worker,
    /// How many connections there should be, as far as the server bears them.
    target: usize,
    raise_at: Instant,
    /// Nobody joins before.
    next_join: Instant,
    resumed_bytes: u64,
    /// Parts can be asked for.
    divisible: bool,
    ranges_ignored: u32,
    fetched_bytes: u64,
    meter: Meter,
    reported: Instant,
}

impl Crew {
    pub(crate) fn new(lanes: Arc<Lanes>, resumed_bytes: u64, divisible: bool) -> Self {
        let now = Instant::now();
        Self {
            target: lanes.connections,
            lanes,
            workers: JoinSet::new(),
            next_worker: 0,
            raise_at: now,
            next_join: now + TICK,
            resumed_bytes,
            divisible,
            ranges_ignored: 0,
            fetched_bytes: 0,
            meter: Meter::default(),
            reported: now,
        }
    }

    /// Runs until every byte is with the writer, or nothing goes on.
    pub(crate) async fn drive(
        &mut self,
        first: First,
        budget: &mut Budget,
        observer: &dyn Observer,
    ) -> Result<(), Ended> {
        self.join(Some(first), Patience::Wait);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                Some(ended) = self.workers.join_next() => {
                    let ended = ended.map_err(|error| TransferError::Internal(error.to_string()))?;
                    self.fetched_bytes += ended.fetched;
                    budget.note(self.bytes_done());
                    if let Err(failure) = ended.result {
                        self.judge(failure, ended.fetched, budget, observer)?;
                    }
                    if lock(&self.lanes.plan).is_done() && self.workers.is_empty() {
                        self.report(observer);
                        return Ok(());
                    }
                }
                _ = tick.tick() => {
                    self.meter.note(self.bytes_done());
                    if self.reported.elapsed() >= self.lanes.shared.options.progress_interval {
                        self.report(observer);
                    }
                }
            }
            self.look_for_hands();
        }
    }

    /// Ends all connections; bytes that they fetched in all.
    pub(crate) async fn dismiss(mut self) -> u64 {
        self.workers.shutdown().await;
        self.fetched_bytes
    }

    fn bytes_done(&self) -> u64 {
        self.resumed_bytes + self.lanes.arrived()
    }

    fn join(&mut self, first: Option<First>, patience: Patience) {
        let worker = self.next_worker;
        self.next_worker += 1;
        self.workers.spawn(segment::work(Arc::clone(&self.lanes), worker, first, patience));
    }

    /// Lets a connection join when there is work, the time has come and it promises to help.
    fn look_for_hands(&mut self) {
        let now = Instant::now();
        if now < self.next_join || !lock(&self.lanes.plan).has_work(now) {
            return;
        }
        if self.workers.is_empty() {
            self.join(None, Patience::Wait);
            self.next_join = now + TICK;
            return;
        }
        if self.target < self.lanes.connections && now >= self.raise_at {
            self.target += 1;
            self.raise_at = now + RAISE_AFTER;
        }
        let enough =
            self.lanes.shared.options.enough_per_connection.saturating_mul(self.workers.len() as u64);
        if self.workers.len() < self.target
            && self.meter.speed(RAMP_WINDOW) < enough
            && self.lanes.source.has_room()
        {
            self.join(None, Patience::Try);
            self.next_join = now + TICK;
        }
    }

    /// What the end of one connection means for the others.
    fn judge(
        &mut self,
        failure: Failure,
        fetched: u64,
        budget: &mut Budget,
        observer: &dyn Observer,
    ) -> Result<(), Ended> {
        let now = Instant::now();
        let trouble = match failure {
            Failure::Final(error) => return Err(error.into()),
            Failure::Contradiction(reason) => return Err(Ended::Contradiction(reason)),
            Failure::WriterGone => return Err(Ended::WriterGone),
            Failure::NoConnection => {
                self.next_join = now + RAMP_WINDOW;
                return Ok(());
            }
            Failure::RangeIgnored => self.range_ignored()?,
            Failure::Passing(trouble) => trouble,
        };
        if !self.divisible {
            // A stream that cannot be taken up again begins anew, and only the budget ends that.
            let wait = budget.fail(&trouble, observer)?;
            return Err(Ended::NoRanges { reason: trouble.reason, wait });
        }
        if self.workers.is_empty() {
            self.next_join = now + budget.fail(&trouble, observer)?;
            self.target = self.lanes.connections;
            return Ok(());
        }
        tracing::debug!(
            reason = trouble.reason,
            left = self.workers.len(),
            "a connection failed, others go on"
        );
        self.next_join = now + trouble.wait.unwrap_or_else(|| budget.short_wait());
        if fetched == 0 {
            // Refused from the start: as many as there are is what the server bears.
            self.target = self.workers.len();
            self.raise_at = now + RAISE_AFTER;
        }
        Ok(())
    }

    /// A server that did ranges sends the whole file: it may be one of several behind a name.
    fn range_ignored(&mut self) -> Result<Trouble, Ended> {
        let reason = "the server sent the whole file although a part was asked for".to_owned();
        if self.workers.is_empty() {
            self.ranges_ignored += 1;
        }
        if self.ranges_ignored > 1 {
            return Err(Ended::NoRanges { reason, wait: Duration::ZERO });
        }
        Ok(Trouble { reason, wait: None, refusal: None })
    }

    fn report(&mut self, observer: &dyn Observer) {
        self.reported = Instant::now();
        let (bytes_done, size) = (self.bytes_done(), self.lanes.size);
        let bytes_per_second = self.meter.speed(SPEED_WINDOW);
        let segments = size.map(|size| lock(&self.lanes.plan).segments(size)).unwrap_or_default();
        observer.on_event(Event::Progress { bytes_done, size, bytes_per_second, segments });
    }
}

/// Remembers how far the transfer was in the last seconds.
#[derive(Debug, Default)]
struct Meter {
    samples: VecDeque<(Instant, u64)>,
}

impl Meter {
    fn note(&mut self, bytes: u64) {
        let now = Instant::now();
        while self.samples.front().is_some_and(|(at, _)| now - *at > SPEED_WINDOW) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, bytes));
    }

    /// Bytes per second over the last `window`, or what there is of it.
    fn speed(&self, window: Duration) -> u64 {
        let Some((now, bytes)) = self.samples.back() else { return 0 };
        let start = self.samples.iter().find(|(at, _)| *now - *at <= window);
        let (since, before) = start.expect("the last sample is within any window");
        let seconds = (*now - *since).as_secs_f64();
        if seconds > 0.0 { ((bytes - before) as f64 / seconds) as u64 } else { 0 }
    }
}
