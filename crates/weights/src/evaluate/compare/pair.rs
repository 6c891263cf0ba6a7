//! One module in two files: the inner product of both changes, the overlap of their spaces, and the spectrum
//! of their sum.

use super::CompareOptions;
use crate::evaluate::EvaluateError;
use crate::evaluate::delta::{Delta, inner_product};
use crate::evaluate::eigen::{Factored, cholesky_pivoted};
use crate::evaluate::matrix::Matrix;
use crate::evaluate::measure::Module;
use crate::evaluate::module;
use crate::evaluate::names::Canonical;
use crate::evaluate::subject::Opened;

/// Directions of a factor with less than this share of its largest are noise.
const FLOOR: f64 = 1e-10;

/// What one pair of modules gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) energy_a: f64,
    pub(super) energy_b: f64,
    pub(super) inner: f64,
    pub(super) chance: f64,
    pub(super) left: Option<f64>,
    pub(super) right: Option<f64>,
    pub(super) chance_left: f64,
    pub(super) chance_right: f64,
    /// Energy of the merge that a rank of the larger holds, and all of it.
    pub(super) merged: Option<(f64, f64)>,
    pub(super) ranks: [Option<u64>; 2],
}

/// One module in both files; none when the two cannot be compared.
pub(super) fn pair(
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
fn rows_of(fused: Delta, piece: crate::evaluate::names::Piece, sides: Option<[u64; 2]>) -> Option<Delta> {
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
        let values =
            crate::evaluate::delta::product_values(stacked(&left, weights), &stacked(&right, [1.0, 1.0]));
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
