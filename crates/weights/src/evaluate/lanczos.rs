//! The largest singular value of a matrix that can only be multiplied with: the Lanczos process on `AᵀA`
//! (Golub and Van Loan, Matrix Computations, 10.1), kept orthogonal throughout.
//!
//! It starts from a fixed pseudo-random vector, so the same matrix always gives the same number. It ends when
//! the usual estimate of the error, the residual squared over the gap to the second value, is below
//! [`TOLERANCE`], or after [`STEPS`] steps: matrices whose largest values lie close together are then known to
//! about one part in a thousand, from below.

use super::EvaluateError;
use super::base_weight::{add, dot};
use super::eigen::eigenvectors;
use super::matrix::Matrix;

/// The relative error of the value at which the process ends.
const TOLERANCE: f64 = 1e-8;
/// The most products that are made.
const STEPS: usize = 64;
/// The most elements of all vectors that are kept, 32 MiB.
const BASIS_CAP: usize = 1 << 22;
/// With fewer steps than these the number would say nothing.
const LEAST_STEPS: usize = 16;

/// The largest singular value of a matrix with so many columns; `normal` multiplies with it and then with its
/// transpose. None when the matrix is too wide or its numbers are not finite.
pub(super) fn largest_singular_value(
    columns: usize,
    mut normal: impl FnMut(&[f64]) -> Result<Vec<f64>, EvaluateError>,
) -> Result<Option<f64>, EvaluateError> {
    let steps = STEPS.min(columns).min(BASIS_CAP / columns.max(1));
    if steps < LEAST_STEPS.min(columns) || columns == 0 {
        return Ok(None);
    }
    let mut basis = vec![start(columns)];
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    loop {
        let last = basis.last().expect("the basis begins with a vector");
        let mut image = normal(last)?;
        diagonal.push(dot(&image, last));
        // Twice is enough (Parlett).
        for vector in basis.iter().chain(&basis) {
            let along = dot(&image, vector);
            add(&mut image, -along, vector);
        }
        let rest = dot(&image, &image).sqrt();
        let (value, error) = largest(&diagonal, &beside, rest);
        if !value.is_finite() || !rest.is_finite() {
            return Ok(None);
        }
        if error <= 2.0 * TOLERANCE * value || basis.len() == steps {
            return Ok(Some(value.max(0.0).sqrt()));
        }
        image.iter_mut().for_each(|value| *value /= rest);
        beside.push(rest);
        basis.push(image);
    }
}

/// A unit vector that is the same in every run.
fn start(length: usize) -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    let mut vector: Vec<f64> = (0..length).map(|_| next()).collect();
    let norm = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|value| *value /= norm);
    vector
}

/// The largest eigenvalue of the tridiagonal matrix, and how far it may be from that of the whole.
fn largest(diagonal: &[f64], beside: &[f64], rest: f64) -> (f64, f64) {
    let size = diagonal.len();
    let mut square = Matrix::zero(size, size);
    diagonal.iter().enumerate().for_each(|(place, value)| *square.at_mut(place, place) = *value);
    for (place, value) in beside.iter().enumerate() {
        *square.at_mut(place, place + 1) = *value;
        *square.at_mut(place + 1, place) = *value;
    }
    let (values, vectors) = eigenvectors(square);
    let residual = rest * vectors.at(0, size - 1).abs();
    let gap = values.get(1).map_or(0.0, |second| values[0] - second);
    let error = if gap > residual { residual * residual / gap } else { residual };
    (values[0], error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_diagonal(values: &[f64]) -> f64 {
        let normal = |vector: &[f64]| {
            Ok(vector.iter().zip(values).map(|(entry, value)| entry * value * value).collect())
        };
        largest_singular_value(values.len(), normal).unwrap().unwrap()
    }

    #[test]
    fn the_largest_value_of_a_known_matrix_is_found() {
        for values in [vec![3.0], vec![0.0, 0.0], vec![1.0, 5.0, 5.0], (1..40).map(f64::from).collect()] {
            let wanted = values.iter().copied().fold(0.0, f64::max);
            assert!((of_diagonal(&values) - wanted).abs() <= 1e-8 * wanted, "{values:?}");
        }
        let spread: Vec<f64> = (0..5000).map(|place| 1.0 - f64::from(place) / 5000.0).collect();
        let found = of_diagonal(&spread);
        assert!((0.999..=1.000_000_1).contains(&found), "{found}");
        assert_eq!(found.to_bits(), of_diagonal(&spread).to_bits(), "every run gives the same number");
    }

    #[test]
    fn what_is_too_wide_or_not_finite_has_no_value() {
        let nothing = |_: &[f64]| panic!("it is refused before it is multiplied");
        assert_eq!(largest_singular_value(1 << 20, nothing).unwrap(), None);
        assert_eq!(largest_singular_value(2, |_| Ok(vec![f64::NAN; 2])).unwrap(), None);
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let stopped = largest_singular_value(2, |_| Err(EvaluateError::Cancelled));
        assert!(matches!(stopped, Err(EvaluateError::Cancelled)));
    }
}
