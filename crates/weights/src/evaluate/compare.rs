//! What two files have to do with each other, and a row of checkpoints among themselves.
//!
//! Inner products of changes need no change to be spread out: of two products it is the sum of
//! `(B₁ᵀB₂) ∘ (A₁A₂ᵀ)`. All answers are the same for any other factors of the same changes.

use std::collections::BTreeMap;

use super::delta::{Delta, inner_product};
use super::eigen::{Factored, cholesky_pivoted};
use super::matrix::Matrix;
use super::measure::Module;
use super::module;
use super::names::{Canonical, canonical};
use super::report::{Comparison, Merge, ModuleComparison, Overlap, Relation, Series, Step};
use super::subject::Opened;
pub use super::subject::Subject;
use super::{Control, EvaluateError};

/// A cosine above this is the same change.
const SAME: f64 = 0.999;
/// Norms this close are the same strength; rounding to sixteen bits moves them far less.
const SAME_NORM: f64 = 0.01;
/// A cosine above this is much in common. A reading of the field, not a measurement.
const RELATED: f64 = 0.3;
/// This many times chance is more than chance.
const ABOVE_CHANCE: f64 = 8.0;
/// Steps of progress for one pair of a series.
const STEPS: usize = 100;
/// Directions of a factor with less than this share of its largest are noise.
const FLOOR: f64 = 1e-10;

/// What is asked about two files.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions {
    /// The strengths at which both are merged.
    pub weights: [f64; 2],
    /// Whether the spectrum of the merge is found, which costs as much as both evaluations eight times.
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
        note:
            "norms that still grow while the loss is flat hint at memorising; a cosine near 1 with a growing \
               norm means that training only makes the change stronger; neither says which picture is better"
                .to_owned(),
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

/// What one pair of modules gives.
#[derive(Clone, Debug, Default)]
struct Pair {
    name: String,
    energy_a: f64,
    energy_b: f64,
    inner: f64,
    chance: f64,
    left: Option<f64>,
    right: Option<f64>,
    chance_left: f64,
    chance_right: f64,
    /// Energy of the merge that a rank of the larger holds, and all of it.
    merged: Option<(f64, f64)>,
    ranks: [Option<u64>; 2],
}

