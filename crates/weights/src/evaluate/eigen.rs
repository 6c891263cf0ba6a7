//! Eigenvalues of small symmetric matrices by their tridiagonal form, and eigenvectors by cyclic Jacobi
//! rotations, which are slower, find small ones to their own precision, and check the first way.

use super::matrix::Matrix;

/// Sweeps after which Jacobi stops in any case; eight are common.
const SWEEPS: usize = 40;
/// Steps of the implicit QL iteration for one eigenvalue before it is taken as it is.
const STEPS: usize = 60;

/// The eigenvalues of a symmetric matrix, largest first.
pub(super) fn eigenvalues(mut symmetric: Matrix) -> Vec<f64> {
    let (mut diagonal, mut beside) = tridiagonal(&mut symmetric);
    implicit_ql(&mut diagonal, &mut beside);
    diagonal.sort_by(|one, other| other.total_cmp(one));
    diagonal
}

/// Householder reflections from the last row up; only the lower half is read and written.
fn tridiagonal(square: &mut Matrix) -> (Vec<f64>, Vec<f64>) {
    let size = square.rows;
    let (mut diagonal, mut beside) = (vec![0.0; size], vec![0.0; size]);
    for last in (1..size).rev() {
        diagonal[last] = square.at(last, last);
        beside[last] = reflect(square, last);
    }
    if size > 0 {
        diagonal[0] = square.at(0, 0);
    }
    (diagonal, beside)
}

/// Clears row `last` left of its neighbour and returns what stays beside the diagonal.
fn reflect(square: &mut Matrix, last: usize) -> f64 {
    let size = square.columns;
    let (head, tail) = square.values.split_at_mut(last * size);
    let vector = &mut tail[..last];
    let scale: f64 = vector.iter().map(|value| value.abs()).sum();
    if last == 1 || scale == 0.0 {
        return vector[last - 1];
    }
    for value in &mut *vector {
        *value /= scale;
    }
    let squared: f64 = vector.iter().map(|value| value * value).sum();
    let pivot = vector[last - 1];
    let root = if pivot >= 0.0 { -squared.sqrt() } else { squared.sqrt() };
    let half = squared - pivot * root;
    vector[last - 1] = pivot - root;
    update(head, size, vector, half);
    scale * root
}

/// The rank-two update of the leading part with a reflection whose half squared length is `half`.
fn update(head: &mut [f64], size: usize, vector: &[f64], half: f64) {
    let count = vector.len();
    let mut image = vec![0.0; count];
    for row in 0..count {
        let line = &head[row * size..row * size + row];
        let mut sum = head[row * size + row] * vector[row];
        for (column, value) in line.iter().enumerate() {
            sum += value * vector[column];
            image[column] += value * vector[row];
        }
        image[row] += sum;
    }
    for value in &mut image {
        *value /= half;
    }
    let factor = image.iter().zip(vector).map(|(one, other)| one * other).sum::<f64>() / (half + half);
    image.iter_mut().zip(vector).for_each(|(value, part)| *value -= factor * part);
    for row in 0..count {
        let (weight, reflected) = (vector[row], image[row]);
        let line = &mut head[row * size..=row * size + row];
        for ((value, other), part) in line.iter_mut().zip(&image).zip(vector) {
            *value -= weight * other + reflected * part;
        }
    }
}

/// Francis' implicit QL iteration on a tridiagonal matrix; `beside[i]` couples `i - 1` and `i`.
fn implicit_ql(diagonal: &mut [f64], beside: &mut [f64]) {
    let size = diagonal.len();
    if size == 0 {
        return;
    }
    beside.rotate_left(1);
    beside[size - 1] = 0.0;
    for start in 0..size {
        for _ in 0..STEPS {
            let end = (start..size - 1).find(|&place| is_negligible(diagonal, beside, place));
            let end = end.unwrap_or(size - 1);
            if end == start {
                break;
            }
            ql_step(diagonal, beside, start, end);
        }
    }
}

