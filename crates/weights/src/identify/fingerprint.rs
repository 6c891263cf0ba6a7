//! The structure of a file as one number: equal means the same architecture, not the same weights.
//!
//! MD5 over `key:shape` and `key` of every tensor, sorted, as DiffSynth-Studio defines it; the element type
//! is not in it, so a cast keeps the number.

use std::collections::HashMap;
use std::sync::LazyLock;

use md5::Digest as _;

/// One published model whose structure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) kind: &'static str,
    pub(super) base: &'static str,
    pub(super) variant: &'static str,
    /// Where it is published, for the evidence.
    pub(super) name: &'static str,
}

static TABLE: LazyLock<HashMap<&'static str, Known>> =
    LazyLock::new(|| include_str!("fingerprints.tsv").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<(&'static str, Known)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    Some((next()?, Known { kind: next()?, base: next()?, variant: next()?, name: next()? }))
}

/// The number of a structure, as 32 hexadecimal digits.
pub(super) fn of<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u64])>) -> String {
    let mut parts = Vec::new();
    for (name, shape) in tensors {
        let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
        parts.push(format!("{name}:{}", sides.join("_")));
        parts.push(name.to_owned());
    }
    parts.sort_unstable();
    hex::encode(md5::Md5::digest(parts.join(",")))
}

/// The published model of that structure.
pub(super) fn find(fingerprint: &str) -> Option<Known> {
    TABLE.get(fingerprint).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_whole() {
        let lines = include_str!("fingerprints.tsv").lines().count();
        assert_eq!(TABLE.len(), lines);
        assert!(TABLE.iter().all(|(md5, known)| md5.len() == 32 && !known.kind.is_empty()));
    }

    #[test]
    fn the_order_of_tensors_does_not_matter() {
        let (a, b) = (("a", &[1, 2][..]), ("b", &[][..]));
        assert_eq!(of([a, b].into_iter()), of([b, a].into_iter()));
        assert_eq!(of([a, b].into_iter()), hex::encode(md5::Md5::digest("a,a:1_2,b,b:")));
    }
}
