//! Dense matrices in double precision and the one kernel that costs time: products over the long side.
//! Large factors stay as they are stored and are decoded a panel at a time.

use super::decode;
use crate::safetensors::Dtype;

/// Rows of the long side that are packed at once; two strips of them fit the first-level cache.
const PANEL: usize = 256;
/// The side of a register tile.
const TILE: usize = 4;

/// A matrix, rows one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
}

/// A factor as the file stores it, rows one after the other.
pub(super) struct Stored {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) dtype: Dtype,
    pub(super) bytes: Vec<u8>,
}

impl Stored {
    /// `selfᵀ · self`.
    pub(super) fn gram_of_columns(&self) -> Matrix {
        product(self, self, Long::Rows)
    }

    /// `self · selfᵀ`.
    pub(super) fn gram_of_rows(&self) -> Matrix {
        product(self, self, Long::Columns)
    }
}

/// Something whose elements come in runs along its rows.
trait Factor {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// `count` elements from element `start` on, counted over all rows; `buffer` is room for them.
    fn run<'a>(&'a self, start: usize, count: usize, buffer: &'a mut Vec<f64>) -> &'a [f64];

    fn sides(&self, long: Long) -> (usize, usize) {
        match long {
            Long::Rows => (self.rows(), self.columns()),
            Long::Columns => (self.columns(), self.rows()),
        }
    }
}

impl Factor for Matrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn run<'a>(&'a self, start: usize, count: usize, _: &'a mut Vec<f64>) -> &'a [f64] {
        &self.values[start..start + count]
    }
}

impl Factor for Stored {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn run<'a>(&'a self, start: usize, count: usize, buffer: &'a mut Vec<f64>) -> &'a [f64] {
        let width = (self.dtype.bits() / 8) as usize;
        buffer.clear();
        decode::widen(self.dtype, &self.bytes[start * width..(start + count) * width], buffer);
        buffer
    }
}

/// Which side of a factor is the long one, over which products are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Long {
    Rows,
    Columns,
}

impl Matrix {
    pub(super) fn new(rows: usize, columns: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix has as many values as its sides say");
        Self { rows, columns, values }
    }

