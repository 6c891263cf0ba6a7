//! The change of one module in the form in which it is stored, never spread out.

use super::eigen::{cholesky, eigenvalues};
use super::matrix::Matrix;

/// The widest product whose spectrum is computed for a full matrix or the factors of a LoHa.
const WIDE: usize = 256;
/// The most elements that the Khatri-Rao factors of a LoHa may have.
const ELEMENT_CAP: usize = 1 << 25;
/// The most multiplications that the norm of a wide LoHa may take.
const WORK_CAP: usize = 1 << 40;

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
    let (left, right) = (left.gram_of_columns(), right.gram_of_rows());
    let norm = left.dot(&right).max(0.0).sqrt();
    let factor = cholesky(left);
    let values = eigenvalues(factor.transposed().times(&right).times(&factor));
    (norm, Some(values.into_iter().map(|value| value.max(0.0).sqrt()).collect()))
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
