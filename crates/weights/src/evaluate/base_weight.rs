//! A weight of the base model: read some rows or some columns at a time, never whole.

use super::decode;
use super::lanczos::largest_singular_value;
use super::matrix::{Matrix, energy};
use super::{Control, EvaluateError};
use crate::read::ReadAt;
use crate::safetensors::{Header, Tensor};

/// Elements that are decoded at once; with their bytes they fit the second-level cache.
const ELEMENTS: usize = 1 << 16;
/// Elements of a panel of columns.
const PANEL_ELEMENTS: usize = 1 << 20;
/// The longest side that is read; one row, and some columns, are held.
const SIDE_CAP: u64 = 1 << 20;

/// The norms of a weight of the base, or of some rows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightNorms {
    /// The root of the sum of squares.
    pub frobenius: f64,
    /// The largest singular value; none when the weight is too wide for it.
    pub spectral: Option<f64>,
}

/// Remembers the norms of a base's weights, which take a minute or two to compute and are the same for every
/// adapter.
pub trait WeightMemory: Sync {
    /// What is known of a weight, by its name and rows.
    fn recall(&self, weight: &str) -> Option<WeightNorms>;
    /// Keeps what was computed.
    fn remember(&self, weight: &str, norms: WeightNorms);
}

/// A weight of the base as rows and columns, kernels flattened.
pub(super) struct BaseWeight<'a> {
    header: &'a Header,
    file: &'a (dyn ReadAt + Sync),
    /// One below the other, where the base splits what the adapter fuses.
    pieces: Vec<Tensor>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> BaseWeight<'a> {
    /// None when the pieces do not lie below each other, their numbers cannot be decoded, or a side is too long.
    pub(super) fn new(
        header: &'a Header,
        file: &'a (dyn ReadAt + Sync),
        pieces: Vec<Tensor>,
    ) -> Option<Self> {
        let (rows, columns) = pieces.iter().try_fold((0_u64, None), |(rows, columns), piece| {
            let own = piece.shape.first().copied().unwrap_or(1).max(1);
            let inner = piece.elements() / own;
            let fits = decode::is_numeric(piece.dtype) && columns.is_none_or(|columns| columns == inner);
            fits.then_some((rows.saturating_add(own), Some(inner)))
        })?;
        let columns = columns.filter(|columns| (1..=SIDE_CAP).contains(columns))?;
        let (height, columns) = (rows as usize, columns as usize);
        (1..=SIDE_CAP).contains(&rows).then_some(Self { header, file, pieces, rows: height, columns })
    }

    /// Gives some rows at a time, with the place of the first.
    pub(super) fn each_rows(
        &self,
        control: &Control<'_>,
        mut take: impl FnMut(usize, &Matrix),
    ) -> Result<(), EvaluateError> {
        let step = (ELEMENTS / self.columns).max(1);
        let (mut first, mut bytes, mut block) = (0, Vec::new(), Matrix::default());
        for piece in &self.pieces {
            let rows = self.rows_of(piece);
            for start in (0..rows).step_by(step) {
                control.check()?;
                let count = step.min(rows - start);
                block.values.clear();
                self.read(piece, start * self.columns, count * self.columns, &mut bytes, &mut block)?;
                (block.rows, block.columns) = (count, self.columns);
                take(first + start, &block);
            }
            first += rows;
        }
        Ok(())
    }

    /// Gives some columns at a time, turned: each is a row of what `take` gets.
    pub(super) fn each_columns(
        &self,
        control: &Control<'_>,
        mut take: impl FnMut(&Matrix),
    ) -> Result<(), EvaluateError> {
        let step = (PANEL_ELEMENTS / self.rows).clamp(1, self.columns);
        let (mut bytes, mut panel) = (Vec::new(), Matrix::default());
        for start in (0..self.columns).step_by(step) {
            control.check()?;
            let width = step.min(self.columns - start);
            panel.values.clear();
            for piece in &self.pieces {
                for row in 0..self.rows_of(piece) {
                    self.read(piece, row * self.columns + start, width, &mut bytes, &mut panel)?;
                }
            }
            (panel.rows, panel.columns) = (self.rows, width);
            take(&panel.transposed());
        }
        Ok(())
    }

    fn rows_of(&self, piece: &Tensor) -> usize {
        (piece.elements() / self.columns as u64) as usize
    }

    /// Decodes `count` elements of a piece from element `start` on, behind the values of `into`.
    fn read(
        &self,
        piece: &Tensor,
        start: usize,
        count: usize,
        bytes: &mut Vec<u8>,
        into: &mut Matrix,
    ) -> Result<(), EvaluateError> {
        decode::read_elements(self.file, self.header.data_start(), piece, start, count, bytes)?;
        decode::widen(piece.dtype, bytes, &mut into.values);
        Ok(())
    }

    /// `weight · vector`, for each of the vectors, in one pass.
    pub(super) fn times<const COUNT: usize>(
        &self,
        vectors: [&[f64]; COUNT],
        control: &Control<'_>,
    ) -> Result<[Vec<f64>; COUNT], EvaluateError> {
        let mut products = [const { Vec::new() }; COUNT];
        self.each_rows(control, |_, block| {
            for (product, vector) in products.iter_mut().zip(vectors) {
                product.extend((0..block.rows).map(|row| dot(block.row(row), vector)));
            }
        })?;
        Ok(products)
    }

    /// `weightᵀ · vector`, for each of the vectors, in one pass.
    pub(super) fn transposed_times<const COUNT: usize>(
        &self,
        vectors: [&[f64]; COUNT],
        control: &Control<'_>,
    ) -> Result<[Vec<f64>; COUNT], EvaluateError> {
        let mut products = std::array::from_fn(|_| vec![0.0; self.columns]);
        self.each_rows(control, |first, block| {
            for (product, vector) in products.iter_mut().zip(vectors) {
                (0..block.rows).for_each(|row| add(product, vector[first + row], block.row(row)));
            }
        })?;
        Ok(products)
    }

    /// Both norms; none when the weight is not finite.
    pub(super) fn norms(&self, control: &Control<'_>) -> Result<Option<WeightNorms>, EvaluateError> {
        let mut sum = 0.0;
        self.each_rows(control, |_, block| sum += energy(&block.values))?;
        if !sum.is_finite() {
            return Ok(None);
        }
        // Both products in one pass over the rows.
        let spectral = largest_singular_value(self.columns, |vector| {
            let mut image = vec![0.0; self.columns];
            self.each_rows(control, |_, block| {
                for row in 0..block.rows {
                    let line = block.row(row);
                    add(&mut image, dot(line, vector), line);
                }
            })?;
            Ok(image)
        })?;
        Ok(Some(WeightNorms { frobenius: sum.sqrt(), spectral }))
    }
}

/// The sum of products, in eight lanes so that it is vectorised.
pub(super) fn dot(one: &[f64], other: &[f64]) -> f64 {
    let (ones, rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (left, right) in ones.iter().zip(others) {
        for (lane, (left, right)) in lanes.iter_mut().zip(left.iter().zip(right)) {
            *lane += left * right;
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().zip(other_rest).map(|(left, right)| left * right).sum::<f64>()
}

/// Adds `factor` times `line` to `sum`.
pub(super) fn add(sum: &mut [f64], factor: f64, line: &[f64]) {
    sum.iter_mut().zip(line).for_each(|(sum, value)| *sum += factor * value);
}
