//! OFT and BOFT as they act on a weight: block rotations of one of its sides, for BOFT one after the other with
//! the entries put elsewhere between them, so that distant entries meet.
//!
//! A block is the Cayley transform `R = (I + Q)(I - Q)⁻¹`. LyCORIS and kohya turn the output: `RᵀW` for OFT, for
//! BOFT `R` of every factor. PEFT turns the rows of the weight: `W R` for OFT, `W (B_m … B_1)ᵀ` for BOFT, whose
//! blocks are `Rᵀ`. An alpha is a cap on the norm of all Q of the module, a multiple of the outer side.

use super::base_weight::{add, dot};
use super::matrix::Matrix;
use super::orthogonal::{Blocks, Storage, skew};

/// The most multiplications that the transforms of one module may take.
const WORK_CAP: usize = 1 << 36;

/// A rotation of a side of a weight.
pub(super) struct Turning {
    factors: Vec<Factor>,
}

/// One block rotation.
struct Factor {
    blocks: Vec<Matrix>,
    /// Where each entry comes from before the rotation, and goes back to behind it; none for its own place.
    order: Option<Vec<usize>>,
}

impl Turning {
    /// The rotation of a side of that length; none when the blocks do not cover it or would take too long.
    ///
    /// `cap` is the most that the norm of all Q may be.
    pub(super) fn new(blocks: &Blocks, length: usize, cap: Option<f64>) -> Option<Self> {
        let Blocks { side, factors, storage, .. } = *blocks;
        if length.checked_mul(side * side)?.checked_mul(factors)? > WORK_CAP || !length.is_multiple_of(side) {
            return None;
        }
        let mut skews: Vec<Vec<Matrix>> = blocks
            .by_factor()
            .map(|factor| factor.map(|block| skew(block, side, storage)).collect())
            .collect();
        limit(&mut skews, cap);
        let is_transposed = !(storage == Storage::Difference && blocks.is_butterfly);
        let rotated = |skew: &Matrix| {
            let rotation = cayley(skew);
            if is_transposed { rotation.transposed() } else { rotation }
        };
        let factor = |(place, skews): (usize, &Vec<Matrix>)| {
            let mut blocks: Vec<Matrix> = skews.iter().map(rotated).collect();
            // PEFT may store one block for all.
            if blocks.len() == 1 {
                blocks = vec![blocks.remove(0); length / side];
            }
            let covers = blocks.len() * side == length;
            let order = if factors > 1 { Some(order(place, side, length, storage)?) } else { None };
            covers.then_some(Factor { blocks, order })
        };
        Some(Self { factors: skews.iter().enumerate().map(factor).collect::<Option<_>>()? })
    }

    /// The rotated vector.
    pub(super) fn forward(&self, vector: &[f64]) -> Vec<f64> {
        self.factors.iter().fold(vector.to_vec(), |vector, factor| factor.turn(&vector, false))
    }

    /// The vector turned by the transposed rotation.
    pub(super) fn backward(&self, vector: &[f64]) -> Vec<f64> {
        self.factors.iter().rev().fold(vector.to_vec(), |vector, factor| factor.turn(&vector, true))
    }
}

impl Factor {
    fn turn(&self, vector: &[f64], transposed: bool) -> Vec<f64> {
        let moved: Vec<f64> = match &self.order {
            Some(order) => order.iter().map(|place| vector[*place]).collect(),
            None => vector.to_vec(),
        };
        let mut turned = vec![0.0; moved.len()];
        let side = self.blocks[0].rows;
        let parts = moved.chunks_exact(side).zip(turned.chunks_exact_mut(side));
        for (block, (part, image)) in self.blocks.iter().zip(parts) {
            for (row, value) in part.iter().enumerate() {
                if transposed {
                    add(image, *value, block.row(row));
                } else {
                    image[row] = dot(block.row(row), part);
                }
            }
        }
        let Some(order) = &self.order else { return turned };
        let mut back = vec![0.0; turned.len()];
        order.iter().zip(turned).for_each(|(place, value)| back[*place] = value);
        back
    }
}

/// Scales all Q down to a norm, as one.
fn limit(skews: &mut [Vec<Matrix>], cap: Option<f64>) {
    let norm = skews.iter().flatten().map(Matrix::energy).sum::<f64>().sqrt();
    let Some(ratio) = cap.filter(|cap| norm > *cap).map(|cap| cap / norm) else { return };
    let values = skews.iter_mut().flatten().flat_map(|skew| &mut skew.values);
    values.for_each(|value| *value *= ratio);
}

