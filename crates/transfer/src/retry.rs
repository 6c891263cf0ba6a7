//! Which waits follow which failures: backoff with jitter, and `Retry-After` in its forms.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// How often and how patiently trouble that may pass is met.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Failures in a row without progress before the transfer gives up.
    pub max_attempts: u32,
    /// Wait after the first failure; doubles with each further one.
    pub base_delay: Duration,
    /// Longest wait of our own choosing.
    pub max_delay: Duration,
    /// Longest wait that a server's `Retry-After` is granted.
    pub max_retry_after: Duration,
    /// Longest of these waits that a transfer sits out. A longer one ends it with `Delayed`, so that others may use its
    /// place meanwhile.
    pub max_pause: Duration,
    /// Bytes that must arrive after a failure before it is forgotten.
    pub progress_bytes: u64,
}

impl Default for RetryPolicy {
    /// Ten tries over about two and a half minutes; a `Retry-After` of up to an hour.
    fn default() -> Self {
        Self {
            max_attempts: 10,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            max_retry_after: Duration::from_hours(1),
            max_pause: Duration::from_secs(5),
            progress_bytes: 64 * 1024,
        }
    }
}

impl RetryPolicy {
    /// The wait after the `attempt`-th failure in a row (from 1). `chance` in 0..1 spreads it over
    /// half to all of the nominal wait, so that transfers do not return in step.
    pub fn backoff(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let nominal = self.base_delay.saturating_mul(1 << doublings).min(self.max_delay);
        nominal.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// A server's wish cut to what is granted, with up to a tenth (at most 2 s) on top, so that
    /// transfers do not return in step and never before the time.
    pub fn granted(&self, wish: Duration, chance: f64) -> Duration {
        let wait = wish.min(self.max_retry_after);
        let spread = (wait / 10).min(Duration::from_secs(2));
        wait + spread.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// The wait that a server asks for: `Retry-After` in seconds or as an HTTP date, else the reset
/// time of an exhausted `RateLimit` header (`"api";r=0;t=168`).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    text("retry-after").and_then(|value| parse_retry_after(value, now)).or_else(|| {
        let limit = text("ratelimit")?;
        (parameter(limit, "r")? == 0).then(|| parameter(limit, "t").map(Duration::from_secs))?
    })
}

fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

fn parameter(text: &str, name: &str) -> Option<u64> {
    text.split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| *key == name)?
        .1
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn retry_after_is_read_as_seconds_as_a_date_and_from_rate_limit() {
        let seconds = |headers: &HeaderMap, now| retry_after(headers, now).map(|wait| wait.as_secs());
        assert_eq!(seconds(&headers("retry-after", "7"), at(0)), Some(7));
        // 784111777 is the example date of RFC 9110.
        let date = headers("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(seconds(&date, at(784_111_770)), Some(7));
        assert_eq!(seconds(&date, at(784_111_999)), Some(0), "a date in the past means now");
        assert_eq!(seconds(&headers("ratelimit", "\"api\";r=0;t=168"), at(0)), Some(168));
        assert_eq!(seconds(&headers("ratelimit", "\"api\";r=3;t=168"), at(0)), None);
    }

    #[test]
    fn an_absurd_retry_after_is_capped_and_a_senseless_one_ignored() {
        let policy = RetryPolicy::default();
        for absurd in ["1000000000", "99999999999999999999999999"] {
            let wish = retry_after(&headers("retry-after", absurd), at(0)).unwrap();
            assert!(policy.granted(wish, 1.0) <= Duration::from_secs(3602));
        }
        assert_eq!(retry_after(&headers("retry-after", "soon"), at(0)), None);
        assert_eq!(retry_after(&headers("retry-after", "-5"), at(0)), None);
    }

    #[test]
    fn backoff_doubles_up_to_its_cap_and_never_vanishes() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(policy.backoff(3, 1.0), Duration::from_secs(2));
        assert_eq!(policy.backoff(40, 1.0), Duration::from_secs(30));
        assert_eq!(policy.backoff(40, 0.0), Duration::from_secs(15));
    }
}