fn is_negligible(diagonal: &[f64], beside: &[f64], place: usize) -> bool {
    let size = diagonal[place].abs() + diagonal[place + 1].abs();
    beside[place].abs() <= f64::EPSILON * size
}

/// The length of a vector. The careful way of the standard library is slow and seldom needed.
fn length(one: f64, other: f64) -> f64 {
    let squared = one * one + other * other;
    if squared.is_normal() && squared < 1e300 { squared.sqrt() } else { one.hypot(other) }
}

fn ql_step(diagonal: &mut [f64], beside: &mut [f64], start: usize, end: usize) {
    let mut slope = (diagonal[start + 1] - diagonal[start]) / (2.0 * beside[start]);
    let reach = length(slope, 1.0);
    slope = diagonal[end] - diagonal[start] + beside[start] / (slope + reach.copysign(slope));
    let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
    for place in (start..end).rev() {
        let turned = sine * beside[place];
        let kept = cosine * beside[place];
        let radius = length(turned, slope);
        beside[place + 1] = radius;
        if radius == 0.0 {
            diagonal[place + 1] -= carried;
            beside[end] = 0.0;
            return;
        }
        sine = turned / radius;
        cosine = slope / radius;
        slope = diagonal[place + 1] - carried;
        let mixed = (diagonal[place] - slope) * sine + 2.0 * cosine * kept;
        carried = sine * mixed;
        diagonal[place + 1] = slope + carried;
        slope = cosine * mixed - kept;
    }
    diagonal[start] -= carried;
    beside[start] = slope;
    beside[end] = 0.0;
}

