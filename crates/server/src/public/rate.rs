//! How often a key may be used: so many calls in each minute that begins with a call.
//!
//! Each process counts for itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lorakeep_registry::domain::TeamKeyId;

/// How long a window is.
const WINDOW: Duration = Duration::from_mins(1);
/// Windows that are remembered; beyond it those that have ended are forgotten, and then all.
const MAX_WINDOWS: usize = 10_000;

/// Counts calls by key.
#[derive(Debug, Default)]
pub(super) struct RateLimiter(Mutex<HashMap<TeamKeyId, Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    began_at: Instant,
    calls: u32,
}

/// Where a key stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Calls in a window.
    pub(super) limit: u32,
    /// Calls that are left of them.
    pub(super) remaining: u32,
    /// When all of them are there again, seconds.
    pub(super) reset_seconds: u64,
    /// Whether this call counts.
    pub(super) is_allowed: bool,
}

impl RateLimiter {
    fn windows(&self) -> MutexGuard<'_, HashMap<TeamKeyId, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call.
    pub(super) fn call(&self, key: TeamKeyId, limit: u32, now: Instant) -> Standing {
        let mut windows = self.windows();
        if windows.len() >= MAX_WINDOWS && !windows.contains_key(&key) {
            forget_some(&mut windows, now);
        }
        let window = windows.entry(key).or_insert(Window { began_at: now, calls: 0 });
        if now.saturating_duration_since(window.began_at) >= WINDOW {
            *window = Window { began_at: now, calls: 0 };
        }
        let is_allowed = window.calls < limit;
        window.calls += u32::from(is_allowed);
        let left = (window.began_at + WINDOW).saturating_duration_since(now);
        Standing {
            limit,
            remaining: limit.saturating_sub(window.calls),
            reset_seconds: left.as_secs_f64().ceil() as u64,
            is_allowed,
        }
    }
}

fn forget_some(windows: &mut HashMap<TeamKeyId, Window>, now: Instant) {
    windows.retain(|_, window| now.saturating_duration_since(window.began_at) < WINDOW);
    if windows.len() >= MAX_WINDOWS {
        windows.clear();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> TeamKeyId {
        TeamKeyId(Uuid::from_u128(number))
    }

    #[test]
    fn a_minute_has_as_many_calls_as_its_key_allows() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        let at = |milliseconds| {
            let standing = limiter.call(key(1), 2, now + Duration::from_millis(milliseconds));
            (standing.is_allowed, standing.remaining, standing.reset_seconds)
        };
        assert_eq!([at(0), at(30_500), at(59_999)], [(true, 1, 60), (true, 0, 30), (false, 0, 1)]);
        assert_eq!([at(60_000), at(61_000)], [(true, 1, 60), (true, 0, 59)]);
        assert!(limiter.call(key(2), 2, now).is_allowed, "another key");
    }

    #[test]
    fn a_limit_that_was_lowered_holds_at_once() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        for _ in 0..5 {
            limiter.call(key(1), 10, now);
        }
        let standing = limiter.call(key(1), 3, now);
        assert_eq!((standing.is_allowed, standing.remaining), (false, 0));
    }

    #[test]
    fn the_memory_of_keys_is_bounded() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        for number in 0..(MAX_WINDOWS as u128 + 10) {
            limiter.call(key(number), 1, now);
        }
        assert!(limiter.windows().len() <= MAX_WINDOWS);
    }
}