/// What all pairs of modules give.
#[derive(Default)]
pub(super) struct Sums {
    pairs: Vec<Pair>,
    pub(super) only_a: u64,
    pub(super) only_b: u64,
    incomparable: u64,
    /// Energies of the whole files.
    pub(super) energy_a: f64,
    pub(super) energy_b: f64,
    /// The inner product of both.
    pub(super) inner: f64,
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
pub(super) fn sums(
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
    let (mut seen_a, mut seen_b) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
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

/// One module in both files; none when the two cannot be compared.
fn pair(
    a: &Opened<'_>,
    b: &Opened<'_>,
    one: &Module<'_>,
    other: &Module<'_>,
    names: &[Canonical; 2],
    options: &CompareOptions,
) -> Result<Option<Pair>, EvaluateError> {
    let scales = [a.scale(one.0, &one.1)?.value, b.scale(other.0, &other.1)?.value];
    let (Some(first), Some(second)) = (a.delta(&one.1)?, b.delta(&other.1)?) else { return Ok(None) };
    let sides = [module::sides(&one.1), module::sides(&other.1)];
    let mut ranks = [module::rank(&one.1), module::rank(&other.1)].map(|rank| Some(rank.unwrap_or(0)));
    let (first, second) = match (names[0].piece, names[1].piece) {
        (None, Some(piece)) => {
            ranks[0] = None;
            (rows_of(first, piece, sides[1]), Some(second))
        }
        (Some(piece), None) => {
            ranks[1] = None;
            (Some(first), rows_of(second, piece, sides[0]))
        }
        _ => (Some(first), Some(second)),
    };
    let (Some(first), Some(second)) = (first, second) else { return Ok(None) };
    let (Some(inner), Some(norm_a), Some(norm_b)) =
        (inner_product(&first, &second), first.norm(), second.norm())
    else {
        return Ok(None);
    };
    let [out, inner_side] = first.sides();
    let mut pair = Pair {
        name: one.0.to_owned(),
        energy_a: (norm_a * scales[0]).powi(2),
        energy_b: (norm_b * scales[1]).powi(2),
        inner: inner * scales[0] * scales[1],
        chance: 1.0 / ((out * inner_side) as f64).sqrt().max(1.0),
        ranks,
        ..Pair::default()
    };
    if !(pair.energy_a.is_finite() && pair.energy_b.is_finite() && pair.inner.is_finite()) {
        return Ok(None);
    }
    if let (Delta::Product(up_a, down_a), Delta::Product(up_b, down_b)) = (&first, &second) {
        describe_products(&mut pair, [up_a, down_a], [up_b, down_b], scales, options);
    }
    Ok(Some(pair))
}

/// The rows of a fused product that a piece of this shape stands for.
fn rows_of(fused: Delta, piece: super::names::Piece, sides: Option<[u64; 2]>) -> Option<Delta> {
    let Delta::Product(up, down) = fused else { return None };
    let sides = sides?;
    let first = usize::try_from(piece.first_row(sides)).ok()?;
    let last = first.checked_add(sides[0] as usize)?;
    let values = up.values.get(first.checked_mul(up.columns)?..last.checked_mul(up.columns)?)?.to_vec();
    Some(Delta::Product(Matrix::new(sides[0] as usize, up.columns, values), down))
}

/// What only two products tell: overlaps, and the spectrum of their sum.
fn describe_products(
    pair: &mut Pair,
    first: [&Matrix; 2],
    second: [&Matrix; 2],
    scales: [f64; 2],
    options: &CompareOptions,
) {
    if !options.overlaps && !options.spectrum {
        return;
    }
    let left = [first[0].gram_of_columns(), first[0].columns_with(second[0]), second[0].gram_of_columns()];
    let right = [first[1].gram_of_rows(), first[1].rows_with(second[1]), second[1].gram_of_rows()];
    if options.overlaps {
        let ranks = [first[0].columns, second[0].columns].map(|rank| rank as f64);
        pair.left = overlap(&left);
        pair.right = overlap(&right);
        pair.chance_left = (ranks[0].max(ranks[1]) / first[0].rows.max(1) as f64).min(1.0);
        pair.chance_right = (ranks[0].max(ranks[1]) / first[1].columns.max(1) as f64).min(1.0);
    }
    if options.spectrum {
        let weights = [options.weights[0] * scales[0], options.weights[1] * scales[1]];
        let values = super::delta::product_values(stacked(&left, weights), &stacked(&right, [1.0, 1.0]));
        let energies: Vec<f64> = values.iter().map(|value| value * value).collect();
        let rank = first[0].columns.max(second[0].columns).min(energies.len());
        pair.merged = Some((energies[..rank].iter().sum(), energies.iter().sum()));
    }
}

/// The Gram matrix of two factors beside each other, each multiplied with its weight.
fn stacked(grams: &[Matrix; 3], weights: [f64; 2]) -> Matrix {
    let [own, cross, other] = grams;
    let size = own.rows + other.rows;
    let mut whole = Matrix::zero(size, size);
    for row in 0..size {
        for column in 0..size {
            let value = match (row < own.rows, column < own.rows) {
                (true, true) => own.at(row, column) * weights[0] * weights[0],
                (false, false) => other.at(row - own.rows, column - own.rows) * weights[1] * weights[1],
                (true, false) => cross.at(row, column - own.rows) * weights[0] * weights[1],
                (false, true) => cross.at(column, row - own.rows) * weights[0] * weights[1],
            };
            *whole.at_mut(row, column) = value;
        }
    }
    whole
}

/// `‖Q₁ᵀQ₂‖² / min(r₁, r₂)` from the Gram matrices of both factors and of both together.
fn overlap([own, cross, other]: &[Matrix; 3]) -> Option<f64> {
    let (first, second) = (cholesky_pivoted(own.clone(), FLOOR), cholesky_pivoted(other.clone(), FLOOR));
    let smaller = first.pivots.len().min(second.pivots.len());
    if smaller == 0 {
        return None;
    }
    let picked: Vec<f64> = first
        .pivots
        .iter()
        .flat_map(|row| second.pivots.iter().map(move |column| cross.at(*row, *column)))
        .collect();
    let picked = Matrix::new(first.pivots.len(), second.pivots.len(), picked);
    let half = forward_substituted(&first, picked);
    let whole = forward_substituted(&second, half.transposed());
    Some((whole.energy() / smaller as f64).clamp(0.0, 1.0))
}

/// Solves `Lₚ X = right` for all columns of `right`.
fn forward_substituted(factored: &Factored, mut right: Matrix) -> Matrix {
    let (factor, pivots) = (&factored.factor, &factored.pivots);
    for (place, pivot) in pivots.iter().enumerate() {
        for earlier in 0..place {
            let weight = factor.at(*pivot, earlier);
            for column in 0..right.columns {
                let known = right.at(earlier, column);
                *right.at_mut(place, column) -= weight * known;
            }
        }
        let size = factor.at(*pivot, place);
        (0..right.columns).for_each(|column| *right.at_mut(place, column) /= size);
    }
    right
}

impl Sums {
    /// The cosine of both whole changes; none when one is zero.
    pub(super) fn cosine(&self) -> Option<f64> {
        cosine(self.inner, self.energy_a, self.energy_b)
    }

    fn shared(&self, value: impl Fn(&Pair) -> f64) -> f64 {
        self.pairs.iter().map(value).sum()
    }

    fn answer(&self, a: &str, b: &str, options: &CompareOptions) -> Comparison {
        let (energy_a, energy_b) = (self.shared(|pair| pair.energy_a), self.shared(|pair| pair.energy_b));
        Comparison {
            a: a.to_owned(),
            b: b.to_owned(),
            shared_modules: self.pairs.len() as u64,
            only_a: self.only_a,
            only_b: self.only_b,
            incomparable_modules: self.incomparable,
            cosine: self.cosine(),
            shared_cosine: cosine(self.inner, energy_a, energy_b),
            chance_cosine: self.chance(),
            norm_ratio: (self.energy_a > 0.0).then(|| (self.energy_b / self.energy_a).sqrt()),
            relation: self.relation(),
            left_overlap: self.overlap(|pair| pair.left, |pair| pair.chance_left),
            right_overlap: self.overlap(|pair| pair.right, |pair| pair.chance_right),
            merge: self.merge(options.weights),
            modules: if options.modules { self.pairs.iter().map(Pair::answer).collect() } else { Vec::new() },
        }
    }

    /// What independent changes would have: their inner products add up as a random walk.
    fn chance(&self) -> Option<f64> {
        let walk = self.shared(|pair| pair.energy_a * pair.energy_b * pair.chance * pair.chance).sqrt();
        let size = (self.energy_a * self.energy_b).sqrt();
        (size > 0.0 && walk > 0.0).then(|| walk / size)
    }

    fn relation(&self) -> Relation {
        let (Some(cosine), Some(chance)) = (self.cosine(), self.chance()) else {
            return Relation::Incomparable;
        };
        let ratio = (self.energy_b / self.energy_a).sqrt();
        if cosine >= SAME && (ratio - 1.0).abs() <= SAME_NORM {
            Relation::Same
        } else if cosine >= SAME && !self.is_projection(cosine, ratio) {
            Relation::Rescaled
        } else if self.is_projection(cosine, ratio) {
            Relation::Resized
        } else if cosine >= RELATED {
            Relation::Related
        } else if cosine <= -RELATED {
            Relation::Opposed
        } else if cosine.abs() > ABOVE_CHANCE * chance {
            Relation::Weak
        } else {
            Relation::Unrelated
        }
    }

    /// Cutting singular values off is a projection: the cosine is the ratio of the norms, and ranks differ.
    fn is_projection(&self, cosine: f64, ratio: f64) -> bool {
        let shrunk = ratio.min(1.0 / ratio);
        let ranks = |side: usize| self.pairs.iter().filter_map(|pair| pair.ranks[side]).sum::<u64>();
        let smaller_is_b = ratio < 1.0;
        let fewer = if smaller_is_b { ranks(1) < ranks(0) } else { ranks(0) < ranks(1) };
        fewer && cosine > 0.5 && (cosine - shrunk).abs() < 0.005
    }

    fn overlap(
        &self,
        value: impl Fn(&Pair) -> Option<f64>,
        chance: impl Fn(&Pair) -> f64,
    ) -> Option<Overlap> {
        let (mut sum, mut chances, mut weights) = (0.0, 0.0, 0.0);
        for pair in &self.pairs {
            if let Some(value) = value(pair) {
                let weight = (pair.energy_a * pair.energy_b).sqrt();
                sum += weight * value;
                chances += weight * chance(pair);
                weights += weight;
            }
        }
        (weights > 0.0).then(|| Overlap { value: sum / weights, chance: chances / weights })
    }

    fn merge(&self, weights: [f64; 2]) -> Option<Merge> {
        let (own_a, own_b) = (weights[0].powi(2) * self.energy_a, weights[1].powi(2) * self.energy_b);
        let apart = own_a + own_b;
        let together = (apart + 2.0 * weights[0] * weights[1] * self.inner).max(0.0);
        let merged: Vec<(f64, f64)> = self.pairs.iter().filter_map(|pair| pair.merged).collect();
        let all: f64 = merged.iter().map(|(_, all)| all).sum();
        (apart > 0.0).then(|| Merge {
            weights,
            energy_ratio: together / apart,
            interference: together / apart - 1.0,
            equal_energy_scale: (together > 0.0).then(|| (own_a.max(own_b) / together).sqrt()),
            retained_at_max_rank: (all > 0.0).then(|| merged.iter().map(|(kept, _)| kept).sum::<f64>() / all),
        })
    }

    fn step(&self, from: &str, to: &str) -> Step {
        let moved = (self.energy_a + self.energy_b - 2.0 * self.inner).max(0.0);
        let along = if self.energy_a > 0.0 { self.inner.powi(2) / self.energy_a } else { 0.0 };
        let has_both = self.energy_a > 0.0 && self.energy_b > 0.0;
        Step {
            from: from.to_owned(),
            to: to.to_owned(),
            norm_growth: has_both.then(|| (self.energy_b / self.energy_a).sqrt()),
            relative_distance: (self.energy_b > 0.0).then(|| (moved / self.energy_b).sqrt()),
            new_energy: (self.energy_b > 0.0).then(|| (1.0 - along / self.energy_b).clamp(0.0, 1.0)),
        }
    }
}

impl Pair {
    fn answer(&self) -> ModuleComparison {
        ModuleComparison {
            name: self.name.clone(),
            cosine: cosine(self.inner, self.energy_a, self.energy_b),
            norm_ratio: (self.energy_a > 0.0).then(|| (self.energy_b / self.energy_a).sqrt()),
            left_overlap: self.left,
            right_overlap: self.right,
        }
    }
}

fn cosine(inner: f64, energy_a: f64, energy_b: f64) -> Option<f64> {
    let size = (energy_a * energy_b).sqrt();
    (size > 0.0).then(|| (inner / size).clamp(-1.0, 1.0))
}
