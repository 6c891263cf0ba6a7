//! What all transfers of an engine share: connections, bandwidth, and hosts that asked for a pause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Locks although a panic elsewhere poisoned it: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts connections, in all and by host.
#[derive(Debug)]
pub(crate) struct Connections {
    state: Mutex<ConnectionCounts>,
    freed: Notify,
}

#[derive(Debug)]
struct ConnectionCounts {
    max: usize,
    max_per_host: usize,
    total: usize,
    per_host: HashMap<String, usize>,
    /// Who waits for a connection: transfers that have none at all.
    waiting: usize,
    /// How many of them nobody has made room for yet.
    unserved: usize,
}

impl Connections {
    pub(crate) fn new(max: usize, max_per_host: usize) -> Arc<Self> {
        let counts = ConnectionCounts {
            max: max.max(1),
            max_per_host: max_per_host.max(1),
            total: 0,
            per_host: HashMap::new(),
            waiting: 0,
            unserved: 0,
        };
        Arc::new(Self { state: Mutex::new(counts), freed: Notify::new() })
    }

    /// Changes the limit; connections above it end with the piece that they are at.
    pub(crate) fn set_max(&self, max: usize) {
        lock(&self.state).max = max.max(1);
        self.freed.notify_waiters();
    }

    /// Waits for a connection to `host`.
    pub(crate) async fn acquire(self: &Arc<Self>, host: &str) -> Permit {
        if let Some(permit) = self.try_acquire(host) {
            return permit;
        }
        let _waiting = Waiting::new(self);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before the look, so that no release between the two is missed.
            freed.as_mut().enable();
            if let Some(permit) = self.permit(host, |_| true) {
                return permit;
            }
            freed.await;
        }
    }

    /// A connection to `host` if one is free at once and nobody needs it more.
    pub(crate) fn try_acquire(self: &Arc<Self>, host: &str) -> Option<Permit> {
        self.permit(host, |counts| counts.waiting == 0)
    }

    /// Whether [`Self::try_acquire`] would succeed now.
    pub(crate) fn has_room(&self, host: &str) -> bool {
        let counts = lock(&self.state);
        counts.waiting == 0 && counts.has_room(host)
    }

    /// Whether a transfer that has several connections should give one up for one that has none.
    /// Says yes once for each that waits.
    pub(crate) fn should_yield(&self) -> bool {
        let mut counts = lock(&self.state);
        let unserved = counts.unserved;
        counts.unserved = unserved.saturating_sub(1);
        unserved > 0
    }

    fn permit(self: &Arc<Self>, host: &str, fair: impl FnOnce(&ConnectionCounts) -> bool) -> Option<Permit> {
        let mut counts = lock(&self.state);
        if !counts.has_room(host) || !fair(&counts) {
            return None;
        }
        counts.total += 1;
        *counts.per_host.entry(host.to_owned()).or_default() += 1;
        Some(Permit { connections: Arc::clone(self), host: host.to_owned() })
    }

    fn release(&self, host: &str) {
        let mut counts = lock(&self.state);
        counts.total -= 1;
        if let Some(here) = counts.per_host.get_mut(host) {
            *here -= 1;
            if *here == 0 {
                counts.per_host.remove(host);
            }
        }
        drop(counts);
        self.freed.notify_waiters();
    }
}

impl ConnectionCounts {
    fn has_room(&self, host: &str) -> bool {
        self.total < self.max && self.per_host.get(host).copied().unwrap_or(0) < self.max_per_host
    }
}

/// Somebody who waits, counted as long as they do.
struct Waiting<'a>(&'a Connections);

impl<'a> Waiting<'a> {
    fn new(connections: &'a Connections) -> Self {
        let mut counts = lock(&connections.state);
        counts.waiting += 1;
        counts.unserved += 1;
        Self(connections)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut counts = lock(&self.0.state);
        counts.waiting -= 1;
        counts.unserved = counts.unserved.min(counts.waiting);
    }
}

/// The right to use one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<Connections>,
    host: String,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.release(&self.host);
    }
}

/// A token bucket that may go into debt: who takes too much waits until the debt is paid.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    bucket: Mutex<Bucket>,
    changed: Notify,
}

#[derive(Debug)]
struct Bucket {
    bytes_per_second: Option<u64>,
    tokens: f64,
    filled_at: Instant,
}

