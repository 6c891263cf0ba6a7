//! What two files have to do with each other, and a row of checkpoints among themselves.
//!
//! Inner products of changes need no change to be spread out: of two products it is the sum of
//! `(B₁ᵀB₂) ∘ (A₁A₂ᵀ)`. All answers are the same for any other factors of the same changes.

mod answer;
mod pair;

use std::collections::{BTreeMap, BTreeSet};

use super::measure::Module;
use super::names::{Canonical, canonical};
use super::report::{Comparison, Series};
use super::subject::Opened;
pub use super::subject::Subject;
use super::{Control, EvaluateError};
use pair::{Pair, pair};

/// Steps of progress for one pair of a series.
const STEPS: usize = 100;

/// What a series says and what it does not.
const NOTE: &str = "norms that still grow while the loss is flat hint at memorising; a cosine near 1 with a \
    growing norm means that training only makes the change stronger; neither says which picture is better";

/// What is asked about two files.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions {
    /// The strengths at which both are merged.
    pub weights: [f64; 2],
    /// Whether the spectrum of the merge is found: an eigenproblem of both ranks together for each module.
    pub spectrum: bool,
    /// Whether the overlaps of the factors' spaces are found.
    pub overlaps: bool,
    /// Whether each module is answered.
    pub modules: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { weights: [1.0, 1.0], spectrum: true, overlaps: true, modules: false }
    }
}

/// Compares two files.
pub fn compare(
    a: Subject<'_>,
    b: Subject<'_>,
    options: &CompareOptions,
    control: &Control<'_>,
) -> Result<Comparison, EvaluateError> {
    let sums = sums(&Opened::new(a), &Opened::new(b), options, control)?;
    Ok(sums.answer(a.name, b.name, options))
}

