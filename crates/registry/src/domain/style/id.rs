//! The id of a style: `lora_` and a ULID, 26 digits of Crockford's base 32 (<https://github.com/ulid/spec>).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One style; the same for ever. Ids made later sort later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StyleId(pub Uuid);

const PREFIX: &str = "lora_";
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of a ULID; the first one holds three bits.
const LENGTH: usize = 26;
/// Bits behind the time.
const RANDOM_BITS: u32 = 80;

/// A text that is no id of a style.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an id of a style is `lora_` and 26 letters and digits")]
pub struct NotAStyleId;

impl StyleId {
    /// A new id: the time in milliseconds, then chance. One that would not sort after `last` counts up from it, so that ids of
    /// one millisecond sort in the order in which they were made.
    pub fn new(now: DateTime<Utc>, random: [u8; 10], last: Option<Self>) -> Self {
        let milliseconds = u128::from(now.timestamp_millis().max(0).unsigned_abs()) & ((1 << 48) - 1);
        let mut chance = [0; 16];
        chance[6..].copy_from_slice(&random);
        let new = (milliseconds << RANDOM_BITS) | u128::from_be_bytes(chance);
        let next = last.map_or(new, |last| last.0.as_u128().saturating_add(1));
        let is_later = new >= next || (next >> RANDOM_BITS) > milliseconds + 1000;
        // A clock that was set back by more than a second is believed.
        Self(Uuid::from_u128(if is_later { new } else { next }))
    }
}

impl fmt::Display for StyleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; LENGTH];
        let mut rest = self.0.as_u128();
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(rest & 31) as usize];
            rest >>= 5;
        }
        f.write_str(PREFIX)?;
        f.write_str(std::str::from_utf8(&digits).expect("the digits are ASCII"))
    }
}

impl FromStr for StyleId {
    type Err = NotAStyleId;

    /// Exactly what [`fmt::Display`] writes: an id has one form, so that no two addresses lead to one style.
    fn from_str(text: &str) -> Result<Self, NotAStyleId> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == LENGTH).ok_or(NotAStyleId)?;
        let mut value: u128 = 0;
        for byte in digits.bytes() {
            let digit = DIGITS.iter().position(|own| *own == byte).ok_or(NotAStyleId)?;
            if value >> 123 != 0 {
                return Err(NotAStyleId);
            }
            value = (value << 5) | digit as u128;
        }
        Ok(Self(Uuid::from_u128(value)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_the_ulid_of_its_time() {
        // The example of the ULID specification: 1469918176385 ms is 01ARYZ6S41.
        let now = DateTime::from_timestamp_millis(1_469_918_176_385).expect("a time");
        let id = StyleId::new(now, [0xFF; 10], None);
        assert_eq!(id.to_string(), "lora_01ARYZ6S41ZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn ids_of_one_moment_sort_in_their_order() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let first = StyleId::new(now, [9; 10], None);
        let second = StyleId::new(now, [1; 10], Some(first));
        assert!(first < second, "{first} {second}");
        assert!(StyleId::new(now + TimeDelta::milliseconds(1), [0; 10], Some(second)) > second);
        let back = StyleId::new(now - TimeDelta::hours(1), [0; 10], Some(second));
        assert!(back < first, "a clock that was set right is believed");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let right = "lora_01ARYZ6S41ZZZZZZZZZZZZZZZZ";
        assert!(right.parse::<StyleId>().is_ok());
        for wrong in [
            "",
            "lora_",
            "01ARYZ6S41ZZZZZZZZZZZZZZZZ",
            "lora_01ARYZ6S41ZZZZZZZZZZZZZZZ",
            "lora_01ARYZ6S41ZZZZZZZZZZZZZZZZZ",
            "lora_81ARYZ6S41ZZZZZZZZZZZZZZZZ",
            "lora_01ARYZ6S41ZZZZZZZZZZZZZZZU",
            "lora_01aryz6s41zzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(wrong.parse::<StyleId>(), Err(NotAStyleId), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(value: u128) {
            let id = StyleId(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse::<StyleId>(), Ok(id));
        }
    }
}
