//! A set of bytes of a file, as sorted ranges that neither touch nor overlap.

use std::ops::Range;

/// Which bytes of a file there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    /// Adds `added`; empty ranges change nothing.
    pub(crate) fn insert(&mut self, added: Range<u64>) {
        if added.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|range| range.end < added.start);
        let last = self.ranges.partition_point(|range| range.start <= added.end);
        let mut merged = added;
        if let Some(touched) = self.ranges.get(first..last).filter(|touched| !touched.is_empty()) {
            merged.start = merged.start.min(touched[0].start);
            merged.end = merged.end.max(touched[touched.len() - 1].end);
        }
        self.ranges.splice(first..last, [merged]);
    }

    /// Adds all of `other`.
    pub(crate) fn extend(&mut self, other: &Self) {
        other.ranges.iter().for_each(|range| self.insert(range.clone()));
    }

    /// The ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.ranges.iter()
    }

    /// How far the file is whole from its beginning.
    pub(crate) fn prefix(&self) -> u64 {
        self.ranges.first().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }

    /// Bytes in the set.
    pub(crate) fn total(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// End of the last range.
    pub(crate) fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |last| last.end)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// What of `0..size` is not in the set, in order.
    pub(crate) fn missing(&self, size: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut position = 0;
        for range in &self.ranges {
            if range.start > position {
                gaps.push(position..range.start.min(size));
            }
            position = range.end;
        }
        if position < size {
            gaps.push(position..size);
        }
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_holds_exactly_the_bytes_that_were_added(
            added in prop::collection::vec((0_u64..200, 0_u64..40), 0..30)
        ) {
            let mut set = RangeSet::default();
            let mut bytes = [false; 256];
            for (start, length) in added {
                set.insert(start..start + length);
                bytes[start as usize..(start + length) as usize].fill(true);
            }
            let listed: Vec<u64> = set.iter().flat_map(Clone::clone).collect();
            let held: Vec<u64> = (0..256).filter(|at| bytes[*at as usize]).collect();
            prop_assert_eq!(&listed, &held);
            prop_assert!(set.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(set.total(), held.len() as u64);
            prop_assert_eq!(set.prefix(), bytes.iter().take_while(|held| **held).count() as u64);
            let missing: Vec<u64> = set.missing(220).into_iter().flatten().collect();
            let lacking: Vec<u64> = (0..220).filter(|at| !bytes[*at as usize]).collect();
            prop_assert_eq!(missing, lacking);
        }
    }
}
