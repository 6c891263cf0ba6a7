//! What an algorithm does to one side of a weight.

use super::super::base_weight::{add, dot};
use super::super::matrix::Matrix;
use super::super::turning::Turning;

/// What is done to one side of a weight; a square matrix that is never spread out.
pub(super) enum Side {
    /// Nothing.
    Same,
    /// Every entry is multiplied with its factor.
    Scaled(Vec<f64>),
    /// A rotation, and the factors of its entries behind it.
    Turned(Turning, Option<Vec<f64>>),
    /// The transpose of a rotation: rows of a weight are turned by it.
    TurnedRows(Turning),
    /// The identity and a product, for every place of the kernel on its own.
    Mixed { left: Matrix, right: Matrix, kernel: usize },
}

impl Side {
    /// Whether every entry stays for itself.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Same | Self::Scaled(_))
    }

    /// The factor of an entry, when every entry stays for itself.
    pub(super) fn factor(&self, place: usize) -> f64 {
        match self {
            Self::Scaled(factors) => factors[place],
            _ => 1.0,
        }
    }

    /// The matrix times a vector.
    pub(super) fn forward(&self, vector: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Same => vector,
            Self::Scaled(factors) => scaled(vector, factors),
            Self::Turned(turning, None) => turning.forward(&vector),
            Self::TurnedRows(turning) => turning.backward(&vector),
            Self::Turned(turning, Some(factors)) => scaled(turning.forward(&vector), factors),
            Self::Mixed { left, right, kernel } => {
                mixed(vector, *kernel, |part| times(left, &times(right, part)))
            }
        }
    }

    /// The transposed matrix times a vector.
    pub(super) fn backward(&self, vector: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Same => vector,
            Self::Scaled(factors) => scaled(vector, factors),
            Self::Turned(turning, None) => turning.backward(&vector),
            Self::TurnedRows(turning) => turning.forward(&vector),
            Self::Turned(turning, Some(factors)) => turning.backward(&scaled(vector, factors)),
            Self::Mixed { left, right, kernel } => {
                mixed(vector, *kernel, |part| transposed_times(right, &transposed_times(left, part)))
            }
        }
    }
}

fn scaled(mut vector: Vec<f64>, factors: &[f64]) -> Vec<f64> {
    vector.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
    vector
}

/// Adds to each place of the kernel what `change` makes of it.
fn mixed(mut vector: Vec<f64>, kernel: usize, change: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    for offset in 0..kernel {
        let part: Vec<f64> = vector.iter().skip(offset).step_by(kernel).copied().collect();
        let changed = change(&part);
        let places = vector.iter_mut().skip(offset).step_by(kernel);
        places.zip(changed).for_each(|(value, more)| *value += more);
    }
    vector
}

fn times(matrix: &Matrix, vector: &[f64]) -> Vec<f64> {
    (0..matrix.rows).map(|row| dot(matrix.row(row), vector)).collect()
}

fn transposed_times(matrix: &Matrix, vector: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; matrix.columns];
    vector.iter().enumerate().for_each(|(row, value)| add(&mut product, *value, matrix.row(row)));
    product
}
