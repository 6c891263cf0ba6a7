//! The table of open connections: the cap, who has to go when it is reached, and the time-outs.
//!
//! One task looks at all connections now and then instead of a timer for each: what a request pays is a few atomic
//! stores.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::limits::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Connected, nothing sent yet.
    Fresh,
    /// Between two requests.
    Idle,
    /// Part of a request head is here.
    Head,
    /// A request is being answered.
    Busy,
}

/// One connection as the table sees it.
#[derive(Debug)]
pub(super) struct Watch {
    /// Where it comes from; `None` for the socket in the data folder, which is never evicted.
    peer: Option<IpAddr>,
    epoch: Instant,
    phase: AtomicU8,
    /// Milliseconds since the epoch at which the phase began.
    since: AtomicU64,
    /// Milliseconds since the epoch at which writing got stuck, plus one; 0 while it is not.
    stuck_since: AtomicU64,
    cut: Notify,
}

impl Watch {
    fn new(peer: Option<IpAddr>, epoch: Instant) -> Self {
        let watch = Self {
            peer,
            epoch,
            phase: AtomicU8::new(Phase::Fresh as u8),
            since: AtomicU64::new(0),
            stuck_since: AtomicU64::new(0),
            cut: Notify::new(),
        };
        watch.since.store(watch.now(), Ordering::Relaxed);
        watch
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Fresh,
            1 => Phase::Idle,
            2 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Part of a request head came in.
    pub(super) fn saw_head(&self) {
        if matches!(self.phase(), Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    /// The client took bytes, or there are none to take.
    pub(super) fn write_moved(&self) {
        if self.stuck_since.load(Ordering::Relaxed) != 0 {
            // A long answer that was taken slowly does not count as idleness.
            self.since.store(self.now(), Ordering::Relaxed);
            self.stuck_since.store(0, Ordering::Relaxed);
        }
    }

    /// The client takes no more bytes for now.
    pub(super) fn write_stuck(&self) {
        if self.stuck_since.load(Ordering::Relaxed) == 0 {
            self.stuck_since.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Resolves when the connection has to go.
    pub(super) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    fn is_waiting(&self) -> bool {
        self.phase() != Phase::Busy && self.stuck_since.load(Ordering::Relaxed) == 0
    }

    /// Whether a time-out has passed.
    fn is_overdue(&self, limits: &Limits) -> bool {
        let now = self.now();
        let stuck_since = self.stuck_since.load(Ordering::Relaxed);
        if stuck_since != 0 {
            return past(now, stuck_since, limits.write_timeout);
        }
        let since = self.since.load(Ordering::Relaxed);
        match self.phase() {
            Phase::Fresh | Phase::Head => past(now, since, limits.header_timeout),
            Phase::Idle => past(now, since, limits.idle_timeout),
            Phase::Busy => false,
        }
    }
}

fn past(now: u64, since: u64, timeout: Duration) -> bool {
    u128::from(now.saturating_sub(since)) > timeout.as_millis()
}

/// All open connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    epoch: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    by_id: HashMap<u64, Arc<Watch>>,
    /// Connections that count against the cap.
    counted: usize,
}

/// A place in the table; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    pub(super) watch: Arc<Watch>,
    table: Arc<Connections>,
}

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { epoch: Instant::now(), open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place to a new connection. When the cap is reached, a waiting connection of the client that holds most
    /// of them is cut; `None` when every connection is being answered.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<IpAddr>, limits: &Limits) -> Option<Place> {
        let mut open = self.open();
        if peer.is_some() && open.counted >= limits.max_connections {
            open.evict_one()?;
        }
        let id = open.next_id;
        open.next_id += 1;
        open.counted += usize::from(peer.is_some());
        let watch = Arc::new(Watch::new(peer, self.epoch));
        open.by_id.insert(id, Arc::clone(&watch));
        Some(Place { id, watch, table: Arc::clone(self) })
    }

    /// Cuts a waiting connection, when the process has no file descriptor left.
    pub(super) fn make_room(&self) {
        self.open().evict_one();
    }

    /// Cuts every connection that is overdue.
    pub(super) fn sweep(&self, limits: &Limits) {
        for watch in self.open().by_id.values().filter(|watch| watch.is_overdue(limits)) {
            watch.cut.notify_one();
        }
    }

    /// Cuts all of them.
    pub(super) fn cut_all(&self) {
        for watch in self.open().by_id.values() {
            watch.cut.notify_one();
        }
    }
}

impl Open {
    /// Cuts the oldest waiting connection of the client with most connections, and frees its place at once.
    fn evict_one(&mut self) -> Option<()> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for peer in self.by_id.values().filter_map(|watch| watch.peer) {
            *held.entry(peer).or_default() += 1;
        }
        let (&id, _) = self
            .by_id
            .iter()
            .filter(|(_, watch)| watch.is_waiting())
            .filter_map(|(id, watch)| Some((id, (held[&watch.peer?], std::cmp::Reverse(*id)))))
            .max_by_key(|&(_, rank)| rank)?;
        self.remove(id)?.cut.notify_one();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Watch>> {
        let watch = self.by_id.remove(&id)?;
        self.counted -= usize::from(watch.peer.is_some());
        Some(watch)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.open().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const GUEST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn is_cut(place: &Place) -> bool {
        use futures_util::FutureExt;
        place.watch.is_cut().now_or_never().is_some()
    }

    #[test]
    fn a_full_table_makes_room_at_the_cost_of_the_crowd() {
        let (table, limits) = (Connections::new(), Limits { max_connections: 3, ..Limits::default() });
        let guest = table.admit(Some(GUEST), &limits).expect("room");
        let crowd: Vec<_> = (0..2).map(|_| table.admit(Some(CROWD), &limits).expect("room")).collect();
        let newcomer = table.admit(Some(GUEST), &limits).expect("room is made");
        assert_eq!(
            [is_cut(&guest), is_cut(&crowd[0]), is_cut(&crowd[1]), is_cut(&newcomer)],
            [false, true, false, false]
        );
    }

    #[test]
    fn nobody_is_cut_in_the_middle_of_an_answer() {
        let (table, limits) = (Connections::new(), Limits { max_connections: 1, ..Limits::default() });
        let busy = table.admit(Some(CROWD), &limits).expect("room");
        busy.watch.enter(Phase::Busy);
        assert!(table.admit(Some(GUEST), &limits).is_none());
        assert!(table.admit(None, &limits).is_some(), "the socket in the data folder is always let in");
        drop(busy);
        assert!(table.admit(Some(GUEST), &limits).is_some());
    }

    #[test]
    fn only_what_is_overdue_is_swept() {
        let (table, limits) =
            (Connections::new(), Limits { header_timeout: Duration::ZERO, ..Limits::default() });
        let silent = table.admit(Some(CROWD), &limits).expect("room");
        let idle = table.admit(Some(CROWD), &limits).expect("room");
        idle.watch.enter(Phase::Idle);
        while silent.watch.now() == silent.watch.since.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        table.sweep(&limits);
        assert_eq!([is_cut(&silent), is_cut(&idle)], [true, false]);
    }
}
