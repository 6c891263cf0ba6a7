//! Numbers for people: bytes and durations.

use std::time::Duration;

/// Decimal units, as model sizes are given everywhere in this field.
const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];

/// `6.94 GB`: three digits, decimal units.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = 0;
    // 999.5 would be shown as 1000, which belongs to the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `118 MB/s`.
pub(crate) fn speed(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second.max(0.0) as u64))
}

/// `2 h 05 min`, `3 min 20 s`, `12 s`, `0.4 s`.
pub(crate) fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    whole_seconds(duration.as_secs())
}

/// `2 h 05 min`, `3 min 20 s`, `4 s`.
pub(crate) fn whole_seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 file`, `3 files`: the noun's plural is made with `s`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// Reads `0`, `500000`, `800k`, `20M`, `1.5G`, `20MB/s`: decimal units, whole bytes.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_suffix("/s").unwrap_or(text);
    let text = text.strip_suffix(['B', 'b']).unwrap_or(text).trim_end();
    let (number, factor) = match text.char_indices().next_back()? {
        (end, 'k' | 'K') => (&text[..end], 1e3),
        (end, 'm' | 'M') => (&text[..end], 1e6),
        (end, 'g' | 'G') => (&text[..end], 1e9),
        _ => (text, 1.0),
    };
    let value: f64 = number.trim_end().parse().ok()?;
    let count = value * factor;
    (count.is_finite() && (0.0..1e18).contains(&count)).then_some(count.round() as u64)
}

/// `2026-08-22 10:15` of an RFC 3339 time.
pub(crate) fn minute(time: &str) -> String {
    shown(time, "%Y-%m-%d %H:%M")
}

/// `2026-08-22 10:15:07` of an RFC 3339 time.
pub(crate) fn second(time: &str) -> String {
    shown(time, "%Y-%m-%d %H:%M:%S")
}

fn shown(time: &str, format: &str) -> String {
    chrono::DateTime::parse_from_rfc3339(time)
        .map_or_else(|_| time.to_owned(), |time| time.to_utc().format(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_decimal_units() {
        let shown: Vec<String> =
            [0, 999, 1000, 1_234, 12_345, 999_499, 999_500, 6_938_040_682, 2_500_000_000_000]
                .map(bytes)
                .into();
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.00 kB", "1.23 kB", "12.3 kB", "999 kB", "1.00 MB", "6.94 GB", "2.50 TB"]
        );
    }

    #[test]
    fn durations_are_as_long_as_people_say_them() {
        let shown: Vec<String> = [0.42, 9.99, 12.0, 200.0, 7500.0]
            .map(|seconds| duration(Duration::from_secs_f64(seconds)))
            .into();
        assert_eq!(shown, ["0.4 s", "10.0 s", "12 s", "3 min 20 s", "2 h 05 min"]);
    }

    #[test]
    fn limits_are_read_with_and_without_units() {
        assert_eq!(parse_bytes("500000"), Some(500_000));
        assert_eq!(parse_bytes("20M"), Some(20_000_000));
        assert_eq!(parse_bytes("1.5 GB/s"), Some(1_500_000_000));
        assert_eq!(parse_bytes("800k"), Some(800_000));
        for wrong in ["", "fast", "-1", "1e30", "nan", "M", "10X"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
        assert_eq!(counted(2, "entry"), "2 entries");
    }
}
