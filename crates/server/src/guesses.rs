//! Slows down who guesses keys: a bucket of wrong keys for each client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys that are answered at once.
const BURST: u32 = 30;
/// One more is allowed after each such span; an extension that polls with an old key stays below it.
const REFILL: Duration = Duration::from_secs(2);
/// Addresses that are remembered; beyond it the one that was seen longest ago is forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// Counts wrong keys by address (IPv6 by /64, since one client holds all of it).
#[derive(Debug, Default)]
pub(crate) struct GuessLimiter(Mutex<HashMap<IpAddr, Bucket>>);

/// When the bucket would be empty of wrong keys again; it is full when that is [`BURST`] spans ahead.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    drained_at: Instant,
}

impl GuessLimiter {
    fn buckets(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this address has to wait before its next key is looked at; `None` when it may try.
    pub(crate) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let bucket = self.buckets().get(&network(address)).copied()?;
        let owed = bucket.drained_at.saturating_duration_since(now);
        owed.checked_sub(REFILL * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// Notes a wrong key.
    pub(crate) fn note_wrong(&self, address: IpAddr, now: Instant) {
        let mut buckets = self.buckets();
        if buckets.len() >= MAX_ADDRESSES {
            forget_some(&mut buckets, now);
        }
        let bucket = buckets.entry(network(address)).or_insert(Bucket { drained_at: now });
        bucket.drained_at = bucket.drained_at.max(now) + REFILL;
    }
}

/// Drops what is drained, else the one that will be drained first.
fn forget_some(buckets: &mut HashMap<IpAddr, Bucket>, now: Instant) {
    buckets.retain(|_, bucket| bucket.drained_at > now);
    if buckets.len() >= MAX_ADDRESSES
        && let Some(oldest) =
            buckets.iter().min_by_key(|(_, bucket)| bucket.drained_at).map(|(address, _)| *address)
    {
        buckets.remove(&oldest);
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wrong_keys_make_one_address_wait_and_no_other() {
        let (limiter, now) = (GuessLimiter::default(), Instant::now());
        let [guesser, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().expect("an address"));
        for _ in 0..BURST {
            assert_eq!(limiter.wait(guesser, now), None);
            limiter.note_wrong(guesser, now);
        }
        assert_eq!(limiter.wait(guesser, now), Some(REFILL));
        assert_eq!(limiter.wait(other, now), None);
        assert_eq!(limiter.wait(guesser, now + REFILL), None);
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let (limiter, now) = (GuessLimiter::default(), Instant::now());
        for host in 0..BURST {
            limiter.note_wrong(format!("2001:db8::{host:x}").parse().expect("an address"), now);
        }
        assert!(limiter.wait("2001:db8::ffff".parse().expect("an address"), now).is_some());
        assert_eq!(limiter.wait("2001:db8:0:1::1".parse().expect("an address"), now), None);
    }

    #[test]
    fn the_memory_of_addresses_is_bounded() {
        let (limiter, now) = (GuessLimiter::default(), Instant::now());
        for number in 0..(MAX_ADDRESSES as u32 + 100) {
            limiter.note_wrong(IpAddr::V4(number.into()), now);
        }
        assert!(limiter.buckets().len() <= MAX_ADDRESSES);
    }
}