/// Where the entries of the n-th factor of a BOFT come from: pieces of half a block, of groups that double with
/// each factor, are laid so that those that were far apart share a block.
fn order(factor: usize, side: usize, length: usize, storage: Storage) -> Option<Vec<usize>> {
    let half = side / 2;
    match storage {
        // LyCORIS: two rows of 2^factor · half entries become columns, read across.
        Storage::Difference => {
            let run = half.checked_shl(factor as u32).filter(|run| *run > 0)?;
            let from = |place: usize| {
                let (group, within) = (place / (2 * run), place % (2 * run));
                group * 2 * run + within % 2 * run + within / 2
            };
            length.is_multiple_of(2 * run).then(|| (0..length).map(from).collect())
        }
        // PEFT: of each group the pieces at even places first, then those at odd ones.
        Storage::HalfDifference => {
            let group = side.checked_shl(factor as u32)?;
            let pieces = group.checked_div(half).filter(|_| length.is_multiple_of(group))?;
            let sorted = |place: usize| {
                let (start, within) = (place / group * group, place % group);
                let (piece, offset) = (within / half, within % half);
                let evens = pieces.div_ceil(2);
                let source = if piece < evens { 2 * piece } else { 2 * (piece - evens) + 1 };
                start + source * half + offset
            };
            // Its permutation is applied the other way round.
            let mut order = vec![0; length];
            (0..length).for_each(|place| order[sorted(place)] = place);
            Some(order)
        }
        Storage::Triangle => None,
    }
}

/// `(I + Q)(I - Q)⁻¹`, by elimination: `I - Q` of a skew Q is never singular.
fn cayley(skew: &Matrix) -> Matrix {
    let size = skew.rows;
    // The factors commute, so (I - Q) R = I + Q. Without pivoting: all pivots are at least 1.
    let mut left = Matrix::new(size, size, skew.values.iter().map(|value| -value).collect());
    let mut right = skew.clone();
    for place in 0..size {
        *left.at_mut(place, place) += 1.0;
        *right.at_mut(place, place) += 1.0;
    }
    for pivot in 0..size {
        let scale = 1.0 / left.at(pivot, pivot);
        let own: Vec<f64> = left.row(pivot).iter().map(|value| value * scale).collect();
        let answer: Vec<f64> = right.row(pivot).iter().map(|value| value * scale).collect();
        for row in 0..size {
            let factor = left.at(row, pivot);
            if row == pivot || factor == 0.0 {
                continue;
            }
            let of_row = row * size..(row + 1) * size;
            add(&mut left.values[of_row.clone()], -factor, &own);
            add(&mut right.values[of_row], -factor, &answer);
        }
        left.values[pivot * size..(pivot + 1) * size].copy_from_slice(&own);
        right.values[pivot * size..(pivot + 1) * size].copy_from_slice(&answer);
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turning(storage: Storage, side: usize, count: usize, factors: usize, cap: Option<f64>) -> Turning {
        let stored = if storage == Storage::Triangle { side * (side - 1) / 2 } else { side * side };
        let values = (0..factors * count * stored).map(|place| ((place * 7 + 3) % 11) as f64 / 5.0 - 1.0);
        let is_butterfly = factors > 1;
        let blocks = Blocks { values: values.collect(), side, factors, storage, is_butterfly };
        Turning::new(&blocks, side * count, cap).unwrap()
    }

    #[test]
    fn a_rotation_keeps_lengths_and_its_transpose_takes_it_back() {
        for (storage, factors) in [
            (Storage::Difference, 1),
            (Storage::Triangle, 1),
            (Storage::HalfDifference, 1),
            (Storage::Difference, 3),
            (Storage::HalfDifference, 3),
        ] {
            let turning = turning(storage, 4, 4, factors, None);
            let vector: Vec<f64> = (0..16).map(|place| f64::from(place) - 5.5).collect();
            let turned = turning.forward(&vector);
            assert!(turned.iter().zip(&vector).any(|(one, other)| (one - other).abs() > 0.1));
            let back = turning.backward(&turned);
            assert!(back.iter().zip(&vector).all(|(one, other)| (one - other).abs() < 1e-12), "{storage:?}");
        }
    }

    #[test]
    fn every_factor_of_a_butterfly_has_each_entry_once() {
        for storage in [Storage::Difference, Storage::HalfDifference] {
            for factor in 0..3 {
                let mut places = order(factor, 4, 16, storage).unwrap();
                places.sort_unstable();
                assert_eq!(places, (0..16).collect::<Vec<_>>(), "{storage:?} {factor}");
            }
            assert_eq!(order(3, 4, 16, storage), None, "a group is longer than the side");
        }
    }

    #[test]
    fn a_cap_makes_the_rotation_smaller() {
        let vector = vec![1.0; 8];
        let moved = |cap| {
            let turned = turning(Storage::Difference, 4, 2, 1, cap).forward(&vector);
            turned.iter().zip(&vector).map(|(one, other)| (one - other).abs()).sum::<f64>()
        };
        assert!(moved(Some(0.01)) < 0.1 * moved(None));
        assert!((moved(Some(1e6)) - moved(None)).abs() < 1e-12);
    }
}
