//! Hostile, malformed and benign files, each with a name and with what has to become of it.
//!
//! Generated, never stored. The tests of the scanner replay all of them, and so do those of uploads and downloads.

pub(crate) mod archives;
pub(crate) mod benign;
pub(crate) mod globals;
pub(crate) mod headers;
pub(crate) mod legacy;
pub(crate) mod opcodes;
pub(crate) mod values;
pub(crate) mod wrappers;

use super::pickles::{self, Pickle};
use super::zips::{Member, Zip};

/// Endings under which programs open a file with `torch.load`.
pub(crate) const TORCH: &[&str] = &["pt", "ckpt", "pth", "bin"];
/// The ending of a file that has tensors and nothing else.
pub(crate) const SAFETENSORS: &[&str] = &["safetensors"];

/// What has to become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is published.
    Clean,
    /// It is kept away, by this rule where the rule is what the case is about.
    Denied(Option<&'static str>),
    /// It is refused, and nothing of it is kept.
    Malformed,
}

/// One file.
pub(crate) struct Case {
    /// What it tries, with its family in front; unique.
    pub(crate) name: String,
    /// The endings that it is tried under.
    pub(crate) endings: &'static [&'static str],
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

impl Case {
    fn torch(name: impl Into<String>, bytes: Vec<u8>, expected: Expected) -> Self {
        Self { name: name.into(), endings: TORCH, bytes, expected }
    }

    fn denied(name: impl Into<String>, bytes: Vec<u8>, rule: &'static str) -> Self {
        Self::torch(name, bytes, Expected::Denied(Some(rule)))
    }
}

/// A pickle that may run something, and the rule that it breaks.
pub(crate) struct Hostile {
    pub(crate) what: String,
    pub(crate) pickle: Vec<u8>,
    pub(crate) rule: &'static str,
}

impl Hostile {
    fn new(what: impl Into<String>, pickle: Pickle, rule: &'static str) -> Self {
        Self { what: what.into(), pickle: pickle.stop(), rule }
    }

    fn of_bytes(what: impl Into<String>, pickle: Vec<u8>, rule: &'static str) -> Self {
        Self { what: what.into(), pickle, rule }
    }

    /// As the object of a torch file, as that of a file from before torch 1.6, and bare.
    pub(crate) fn cases(&self) -> [Case; 3] {
        let Self { what, pickle, rule } = self;
        let any = Expected::Denied(None);
        [
            Case::denied(format!("{what}, in a zip"), zipped(pickle), rule),
            Case::torch(
                format!("{what}, in a legacy file"),
                pickles::legacy(pickle.clone(), &[("0", 6, 24)]),
                any,
            ),
            Case::torch(format!("{what}, bare"), pickle.clone(), any),
        ]
    }
}

/// A torch file of that pickle with two storages.
pub(crate) fn zipped(pickle: &[u8]) -> Vec<u8> {
    Zip::torch(pickle.to_vec(), &[("0", 24), ("1", 4)]).build()
}

/// Rows of a table of pickles that all break one rule.
fn by_rule(rule: &'static str, rows: Vec<(&str, Pickle)>) -> Vec<Hostile> {
    rows.into_iter().map(|(what, pickle)| Hostile::new(what, pickle, rule)).collect()
}

/// Every hostile pickle.
pub(crate) fn pickles() -> Vec<Hostile> {
    let families = [
        opcodes::protocols(),
        opcodes::frames(),
        opcodes::never_written(),
        opcodes::extensions(),
        opcodes::effects_before_errors(),
        opcodes::behind_the_end(),
        opcodes::nested(),
        opcodes::memo(),
        opcodes::stack(),
        globals::dangerous(),
        globals::dotted(),
        values::confusions(),
        values::arguments(),
        values::bounds(),
        values::persistent_ids(),
        values::costly(),
    ];
    families.into_iter().flatten().collect()
}

/// Every file.
pub(crate) fn all() -> Vec<Case> {
    let pickles = pickles();
    let mut cases: Vec<Case> = pickles.iter().flat_map(Hostile::cases).collect();
    for family in [archives::all(), legacy::hostile(), wrappers::all(), headers::all(), benign::all()] {
        cases.extend(family);
    }
    cases
}
