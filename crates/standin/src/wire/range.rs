//! `Range` and `If-Range` (RFC 9110, section 14), one range only as object stores do.

/// What a request wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, one that is not understood, or an `If-Range` that no longer holds.
    Whole,
    /// Bytes from the first to before the second.
    Part(u64, u64),
    /// A range with nothing in it: 416.
    Nothing,
}

/// Reads a `Range` header against the size of the file.
pub(crate) fn wanted(range: Option<&str>, if_range_holds: bool, size: u64) -> Wanted {
    let Some(text) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = text.split_once('-').filter(|_| if_range_holds && !text.contains(',')) else {
        return Wanted::Whole;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Wanted::Whole,
        (Ok(first), _) if first >= size => Wanted::Nothing,
        (Ok(first), Ok(last)) => Wanted::Part(first, size.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.trim().is_empty() => Wanted::Part(first, size),
        (Err(_), Ok(0)) if first.trim().is_empty() => Wanted::Nothing,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => match size {
            0 => Wanted::Nothing,
            _ => Wanted::Part(size.saturating_sub(suffix), size),
        },
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), Wanted::Part(0, 1)),
            (Some("bytes=5-"), Wanted::Part(5, 10)),
            (Some("bytes=5-99"), Wanted::Part(5, 10)),
            (Some("bytes=-3"), Wanted::Part(7, 10)),
            (Some("bytes=-99"), Wanted::Part(0, 10)),
            (Some("bytes=10-"), Wanted::Nothing),
            (Some("bytes=-0"), Wanted::Nothing),
            (Some("bytes=7-3"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(wanted(range, true, 10), expected, "{range:?}");
        }
        assert_eq!(wanted(Some("bytes=5-"), false, 10), Wanted::Whole);
    }
}
