//! How often a host is asked: a steady rate with a small burst, and the pauses that a host asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A rate with a burst.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Time between two requests in the long run.
    pub(crate) interval: Duration,
    /// Requests that may go at once after a silence.
    pub(crate) burst: u32,
}

/// When each host may be asked next.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    hosts: Mutex<HashMap<String, Slot>>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// When the last granted request would have gone at the steady rate.
    due: Instant,
    /// The end of a pause that the host asked for.
    closed_until: Instant,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, hosts: Mutex::default() }
    }

    /// How long this host has still asked not to be asked.
    pub(super) fn closed_for(&self, host: &str) -> Option<Duration> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = hosts.get(host)?.closed_until.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then_some(left)
    }

    /// Waits for this host's next turn.
    pub(super) async fn turn(&self, host: &str) {
        let at = self.reserve(host, Instant::now());
        tokio::time::sleep_until(at).await;
    }

    /// Takes the next turn and says when it is.
    fn reserve(&self, host: &str, now: Instant) -> Instant {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = hosts.entry(host.to_owned()).or_insert(Slot { due: now, closed_until: now });
        // A silent host earns back at most one burst.
        let credit = self.rate.interval * self.rate.burst;
        slot.due = slot.due.max(now) + self.rate.interval;
        let at = slot.due.checked_sub(credit).map_or(now, |at| at.max(now));
        at.max(slot.closed_until)
    }

    /// Nobody asks this host for that long.
    pub(super) fn close(&self, host: &str, wait: Duration) {
        let now = Instant::now();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = hosts.entry(host.to_owned()).or_insert(Slot { due: now, closed_until: now });
        slot.closed_until = slot.closed_until.max(now + wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_then_one_each_interval() {
        let pace = Pace::new(Rate { interval: Duration::from_millis(200), burst: 3 });
        let start = Instant::now();
        for _ in 0..3 {
            pace.turn("a").await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.turn("a").await;
        pace.turn("a").await;
        assert_eq!(start.elapsed().as_millis(), 400);
        pace.turn("b").await;
        assert_eq!(start.elapsed().as_millis(), 400, "another host has its own turns");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_asked_for_a_pause_gets_it() {
        let pace = Pace::new(Rate { interval: Duration::from_millis(1), burst: 9 });
        pace.close("a", Duration::from_secs(7));
        let start = Instant::now();
        pace.turn("a").await;
        assert_eq!(start.elapsed().as_secs(), 7);
    }
}
