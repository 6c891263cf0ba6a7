//! Who fetches which bytes: one queue of what is missing, handed out in order, no input or output.
//!
//! Pieces are taken from the front, so that the file grows from its beginning and is hashed as it
//! comes. Towards the end pieces shrink, and a connection that finds the queue empty takes half of
//! what the slowest one still has to do, so that all finish together.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use tokio::time::Instant;

use crate::ranges::RangeSet;

/// A piece is not split when it will be there within this time anyway: what is on its way beyond the cut comes for
/// nothing, and a new request costs a moment, too.
const WORTH_SPLITTING: Duration = Duration::from_millis(500);

/// Half a piece is at least this long, in bytes.
const SMALLEST_SPLIT: u64 = 512 * 1024;

/// Parts of a file whose progress is told apart.
const SEGMENTS: usize = 64;

/// Names a connection of one transfer.
pub(crate) type Worker = usize;

/// The division of one file among its connections.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What nobody has taken, in order.
    free: VecDeque<Range<u64>>,
    active: Vec<Active>,
    /// Largest piece for this file.
    piece: u64,
    /// Smallest piece that is planned.
    smallest: u64,
}

/// A piece under way.
#[derive(Debug)]
struct Active {
    worker: Worker,
    position: u64,
    end: u64,
    began: u64,
    since: Instant,
}

/// What became of bytes that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Where they belong.
    pub(crate) offset: u64,
    /// How many of them are wanted.
    pub(crate) length: u64,
    /// Whether the piece is complete with them.
    pub(crate) complete: bool,
}

impl Plan {
    /// Plans what `have` lacks of `size` bytes.
    pub(crate) fn new(size: u64, have: &RangeSet, pieces: &RangeInclusive<u64>) -> Self {
        let (least, most) = (*pieces.start().max(&1), *pieces.end().max(&1));
        Self {
            free: have.missing(size).into(),
            active: Vec::new(),
            piece: (size / 64).clamp(least, most.max(least)),
            smallest: (least / 8).max(1),
        }
    }

    /// Hands `worker` the next piece when `connections` share the file.
    pub(crate) fn take(&mut self, worker: Worker, connections: usize, now: Instant) -> Option<Range<u64>> {
        let left: u64 = self.free.iter().map(|gap| gap.end - gap.start).sum();
        let share = left / (2 * connections.max(1) as u64);
        let length = if connections <= 1 { self.piece } else { share.clamp(self.smallest, self.piece) };
        let gap = self.free.front_mut()?;
        let mut end = gap.end.min(gap.start.saturating_add(length));
        // A crumb is not worth a request of its own.
        if gap.end - end < self.smallest / 2 {
            end = gap.end;
        }
        let piece = gap.start..end;
        gap.start = end;
        if gap.is_empty() {
            self.free.pop_front();
        }
        self.begin(worker, &piece, now);
        Some(piece)
    }

    /// Hands `worker` exactly `piece`, which begins where the queue does.
    pub(crate) fn claim(&mut self, worker: Worker, piece: &Range<u64>, now: Instant) {
        let Some(gap) = self.free.front_mut() else { return };
        debug_assert_eq!(gap.start, piece.start, "only the first missing byte is asked for first");
        let piece = gap.start..piece.end.min(gap.end);
        gap.start = piece.end;
        if gap.is_empty() {
            self.free.pop_front();
        }
        self.begin(worker, &piece, now);
    }

    /// Gives `worker` the second half of the piece that will take longest, when that is worth it.
    pub(crate) fn split(&mut self, worker: Worker, now: Instant) -> Option<Range<u64>> {
        let at = self.slowest(now)?;
        let slowest = &mut self.active[at];
        let middle = slowest.position + (slowest.end - slowest.position) / 2;
        let piece = middle..slowest.end;
        slowest.end = middle;
        self.begin(worker, &piece, now);
        Some(piece)
    }

    /// Whether [`Self::take`] or [`Self::split`] would find something.
    pub(crate) fn has_work(&self, now: Instant) -> bool {
        !self.free.is_empty() || self.slowest(now).is_some()
    }

    fn slowest(&self, now: Instant) -> Option<usize> {
        let least = 2 * self.smallest.min(SMALLEST_SPLIT);
        let candidates =
            self.active.iter().enumerate().filter(|(_, active)| active.end - active.position >= least);
        let (at, left) =
            candidates.map(|(at, active)| (at, active.time_left(now))).max_by_key(|(_, left)| *left)?;
        (left > WORTH_SPLITTING).then_some(at)
    }

    fn begin(&mut self, worker: Worker, piece: &Range<u64>, now: Instant) {
        debug_assert!(self.active.iter().all(|active| active.worker != worker), "one piece a connection");
        let Range { start, end } = *piece;
        self.active.push(Active { worker, position: start, end, began: start, since: now });
    }