    pub(super) fn zero(rows: usize, columns: usize) -> Self {
        Self::new(rows, columns, vec![0.0; rows * columns])
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    pub(super) fn at_mut(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.values[row * self.columns + column]
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(super) fn transposed(&self) -> Self {
        let mut turned = Self::zero(self.columns, self.rows);
        for (row, line) in self.values.chunks_exact(self.columns.max(1)).enumerate() {
            for (column, value) in line.iter().enumerate() {
                turned.values[column * self.rows + row] = *value;
            }
        }
        turned
    }

    /// The plain product; for small matrices and thin ones.
    pub(super) fn times(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.rows, "the inner sides of a product are equal");
        let mut product = Self::zero(self.rows, other.columns);
        if other.columns == 0 {
            return product;
        }
        for (row, out) in product.values.chunks_exact_mut(other.columns).enumerate() {
            for (inner, factor) in self.row(row).iter().enumerate() {
                for (sum, value) in out.iter_mut().zip(other.row(inner)) {
                    *sum += factor * value;
                }
            }
        }
        product
    }

    /// The sum of squares.
    pub(super) fn energy(&self) -> f64 {
        energy(&self.values)
    }

    /// The sum of the elementwise products.
    pub(super) fn dot(&self, other: &Self) -> f64 {
        debug_assert_eq!((self.rows, self.columns), (other.rows, other.columns));
        self.values.iter().zip(&other.values).map(|(left, right)| left * right).sum()
    }

    /// `selfᵀ · self`.
    pub(super) fn gram_of_columns(&self) -> Self {
        product(self, self, Long::Rows)
    }

    /// `self · selfᵀ`.
    pub(super) fn gram_of_rows(&self) -> Self {
        product(self, self, Long::Columns)
    }

    /// `selfᵀ · other`.
    pub(super) fn columns_with(&self, other: &Self) -> Self {
        product(self, other, Long::Rows)
    }

    /// `self · otherᵀ`.
    pub(super) fn rows_with(&self, other: &Self) -> Self {
        product(self, other, Long::Columns)
    }
}

/// The sum of squares, in eight lanes so that it is vectorised.
pub(super) fn energy(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|value| value * value).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The sum over the long side of all pairs of the short sides; the upper half only when both are one.
fn product<F: Factor>(left: &F, right: &F, long: Long) -> Matrix {
    let (length, rows) = left.sides(long);
    let (other_length, columns) = right.sides(long);
    assert_eq!(length, other_length, "both factors have the same long side");
    let same = std::ptr::eq(left, right);
    let mut sums = Matrix::zero(rows, columns);
    let (mut left_strips, mut right_strips, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..length).step_by(PANEL) {
        let depth = PANEL.min(length - start);
        pack(left, long, start, depth, &mut left_strips, &mut buffer);
        if !same {
            pack(right, long, start, depth, &mut right_strips, &mut buffer);
        }
        let others = if same { &left_strips } else { &right_strips };
        add_panel(&left_strips, others, depth, same, &mut sums);
    }
    if same {
        mirror(&mut sums);
    }
    sums
}

/// Copies a panel into strips of four columns of the short side, so that the kernel reads in order.
fn pack<F: Factor>(
    factor: &F,
    long: Long,
    start: usize,
    depth: usize,
    strips: &mut Vec<f64>,
    buffer: &mut Vec<f64>,
) {
    let (short, columns) = (factor.sides(long).1, factor.columns());
    // What the last strip has too much is multiplied but never added.
    strips.resize(short.div_ceil(TILE) * depth * TILE, 0.0);
    match long {
        Long::Rows if columns > 0 => {
            let panel = factor.run(start * columns, depth * columns, buffer);
            let (places, _) = strips.as_chunks_mut::<TILE>();
            for (offset, line) in panel.chunks_exact(columns).enumerate() {
                let (groups, rest) = line.as_chunks::<TILE>();
                for (strip, group) in groups.iter().enumerate() {
                    places[strip * depth + offset] = *group;
                }
                if !rest.is_empty() {
                    places[groups.len() * depth + offset][..rest.len()].copy_from_slice(rest);
                }
            }
        }
        Long::Rows => {}
        Long::Columns => {
            for (row, strip) in (0..short).map(|row| (row, row / TILE * depth * TILE)) {
                let line = factor.run(row * columns + start, depth, buffer);
                let (places, _) = strips[strip..].as_chunks_mut::<TILE>();
                for (place, value) in places.iter_mut().zip(line) {
                    place[row % TILE] = *value;
                }
            }
        }
    }
}

fn add_panel(left: &[f64], right: &[f64], depth: usize, upper_only: bool, sums: &mut Matrix) {
    for (row_tile, left_strip) in left.chunks_exact(depth * TILE).enumerate() {
        let first = if upper_only { row_tile } else { 0 };
        for (column_tile, right_strip) in right.chunks_exact(depth * TILE).enumerate().skip(first) {
            let tile = multiply(left_strip, right_strip);
            add_tile(&tile, row_tile * TILE, column_tile * TILE, sums);
        }
    }
}

/// The kernel: a tile of sixteen sums stays in registers over the whole panel.
fn multiply(left: &[f64], right: &[f64]) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    let (left, _) = left.as_chunks::<TILE>();
    let (right, _) = right.as_chunks::<TILE>();
    for (one, other) in left.iter().zip(right) {
        for (line, factor) in sums.iter_mut().zip(one) {
            for (sum, value) in line.iter_mut().zip(other) {
                *sum += factor * value;
            }
        }
    }
    sums
}

fn add_tile(tile: &[[f64; TILE]; TILE], row: usize, column: usize, sums: &mut Matrix) {
    let (height, width) = (TILE.min(sums.rows - row), TILE.min(sums.columns - column));
    for (offset, line) in tile.iter().enumerate().take(height) {
        for (shift, value) in line.iter().enumerate().take(width) {
            *sums.at_mut(row + offset, column + shift) += value;
        }
    }
}

fn mirror(square: &mut Matrix) {
    for row in 0..square.rows {
        for column in 0..row {
            *square.at_mut(row, column) = square.at(column, row);
        }
    }
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

    #[test]
    fn the_blocked_products_are_the_plain_ones() {
        for (length, short, other) in [(1, 1, 1), (3, 5, 2), (257, 7, 9), (600, 16, 4), (40, 3, 64)] {
            let (tall, second) = (pseudo(length, short, 1), pseudo(length, other, 2));
            let close = |one: &Matrix, two: &Matrix| {
                one.values.iter().zip(&two.values).all(|(left, right)| (left - right).abs() < 1e-12)
            };
            assert!(close(&tall.gram_of_columns(), &tall.transposed().times(&tall)));
            assert!(close(&tall.transposed().gram_of_rows(), &tall.transposed().times(&tall)));
            assert!(close(&tall.columns_with(&second), &tall.transposed().times(&second)));
            let (wide, third) = (tall.transposed(), second.transposed());
            assert!(close(&wide.rows_with(&third), &wide.times(&second)));
        }
    }

    #[test]
    fn products_over_nothing_are_zero() {
        assert_eq!(Matrix::zero(0, 3).gram_of_columns(), Matrix::zero(3, 3));
        assert_eq!(Matrix::zero(3, 0).gram_of_columns().values.len(), 0);
    }
}
