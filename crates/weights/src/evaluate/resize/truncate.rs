//! The best change of a lower rank, from the factors alone (Eckart and Young).
//!
//! With `BᵀB = LLᵀ` and `B = QLᵀ` the change is `QLᵀA`, and `Lᵀ(AAᵀ)L = UΣ²Uᵀ`. The first k columns of
//! `QU` are its left singular vectors, so the change of rank k is `(QUₖ)(UₖᵀLᵀA)`: an r × r problem.

use crate::evaluate::eigen::{Factored, cholesky_pivoted, eigenvectors};
use crate::evaluate::matrix::Matrix;

/// Directions of the outer factor with less than this share of its energy are left out: below it the
/// Gram matrix knows nothing of them.
const FLOOR: f64 = 1e-14;

/// Both factors at rank `rank`; each column of one and row of the other has the root of its singular
/// value as its length, so that neither leaves the range of a narrow type.
pub(super) fn truncate(up: &Matrix, down: &Matrix, rank: usize) -> (Matrix, Matrix) {
    let Factored { factor, pivots } = cholesky_pivoted(up.gram_of_columns(), FLOOR);
    let inner = factor.transposed().times(&down.gram_of_rows()).times(&factor);
    let (values, vectors) = eigenvectors(inner);
    let mut left = Matrix::zero(up.columns, rank);
    let mut right = Matrix::zero(rank, down.rows);
    for (place, value) in values.into_iter().enumerate().take(rank) {
        let size = value.max(0.0).sqrt();
        if size <= 0.0 {
            break;
        }
        let vector = vectors.row(place);
        let root = size.sqrt();
        for (pivot, weight) in pivots.iter().zip(back_substituted(&factor, &pivots, vector)) {
            *left.at_mut(*pivot, place) = weight * root;
        }
        for row in 0..down.rows {
            let sum: f64 = factor.row(row).iter().zip(vector).map(|(one, other)| one * other).sum();
            *right.at_mut(place, row) = sum / root;
        }
    }
    (up.times(&left), right.times(down))
}

/// Solves `Lₚᵀ x = vector`, where the rows of L at the pivots are a lower triangle.
fn back_substituted(factor: &Matrix, pivots: &[usize], vector: &[f64]) -> Vec<f64> {
    let mut solved = vector[..pivots.len()].to_vec();
    for place in (0..pivots.len()).rev() {
        let known: f64 =
            (place + 1..pivots.len()).map(|later| factor.at(pivots[later], place) * solved[later]).sum();
        solved[place] = (solved[place] - known) / factor.at(pivots[place], place);
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudo(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        };
        Matrix::new(rows, columns, (0..rows * columns).map(|_| next()).collect())
    }

    fn difference(one: &Matrix, other: &Matrix) -> f64 {
        one.values.iter().zip(&other.values).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_full_rank_gives_the_change_back() {
        let (up, down) = (pseudo(20, 6, 1), pseudo(6, 30, 2));
        let (left, right) = truncate(&up, &down, 6);
        assert!(difference(&left.times(&right), &up.times(&down)) < 1e-12);
    }

    #[test]
    fn what_is_cut_off_is_the_energy_of_the_smallest_singular_values() {
        let (up, down) = (pseudo(20, 6, 3), pseudo(6, 30, 4));
        let change = up.times(&down);
        let (values, _) = eigenvectors(change.gram_of_rows());
        let (left, right) = truncate(&up, &down, 4);
        let lost = difference(&left.times(&right), &change);
        let expected = (values[4] + values[5]).sqrt();
        assert!((lost - expected).abs() < 1e-9, "{lost} {expected}");
    }

    #[test]
    fn dependent_and_empty_factors_are_no_trouble() {
        let thin = pseudo(20, 2, 5);
        let up = thin.times(&pseudo(2, 6, 6));
        let down = pseudo(6, 30, 7);
        let (left, right) = truncate(&up, &down, 3);
        assert!(difference(&left.times(&right), &up.times(&down)) < 1e-10);
        let (left, right) = truncate(&Matrix::zero(20, 6), &down, 2);
        assert_eq!((left.energy(), right.energy()), (0.0, 0.0));
    }
}
