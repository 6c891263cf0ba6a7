//! The change of one module in the form in which it is stored, never spread out.

use std::ops::Range;

use super::eigen::{cholesky, eigenvalues};
use super::matrix::Matrix;

/// The widest product whose spectrum is computed for a full matrix or the factors of a LoHa.
const WIDE: usize = 256;
/// The most elements that the Khatri-Rao factors of a LoHa may have.
const ELEMENT_CAP: usize = 1 << 25;
/// The widest product whose spectrum is computed.
const RANK_CAP: usize = 1024;
/// Rows of a change that are spread out at once when two are multiplied that share no structure.
const ROWS_AT_ONCE: usize = 16;
/// The most multiplications that one module may take where there is no short way: some seconds.
const WORK_CAP: usize = 1 << 35;

/// A change without its scale.
#[derive(Clone, Debug)]
pub(super) enum Delta {
    /// `left · right`.
    Product(Matrix, Matrix),
    /// `(first.0 · first.1) ∘ (second.0 · second.1)`.
    Hadamard((Matrix, Matrix), (Matrix, Matrix)),
    /// The Kronecker product.
    Kronecker(Box<Self>, Box<Self>),
    /// Stored whole.
    Full(Matrix),
}

impl Delta {
    /// The outer and inner side.
    pub(super) fn sides(&self) -> [usize; 2] {
        match self {
            Self::Product(left, right) => [left.rows, right.columns],
            Self::Hadamard(first, _) => [first.0.rows, first.1.columns],
            Self::Kronecker(first, second) => {
                let ([out, inner], [other_out, other_inner]) = (first.sides(), second.sides());
                [out.saturating_mul(other_out), inner.saturating_mul(other_inner)]
            }
            Self::Full(matrix) => [matrix.rows, matrix.columns],
        }
    }

    /// The Frobenius norm alone; none when it would take too long.
    pub(super) fn norm(&self) -> Option<f64> {
        match self {
            Self::Product(left, right) => Some(product_norm(left, right)),
            Self::Kronecker(first, second) => Some(first.norm()? * second.norm()?),
            Self::Full(matrix) => Some(matrix.energy().sqrt()),
            Self::Hadamard(first, second) if !is_narrow(first, second) => hadamard_norm(first, second),
            Self::Hadamard(..) => self.measure().map(|(norm, _)| norm),
        }
    }

    /// Multiplications for one element of the change.
    fn width(&self) -> usize {
        match self {
            Self::Product(left, _) => left.columns,
            Self::Hadamard(first, second) => first.0.columns + second.0.columns,
            Self::Kronecker(first, second) => first.width() + second.width(),
            Self::Full(_) => 1,
        }
    }

    /// Some rows of the change, spread out.
    fn rows(&self, range: Range<usize>) -> Matrix {
        match self {
            Self::Product(left, right) => part(left, range).times(right),
            Self::Full(matrix) => part(matrix, range),
            Self::Hadamard(first, second) => {
                let mut rows = part(&first.0, range.clone()).times(&first.1);
                let others = part(&second.0, range).times(&second.1);
                rows.values.iter_mut().zip(&others.values).for_each(|(value, other)| *value *= other);
                rows
            }
            Self::Kronecker(first, second) => {
                let [height, width] = second.sides();
                let mut values = Vec::with_capacity(range.len() * width * first.sides()[1]);
                for row in range.clone() {
                    let (one, other) = (row / height, row % height);
                    let (one, other) = (first.rows(one..one + 1), second.rows(other..other + 1));
                    values.extend(
                        one.values.iter().flat_map(|left| other.values.iter().map(move |right| left * right)),
                    );
                }
                Matrix::new(range.len(), width * first.sides()[1], values)
            }
        }
    }

    /// The Frobenius norm and, where it is affordable, all singular values that can differ from zero;
    /// none when even the norm would take too long.
    pub(super) fn measure(&self) -> Option<(f64, Option<Vec<f64>>)> {
        Some(match self {
            Self::Product(left, right) => measure_product(left, right),
            Self::Hadamard(first, second) if is_narrow(first, second) => {
                let left = columns_by_columns(&first.0, &second.0);
                let right = columns_by_columns(&first.1.transposed(), &second.1.transposed());
                measure_product(&left, &right.transposed())
            }
            Self::Hadamard(first, second) => (hadamard_norm(first, second)?, None),
            Self::Kronecker(first, second) => {
                let ((one, ones), (other, others)) = (first.measure()?, second.measure()?);
                let values = ones.zip(others).map(|(ones, others)| {
                    ones.iter().flat_map(|one| others.iter().map(move |other| one * other)).collect()
                });
                (one * other, values)
            }
            Self::Full(matrix) => (matrix.energy().sqrt(), full_values(matrix)),
        })
    }
}

