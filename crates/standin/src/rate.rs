//! A limit on how often an API may be asked, kept as the sites keep it: a bucket that fills steadily.

use std::time::Instant;

/// How often the API may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: f64,
    /// Requests at once after a silence.
    pub burst: u32,
}

/// What is left of a limit.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(limit: RateLimit) -> Self {
        Self { limit, left: limit.burst.into(), at: Instant::now() }
    }

    /// Takes one request out; `false` when there is none left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.limit.per_second;
        (self.left, self.at) = ((self.left + earned).min(self.limit.burst.into()), now);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_gives_its_burst_and_then_as_it_fills() {
        let mut bucket = Bucket::full(RateLimit { per_second: 2.0, burst: 3 });
        let start = bucket.at;
        let taken = (0..5).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 3);
        assert!(bucket.take(start + Duration::from_millis(600)));
        assert!(!bucket.take(start + Duration::from_millis(700)));
    }
}