    /// Takes note of `length` bytes that arrived for `worker` and says how many it may keep.
    pub(crate) fn accept(&mut self, worker: Worker, length: u64) -> Accepted {
        let Some(at) = self.active.iter().position(|active| active.worker == worker) else {
            return Accepted { offset: 0, length: 0, complete: true };
        };
        let active = &mut self.active[at];
        let offset = active.position;
        let length = length.min(active.end - active.position);
        active.position += length;
        let complete = active.position == active.end;
        if complete {
            self.active.swap_remove(at);
        }
        Accepted { offset, length, complete }
    }

    /// The file ends where `worker` is: there is nothing more to fetch.
    pub(crate) fn end_here(&mut self, worker: Worker) {
        self.active.retain(|active| active.worker != worker);
        self.free.clear();
    }

    /// Puts back what `worker` has not fetched of its piece.
    pub(crate) fn give_back(&mut self, worker: Worker) {
        let Some(at) = self.active.iter().position(|active| active.worker == worker) else {
            return;
        };
        let active = self.active.swap_remove(at);
        let at = self.free.partition_point(|gap| gap.start < active.position);
        self.free.insert(at, active.position..active.end);
        // Neighbours become one gap again, so that pieces do not crumble with each failure.
        if self.free.get(at + 1).is_some_and(|next| next.start == active.end) {
            let next = self.free.remove(at + 1).expect("looked at above");
            self.free[at].end = next.end;
        }
    }

    /// How much of each of [`SEGMENTS`] equal parts of a file of `size` bytes has been accepted, percent; rounded down.
    pub(crate) fn segments(&self, size: u64) -> Vec<u8> {
        let mut missing = [0_u64; SEGMENTS];
        let under_way = self.active.iter().map(|active| active.position..active.end);
        for gap in self.free.iter().cloned().chain(under_way) {
            add_by_segment(&mut missing, &gap, size);
        }
        let percent = |(index, missing): (usize, u64)| {
            let length = segment_start(index + 1, size) - segment_start(index, size);
            (length.saturating_sub(missing) * 100).checked_div(length).unwrap_or(100) as u8
        };
        missing.into_iter().enumerate().map(percent).collect()
    }

    /// Whether every byte has been accepted.
    pub(crate) fn is_done(&self) -> bool {
        self.free.is_empty() && self.active.is_empty()
    }
}

/// Where a segment of a file begins; the one behind the last begins at its end.
fn segment_start(index: usize, size: u64) -> u64 {
    (u128::from(size) * index as u128 / SEGMENTS as u128) as u64
}

/// Adds what of `gap` lies in each segment.
fn add_by_segment(sums: &mut [u64; SEGMENTS], gap: &Range<u64>, size: u64) {
    for (index, sum) in sums.iter_mut().enumerate() {
        let start = segment_start(index, size).max(gap.start);
        let end = segment_start(index + 1, size).min(gap.end);
        *sum += end.saturating_sub(start);
    }
}