fn measure_product(left: &Matrix, right: &Matrix) -> (f64, Option<Vec<f64>>) {
    // A rank above a side is no rank: the change itself is then smaller than its factors.
    if left.columns > left.rows.min(right.columns) {
        let change = left.times(right);
        return (change.energy().sqrt(), full_values(&change));
    }
    measure_grams(left.gram_of_columns(), &right.gram_of_rows())
}

/// The same from the Gram matrices of both factors.
pub(super) fn measure_grams(left: Matrix, right: &Matrix) -> (f64, Option<Vec<f64>>) {
    let norm = left.dot(right).max(0.0).sqrt();
    let values = (left.rows <= RANK_CAP).then(|| product_values(left, right));
    (norm, values)
}

/// The singular values of a product from the Gram matrices of its factors, largest first.
pub(super) fn product_values(left: Matrix, right: &Matrix) -> Vec<f64> {
    let factor = cholesky(left);
    let values = eigenvalues(factor.columns_with(right).rows_with(&factor.transposed()));
    values.into_iter().map(|value| value.max(0.0).sqrt()).collect()
}

fn product_norm(left: &Matrix, right: &Matrix) -> f64 {
    if left.columns > left.rows.min(right.columns) {
        return left.times(right).energy().sqrt();
    }
    left.gram_of_columns().dot(&right.gram_of_rows()).max(0.0).sqrt()
}

/// The sum of the elementwise products of two changes without scales; none when their sides differ or it
/// would take too long.
pub(super) fn inner_product(one: &Delta, other: &Delta) -> Option<f64> {
    if one.sides() != other.sides() {
        return None;
    }
    if let (Delta::Product(left, right), Delta::Product(other_left, other_right)) = (one, other) {
        return Some(left.columns_with(other_left).dot(&right.rows_with(other_right)));
    }
    if let (Delta::Kronecker(one_first, one_second), Delta::Kronecker(other_first, other_second)) =
        (one, other)
        && one_first.sides() == other_first.sides()
    {
        return Some(inner_product(one_first, other_first)? * inner_product(one_second, other_second)?);
    }
    let [rows, columns] = one.sides();
    if rows.saturating_mul(columns).saturating_mul(one.width() + other.width()) > WORK_CAP {
        return None;
    }
    let block = |start: usize| {
        let range = start..(start + ROWS_AT_ONCE).min(rows);
        one.rows(range.clone()).dot(&other.rows(range))
    };
    Some((0..rows).step_by(ROWS_AT_ONCE).map(block).sum())
}

fn part(matrix: &Matrix, range: Range<usize>) -> Matrix {
    let values = matrix.values[range.start * matrix.columns..range.end * matrix.columns].to_vec();
    Matrix::new(range.len(), matrix.columns, values)
}

fn full_values(matrix: &Matrix) -> Option<Vec<f64>> {
    let small = matrix.rows.min(matrix.columns);
    (small <= WIDE).then(|| {
        let gram = if small == matrix.rows { matrix.gram_of_rows() } else { matrix.gram_of_columns() };
        eigenvalues(gram).into_iter().map(|value| value.max(0.0).sqrt()).collect()
    })
}

/// Whether the product of both factors' widths, and what it takes to hold, is small enough.
fn is_narrow(first: &(Matrix, Matrix), second: &(Matrix, Matrix)) -> bool {
    let width = first.0.columns * second.0.columns;
    width <= WIDE && (first.0.rows + first.1.columns).saturating_mul(width) <= ELEMENT_CAP
}

/// All products of a column of one with a column of the other, row by row (Khatri-Rao).
fn columns_by_columns(one: &Matrix, other: &Matrix) -> Matrix {
    let lines = (0..one.rows).flat_map(|row| {
        one.row(row).iter().flat_map(move |left| other.row(row).iter().map(move |right| left * right))
    });
    Matrix::new(one.rows, one.columns * other.columns, lines.collect())
}

/// The exact norm of a wide LoHa, one row of the change at a time.
fn hadamard_norm(first: &(Matrix, Matrix), second: &(Matrix, Matrix)) -> Option<f64> {
    let work =
        first.0.rows.saturating_mul(first.1.columns).saturating_mul(first.0.columns + second.0.columns);
    if work > WORK_CAP {
        return None;
    }
    let row_of = |factors: &(Matrix, Matrix), row: usize| {
        Matrix::new(1, factors.0.columns, factors.0.row(row).to_vec()).times(&factors.1)
    };
    let energy = |row: usize| {
        let (one, other) = (row_of(first, row), row_of(second, row));
        one.values.iter().zip(&other.values).map(|(left, right)| (left * right).powi(2)).sum::<f64>()
    };
    Some((0..first.0.rows).map(energy).sum::<f64>().sqrt())
}