/// Eigenvalues, largest first, and the eigenvectors as rows in the same order.
pub(super) fn eigenvectors(mut symmetric: Matrix) -> (Vec<f64>, Matrix) {
    let size = symmetric.rows;
    let mut vectors = Matrix::zero(size, size);
    (0..size).for_each(|place| *vectors.at_mut(place, place) = 1.0);
    for _ in 0..SWEEPS {
        if !sweep(&mut symmetric, &mut vectors) {
            break;
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&one, &other| symmetric.at(other, other).total_cmp(&symmetric.at(one, one)));
    let values = order.iter().map(|&place| symmetric.at(place, place)).collect();
    let sorted = order.iter().flat_map(|&place| vectors.row(place).iter().copied()).collect();
    (values, Matrix::new(size, size, sorted))
}

/// One pass over all pairs; false when nothing was left to rotate.
fn sweep(square: &mut Matrix, vectors: &mut Matrix) -> bool {
    let mut rotated = false;
    for first in 0..square.rows {
        for second in first + 1..square.rows {
            let beside = square.at(first, second);
            let (one, other) = (square.at(first, first), square.at(second, second));
            if beside.abs() <= f64::EPSILON * 0.25 * (one.abs() * other.abs()).sqrt() || beside == 0.0 {
                continue;
            }
            rotated = true;
            let angle = (other - one) / (2.0 * beside);
            let tangent = 1.0_f64.copysign(angle) / (angle.abs() + angle.hypot(1.0));
            let cosine = 1.0 / tangent.hypot(1.0);
            rotate(square, vectors, (first, second), (cosine, cosine * tangent));
        }
    }
    rotated
}

fn rotate(square: &mut Matrix, vectors: &mut Matrix, pair: (usize, usize), turn: (f64, f64)) {
    for row in 0..square.rows {
        let (one, other) = (square.at(row, pair.0), square.at(row, pair.1));
        *square.at_mut(row, pair.0) = turn.0 * one - turn.1 * other;
        *square.at_mut(row, pair.1) = turn.1 * one + turn.0 * other;
    }
    rotate_rows(square, pair, turn);
    rotate_rows(vectors, pair, turn);
}

fn rotate_rows(matrix: &mut Matrix, (first, second): (usize, usize), (cosine, sine): (f64, f64)) {
    let columns = matrix.columns;
    let (head, tail) = matrix.values.split_at_mut(second * columns);
    let one = &mut head[first * columns..(first + 1) * columns];
    for (left, right) in one.iter_mut().zip(&mut tail[..columns]) {
        let (before, after) = (*left, *right);
        *left = cosine * before - sine * after;
        *right = sine * before + cosine * after;
    }
}

/// A Cholesky factor whose rows are in the order of the matrix.
pub(super) struct Factored {
    /// `factor · factorᵀ` is the matrix. The columns behind the numerical rank are zero.
    pub(super) factor: Matrix,
    /// The rows of the pivots in the order in which they were taken; in that order the factor is lower.
    pub(super) pivots: Vec<usize>,
}

/// The Cholesky factor of a semidefinite matrix; directions that rounding made are left out as zero.
pub(super) fn cholesky(square: Matrix) -> Matrix {
    let floor = f64::EPSILON * square.rows as f64;
    cholesky_pivoted(square, floor).factor
}

/// The same, with pivots, without the directions of less than `floor` times the largest.
pub(super) fn cholesky_pivoted(mut square: Matrix, floor: f64) -> Factored {
    let size = square.rows;
    let mut factor = Matrix::zero(size, size);
    let (mut left, mut pivots): (Vec<usize>, Vec<usize>) = ((0..size).collect(), Vec::new());
    let floor = floor * (0..size).map(|place| square.at(place, place)).fold(0.0, f64::max);
    for step in 0..size {
        let (place, &pivot) = left
            .iter()
            .enumerate()
            .max_by(|one, other| square.at(*one.1, *one.1).total_cmp(&square.at(*other.1, *other.1)))
            .expect("as many pivots are left as steps");
        let value = square.at(pivot, pivot);
        if value <= floor {
            break;
        }
        left.swap_remove(place);
        pivots.push(pivot);
        let root = value.sqrt();
        *factor.at_mut(pivot, step) = root;
        let column: Vec<f64> = left.iter().map(|&row| square.at(row, pivot) / root).collect();
        for (row, part) in left.iter().zip(&column) {
            *factor.at_mut(*row, step) = *part;
            for (other, weight) in left.iter().zip(&column) {
                *square.at_mut(*row, *other) -= part * weight;
            }
        }
    }
    Factored { factor, pivots }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetric(size: usize, seed: u64) -> Matrix {
        let mut state = seed;
        let mut values = Vec::new();
        for _ in 0..size * size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            values.push((state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5);
        }
        Matrix::new(size, size, values).gram_of_columns()
    }

    #[test]
    fn both_solvers_find_the_same_values() {
        for size in [0, 1, 2, 3, 7, 16, 33, 64] {
            let square = symmetric(size, size as u64 + 3);
            let (by_rotation, vectors) = eigenvectors(square.clone());
            let largest = by_rotation.first().copied().unwrap_or(1.0);
            for (one, other) in eigenvalues(square.clone()).iter().zip(&by_rotation) {
                assert!((one - other).abs() < 1e-12 * largest, "{size}: {one} {other}");
            }
            for (row, value) in by_rotation.iter().enumerate() {
                let vector = Matrix::new(1, size, vectors.row(row).to_vec());
                let image = vector.times(&square);
                for (one, other) in image.values.iter().zip(&vector.values) {
                    assert!((one - value * other).abs() < 1e-11 * largest);
                }
            }
        }
    }

    #[test]
    fn a_factor_of_a_singular_matrix_still_makes_it() {
        let thin = Matrix::new(2, 5, (0..10).map(|value| f64::from(value) * 0.3 - 1.0).collect());
        let square = thin.gram_of_columns();
        let factor = cholesky(square.clone());
        let again = factor.gram_of_rows();
        assert!(again.values.iter().zip(&square.values).all(|(one, other)| (one - other).abs() < 1e-12));
    }

    #[test]
    fn a_diagonal_matrix_is_its_own_answer() {
        let square = Matrix::new(3, 3, vec![1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!(eigenvalues(square.clone()), [3.0, 2.0, 1.0]);
        assert_eq!(eigenvectors(square).0, [3.0, 2.0, 1.0]);
    }
}