impl Active {
    fn time_left(&self, now: Instant) -> Duration {
        let fetched = (self.position - self.began) as f64;
        let elapsed = (now - self.since).as_secs_f64();
        let left = (self.end - self.position) as f64;
        // Before the first byte nothing is known but how long it has been.
        let seconds = if fetched > 0.0 { left * elapsed / fetched } else { elapsed };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Take(usize),
        Split(usize),
        Arrive(usize, u64),
        Fail(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let worker = 0_usize..4;
        prop::collection::vec(
            prop_oneof![
                3 => worker.clone().prop_map(Step::Take),
                1 => worker.clone().prop_map(Step::Split),
                6 => (worker.clone(), 1_u64..400).prop_map(|(worker, bytes)| Step::Arrive(worker, bytes)),
                1 => worker.prop_map(Step::Fail),
            ],
            0..400,
        )
    }

    struct Run {
        plan: Plan,
        seen: RangeSet,
        fetched: u64,
        now: Instant,
        busy: [bool; 4],
    }

    impl Run {
        fn step(&mut self, step: &Step) {
            self.now += Duration::from_secs(2);
            match *step {
                Step::Take(worker) if !self.busy[worker] => {
                    self.busy[worker] = self.plan.take(worker, 4, self.now).is_some();
                }
                Step::Split(worker) if !self.busy[worker] => {
                    self.busy[worker] = self.plan.split(worker, self.now).is_some();
                }
                Step::Arrive(worker, bytes) if self.busy[worker] => {
                    let accepted = self.plan.accept(worker, bytes);
                    self.seen.insert(accepted.offset..accepted.offset + accepted.length);
                    self.fetched += accepted.length;
                    self.busy[worker] = !accepted.complete;
                }
                Step::Fail(worker) => {
                    self.plan.give_back(worker);
                    self.busy[worker] = false;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn segments_say_which_parts_are_here() {
        let have: RangeSet = [0..100, 6350..6400].into_iter().collect();
        let mut plan = Plan::new(6400, &have, &(64..=6400));
        let segments = plan.segments(6400);
        assert_eq!(
            (segments.len(), segments[0], segments[1], segments[62], segments[63]),
            (64, 100, 0, 0, 50)
        );
        let now = Instant::now();
        plan.take(0, 1, now).expect("something is missing");
        plan.accept(0, 25);
        assert_eq!(plan.segments(6400)[..3], [100, 25, 0]);
        assert_eq!(
            Plan::new(3, &RangeSet::default(), &(1..=2)).segments(3).len(),
            64,
            "shorter than its segments"
        );
        assert!(
            Plan::new(0, &RangeSet::default(), &(1..=2)).segments(0).iter().all(|percent| *percent == 100)
        );
    }

    proptest! {
        #[test]
        fn pieces_cover_exactly_what_is_missing_whatever_happens(
            size in 0_u64..5000,
            held in prop::collection::vec((0_u64..5000, 0_u64..600), 0..5),
            steps in steps(),
        ) {
            let have: RangeSet = held.into_iter().map(|(start, length)| start.min(size)..(start + length).min(size)).collect();
            let mut run = Run {
                plan: Plan::new(size, &have, &(64..=512)),
                seen: have.clone(),
                fetched: 0,
                now: Instant::now(),
                busy: [false; 4],
            };
            for step in &steps {
                run.step(step);
            }
            // Whatever the steps left undone, one patient connection finishes.
            (0..4).for_each(|worker| run.step(&Step::Fail(worker)));
            while run.plan.take(0, 1, run.now).is_some() {
                run.busy[0] = true;
                while run.busy[0] {
                    run.step(&Step::Arrive(0, 100));
                }
            }
            prop_assert!(run.plan.is_done());
            prop_assert_eq!(run.fetched, size - have.total(), "no byte twice");
            prop_assert_eq!(run.seen.missing(size), vec![]);
        }
    }

    #[test]
    fn pieces_come_in_order_and_shrink_towards_the_end() {
        let mut plan = Plan::new(10_000, &RangeSet::default(), &(400..=1000));
        let now = Instant::now();
        let mut lengths = Vec::new();
        let mut position = 0;
        for worker in 0.. {
            let Some(piece) = plan.take(worker, 4, now) else { break };
            assert_eq!(piece.start, position);
            position = piece.end;
            lengths.push(piece.end - piece.start);
        }
        assert_eq!(position, 10_000);
        assert!(lengths.is_sorted_by(|left, right| left >= right || *right < 200), "{lengths:?}");
        assert!(lengths[0] == 400 && *lengths.last().unwrap() <= 150, "{lengths:?}");
    }

    /// How long connections of these speeds (bytes a second) take for a file, by a clock that is only counted.
    fn seconds_for(size: u64, speeds: &[u64]) -> f64 {
        const TICK: Duration = Duration::from_millis(10);
        let mut plan = Plan::new(size, &RangeSet::default(), &(16 << 20..=64 << 20));
        let (start, mut busy) = (Instant::now(), vec![false; speeds.len()]);
        let mut now = start;
        while !plan.is_done() {
            for (worker, speed) in speeds.iter().enumerate() {
                if !busy[worker] {
                    let piece = plan.take(worker, speeds.len(), now).or_else(|| plan.split(worker, now));
                    busy[worker] = piece.is_some();
                } else if plan.accept(worker, speed / 100).complete {
                    busy[worker] = false;
                }
            }
            now += TICK;
        }
        (now - start).as_secs_f64()
    }

    #[test]
    fn connections_end_together_also_when_one_is_slow() {
        let cap = 16 << 20;
        let uneven = WORTH_SPLITTING.as_secs_f64() + 0.1;
        let cases = [
            ([cap; 4], 0.25),
            ([cap, cap, cap, cap / 4], uneven),
            ([cap, cap / 3, cap / 2, cap / 8], uneven),
        ];
        for (speeds, grace) in cases {
            let ideal = f64::from(256 << 20) / speeds.iter().sum::<u64>() as f64;
            let took = seconds_for(256 << 20, &speeds);
            assert!(took < ideal + grace, "{took} s for {ideal} s of {speeds:?}");
        }
    }

    #[test]
    fn a_slow_piece_is_split_and_a_fast_one_is_left_alone() {
        let mut plan = Plan::new(8_000_000, &RangeSet::default(), &(8_000_000..=8_000_000));
        let start = Instant::now();
        assert_eq!(plan.take(0, 1, start), Some(0..8_000_000));
        plan.accept(0, 4_000_000);
        assert_eq!(plan.split(1, start + Duration::from_millis(100)), None, "done in a tenth of a second");
        assert_eq!(plan.split(1, start + Duration::from_secs(10)), Some(6_000_000..8_000_000));
        let kept = plan.accept(0, 4_000_000);
        assert_eq!(kept, Accepted { offset: 4_000_000, length: 2_000_000, complete: true });
    }
}