impl Bandwidth {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        let bucket = Bucket { bytes_per_second, tokens: 0.0, filled_at: Instant::now() };
        Self { bucket: Mutex::new(bucket), changed: Notify::new() }
    }

    /// Changes the limit and forgives every debt made under the old one.
    pub(crate) fn set(&self, bytes_per_second: Option<u64>) {
        let mut bucket = lock(&self.bucket);
        bucket.bytes_per_second = bytes_per_second.filter(|rate| *rate > 0);
        bucket.tokens = 0.0;
        bucket.filled_at = Instant::now();
        drop(bucket);
        self.changed.notify_waiters();
    }

    /// Pays for `bytes` that have arrived; returns when the next ones may be read.
    pub(crate) async fn pay(&self, bytes: u64) {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let wait = lock(&self.bucket).take(bytes);
        if let Some(wait) = wait {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }
}

impl Bucket {
    fn take(&mut self, bytes: u64) -> Option<Duration> {
        let rate = self.bytes_per_second? as f64;
        let now = Instant::now();
        let filled = self.tokens + rate * (now - self.filled_at).as_secs_f64();
        // At most a tenth of a second is saved up, so that a pause is no licence for a burst.
        self.tokens = filled.min(rate / 10.0) - bytes as f64;
        self.filled_at = now;
        (self.tokens < 0.0).then(|| Duration::from_secs_f64(-self.tokens / rate))
    }
}

/// Hosts that asked all of us to wait.
#[derive(Debug, Default)]
pub(crate) struct HostGates {
    closed_until: Mutex<HashMap<String, Instant>>,
}

impl HostGates {
    /// Nobody asks `host` for this long.
    pub(crate) fn close(&self, host: &str, wait: Duration) {
        let until = Instant::now() + wait;
        let mut gates = lock(&self.closed_until);
        let entry = gates.entry(host.to_owned()).or_insert(until);
        *entry = (*entry).max(until);
    }

    /// How long `host` may not be asked yet.
    pub(crate) fn closed_for(&self, host: &str) -> Option<Duration> {
        let until = lock(&self.closed_until).get(host).copied()?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Waits until `host` may be asked.
    pub(crate) async fn pass(&self, host: &str) {
        loop {
            let until = lock(&self.closed_until).get(host).copied();
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                Some(_) => {
                    lock(&self.closed_until).retain(|_, until| *until > Instant::now());
                    return;
                }
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_counted_in_all_and_by_host_and_given_back() {
        let connections = Connections::new(3, 2);
        let first = connections.try_acquire("a").unwrap();
        let _second = connections.try_acquire("a").unwrap();
        assert!(connections.try_acquire("a").is_none(), "two a host");
        let _third = connections.try_acquire("b").unwrap();
        assert!(connections.try_acquire("c").is_none(), "three in all");
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.acquire("a").await }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_without_a_connection_goes_before_one_that_wants_another() {
        let connections = Connections::new(1, 1);
        let only = connections.try_acquire("a").unwrap();
        assert!(!connections.should_yield());
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.acquire("b").await }
        });
        tokio::task::yield_now().await;
        assert!(connections.should_yield());
        assert!(!connections.should_yield(), "one connection is enough for one that waits");
        drop(only);
        assert!(connections.try_acquire("a").is_none(), "it is for the one that waits");
        drop(waiting.await.unwrap());
        assert!(connections.try_acquire("a").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_is_shared_and_changes_at_once() {
        let bandwidth = Arc::new(Bandwidth::new(Some(1000)));
        let start = Instant::now();
        let (first, second) = (bandwidth.pay(1000), bandwidth.pay(1000));
        tokio::join!(first, second);
        assert!((1.9..=2.1).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
        let slow = tokio::spawn({
            let bandwidth = Arc::clone(&bandwidth);
            async move { bandwidth.pay(1_000_000).await }
        });
        tokio::task::yield_now().await;
        let start = Instant::now();
        bandwidth.set(None);
        slow.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_makes_everybody_wait_for_that_host_only() {
        let gates = HostGates::default();
        gates.close("busy", Duration::from_secs(5));
        gates.close("busy", Duration::from_secs(1));
        let start = Instant::now();
        gates.pass("other").await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        gates.pass("busy").await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
