//! Files from before torch 1.6 that are not followed to their last byte by a careless reader.

use super::opcodes::runs;
use super::pickles::{legacy, legacy_object};
use super::{Case, Expected};

fn right() -> Vec<u8> {
    legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24)])
}

fn changed(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = right();
    bytes[at] = byte;
    bytes
}

/// Every hostile legacy file.
pub(crate) fn hostile() -> Vec<Case> {
    // The magic number as the result of an opcode that runs something.
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let call = runs();
    let made = [&call[..call.len() - 1], b"0", magic, b".", &right()[15..]].concat();
    let rows = vec![
        ("a byte behind", [right(), vec![0]].concat(), "trailing"),
        ("a pickle behind", [right(), runs()].concat(), "trailing"),
        ("a byte less", right()[..right().len() - 1].to_vec(), "trailing"),
        ("a storage too few", legacy(legacy_object(), &[("94214", 2, 4)]), "storage_missing"),
        (
            "a storage too many",
            legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24), ("7", 1, 4)]),
            "legacy_keys",
        ),
        ("a storage twice", legacy(legacy_object(), &[("94214", 2, 4), ("94214", 2, 4)]), "legacy_keys"),
        ("another count", legacy(legacy_object(), &[("94214", 3, 4), ("94213", 6, 24)]), "storage_short"),
        (
            "a count that wraps",
            legacy(legacy_object(), &[("94214", u64::MAX, 4), ("94213", 6, 24)]),
            "storage_short",
        ),
        ("a hostile object", legacy(runs(), &[]), "global"),
        ("another protocol number", changed(18, 0xea), "legacy_magic"),
        ("hostile facts about the machine", [&right()[..21], &runs()].concat(), "global"),
        ("a magic number that is made", made, "bare_pickle"),
        ("nothing behind the magic number", right()[..21].to_vec(), "truncated"),
    ];
    let mut all: Vec<Case> = rows
        .into_iter()
        .map(|(what, bytes, rule)| Case::denied(format!("legacy: {what}"), bytes, rule))
        .collect();
    all.push(Case::torch("legacy: cut in the magic number", right()[..10].to_vec(), Expected::Denied(None)));
    all
}