/// Compares each file with the one before; the order is the caller's.
pub fn series(subjects: &[Subject<'_>], control: &Control<'_>) -> Result<Series, EvaluateError> {
    let options = CompareOptions { spectrum: false, overlaps: false, ..CompareOptions::default() };
    let mut answer = Series {
        order: subjects.iter().map(|subject| subject.name.to_owned()).collect(),
        frobenius_total: Vec::new(),
        step_cosine: Vec::new(),
        steps: Vec::new(),
        note: NOTE.to_owned(),
    };
    let opened: Vec<Opened<'_>> = subjects.iter().map(|subject| Opened::new(*subject)).collect();
    let total = STEPS * opened.len().saturating_sub(1);
    for (place, pair) in opened.windows(2).enumerate() {
        let part = (place * STEPS, STEPS, total);
        let sums = control.part(part, |control| sums(&pair[0], &pair[1], &options, control))?;
        if answer.frobenius_total.is_empty() {
            answer.frobenius_total.push(sums.energy_a.sqrt());
        }
        answer.frobenius_total.push(sums.energy_b.sqrt());
        answer.step_cosine.push(sums.cosine());
        answer.steps.push(sums.step(pair[0].subject.name, pair[1].subject.name));
    }
    Ok(answer)
}

/// What all pairs of modules give.
#[derive(Default)]
pub(in crate::evaluate) struct Sums {
    pairs: Vec<Pair>,
    pub(in crate::evaluate) only_a: u64,
    pub(in crate::evaluate) only_b: u64,
    incomparable: u64,
    /// Energies of the whole files.
    pub(in crate::evaluate) energy_a: f64,
    pub(in crate::evaluate) energy_b: f64,
    /// The inner product of both.
    pub(in crate::evaluate) inner: f64,
}

/// The modules of a file by canonical path, each with its own name.
type Named<'m, 'a> = BTreeMap<String, Vec<(Canonical, &'m Module<'a>)>>;

/// One module of each file.
enum Match<'m, 'a> {
    Both(&'m Module<'a>, &'m Module<'a>, [Canonical; 2]),
    OnlyA(&'m Module<'a>),
    OnlyB(&'m Module<'a>),
}

/// Goes over all modules of both files.
pub(in crate::evaluate) fn sums(
    a: &Opened<'_>,
    b: &Opened<'_>,
    options: &CompareOptions,
    control: &Control<'_>,
) -> Result<Sums, EvaluateError> {
    let matches = matched(a, b);
    let pairs = control.each(&matches, |found| match found {
        Match::Both(one, other, names) => pair(a, b, one, other, names, options),
        Match::OnlyA(one) => Ok(Some(Pair { energy_a: energy(a, one)?.unwrap_or(0.0), ..Pair::default() })),
        Match::OnlyB(other) => {
            Ok(Some(Pair { energy_b: energy(b, other)?.unwrap_or(0.0), ..Pair::default() }))
        }
    })?;
    let mut sums = Sums::default();
    let (mut seen_a, mut seen_b) = (BTreeSet::new(), BTreeSet::new());
    for (found, pair) in matches.iter().zip(pairs) {
        let Some(pair) = pair else {
            sums.incomparable += 1;
            continue;
        };
        sums.inner += pair.inner;
        match found {
            Match::Both(one, other, _) => {
                // A fused module meets several pieces; its energy counts once.
                sums.energy_a += if seen_a.insert(one.0) { energy_of(a, one, &pair, true)? } else { 0.0 };
                sums.energy_b +=
                    if seen_b.insert(other.0) { energy_of(b, other, &pair, false)? } else { 0.0 };
                sums.pairs.push(pair);
            }
            Match::OnlyA(_) => {
                sums.only_a += 1;
                sums.energy_a += pair.energy_a;
            }
            Match::OnlyB(_) => {
                sums.only_b += 1;
                sums.energy_b += pair.energy_b;
            }
        }
    }
    Ok(sums)
}

/// The energy of the whole module behind a pair, which may be about a piece of it.
fn energy_of(
    opened: &Opened<'_>,
    module: &Module<'_>,
    pair: &Pair,
    is_first: bool,
) -> Result<f64, EvaluateError> {
    let known = if is_first { pair.energy_a } else { pair.energy_b };
    let is_piece = if is_first { pair.ranks[0].is_none() } else { pair.ranks[1].is_none() };
    if is_piece { Ok(energy(opened, module)?.unwrap_or(known)) } else { Ok(known) }
}

/// The energy of a module's change; none when it is not in the file alone.
fn energy(opened: &Opened<'_>, (name, parts): &Module<'_>) -> Result<Option<f64>, EvaluateError> {
    let scale = opened.scale(name, parts)?.value;
    let Some(delta) = opened.delta(parts)? else { return Ok(None) };
    Ok(delta.norm().map(|norm| (norm * scale).powi(2)).filter(|energy| energy.is_finite()))
}

/// Modules of both files by canonical name; pieces of a fused weight meet the fused one.
fn matched<'m, 'a>(a: &'m Opened<'a>, b: &'m Opened<'a>) -> Vec<Match<'m, 'a>> {
    let index = |opened: &'m Opened<'a>| {
        let mut names: Named<'m, 'a> = BTreeMap::new();
        for module in &opened.modules.modules {
            let name = canonical(module.0);
            names.entry(name.path.clone()).or_default().push((name, module));
        }
        names
    };
    let (first, mut second) = (index(a), index(b));
    let mut matches = Vec::new();
    for (path, ones) in first {
        let Some(others) = second.remove(&path) else {
            matches.extend(ones.into_iter().map(|(_, module)| Match::OnlyA(module)));
            continue;
        };
        let fits = |one: &Canonical, other: &Canonical| {
            one.piece == other.piece || one.piece.is_none() || other.piece.is_none()
        };
        for (name, one) in &ones {
            for (other_name, other) in others.iter().filter(|(other, _)| fits(name, other)) {
                matches.push(Match::Both(one, other, [name.clone(), other_name.clone()]));
            }
            if !others.iter().any(|(other, _)| fits(name, other)) {
                matches.push(Match::OnlyA(one));
            }
        }
        for (name, other) in &others {
            if !ones.iter().any(|(one, _)| fits(one, name)) {
                matches.push(Match::OnlyB(other));
            }
        }
    }
    matches.extend(second.into_values().flatten().map(|(_, module)| Match::OnlyB(module)));
    matches
}
