//! OFT and BOFT: how far the blocks turn, without the base weight.
//!
//! A block is the Cayley transform `(I + Q)(I - Q)⁻¹` of a skew matrix Q; a singular value λ of Q is a
//! rotation by 2 · atan λ. LyCORIS and kohya store P with Q = P - Pᵀ, PEFT's OFT the upper triangle of Q,
//! PEFT's BOFT P with Q = (P - Pᵀ) / 2.

use super::eigen::eigenvalues;
use super::matrix::Matrix;
use super::report::Rotation;

/// The largest block that is turned; its spectrum costs the third power.
pub(super) const BLOCK_CAP: u64 = 1024;

/// How a file stores its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// Square blocks, Q = P - Pᵀ.
    Difference,
    /// Square blocks, Q = (P - Pᵀ) / 2.
    HalfDifference,
    /// The upper triangle of Q, row by row.
    Triangle,
}

/// The side of blocks that are stored as triangles of this many elements; none when there is no such side.
pub(super) fn triangle_side(elements: u64) -> Option<u64> {
    let side = u64::midpoint(1, (8 * elements + 1).isqrt());
    (side * (side - 1) / 2 == elements && side > 1).then_some(side)
}

/// The blocks of a module as they are stored.
pub(super) struct Blocks {
    pub(super) values: Vec<f64>,
    pub(super) side: usize,
    /// Rotations one after the other; OFT has one.
    pub(super) factors: usize,
    pub(super) storage: Storage,
    /// It is a BOFT, also when it has one factor.
    pub(super) is_butterfly: bool,
}

impl Blocks {
    /// The stored values of each block, by factor.
    pub(super) fn by_factor(&self) -> impl Iterator<Item = impl Iterator<Item = &[f64]>> {
        let Self { side, factors, storage, .. } = *self;
        let stored = if storage == Storage::Triangle { side * (side - 1) / 2 } else { side * side };
        let factor = (self.values.len() / factors.max(1)).max(1);
        self.values.chunks_exact(factor).map(move |factor| factor.chunks_exact(stored.max(1)))
    }
}

/// The rotation, and the largest angle of every factor, of which OFT has one.
pub(super) struct Turned {
    pub(super) rotation: Rotation,
    pub(super) factor_angles: Vec<f64>,
}

/// Measures how far they turn.
pub(super) fn measure(blocks: &Blocks) -> Turned {
    let (mut angle_sum, mut planes, mut distance) = (0.0, 0_usize, 0.0);
    let mut factor_angles = Vec::with_capacity(blocks.factors);
    for factor in blocks.by_factor() {
        let mut largest = 0.0_f64;
        for block in factor {
            for squared in eigenvalues(skew(block, blocks.side, blocks.storage).gram_of_rows()) {
                let squared = squared.max(0.0);
                let angle = 2.0 * squared.sqrt().atan();
                largest = largest.max(angle);
                angle_sum += angle;
                planes += 1;
                // 4 sin²(θ/2) with tan(θ/2) = λ.
                distance += 4.0 * squared / (1.0 + squared);
            }
        }
        factor_angles.push(largest);
    }
    let angle_max = factor_angles.iter().copied().fold(0.0, f64::max);
    let angle_mean = angle_sum / planes.max(1) as f64;
    Turned { rotation: Rotation { angle_max, angle_mean, distance: f64::sqrt(distance) }, factor_angles }
}

/// The most that a product of rotations by these angles changes what it is applied to, relative to it.
pub(super) fn bound(factor_angles: &[f64]) -> f64 {
    let angle = factor_angles.iter().sum::<f64>().min(std::f64::consts::PI);
    2.0 * (angle / 2.0).sin()
}

/// The skew matrix Q of a block.
pub(super) fn skew(block: &[f64], side: usize, storage: Storage) -> Matrix {
    let mut skew = Matrix::zero(side, side);
    let mut upper = block.iter();
    for row in 0..side {
        for column in row + 1..side {
            let value = match storage {
                Storage::Difference => block[row * side + column] - block[column * side + row],
                Storage::HalfDifference => (block[row * side + column] - block[column * side + row]) / 2.0,
                Storage::Triangle => upper.next().copied().unwrap_or(0.0),
            };
            *skew.at_mut(row, column) = value;
            *skew.at_mut(column, row) = -value;
        }
    }
    skew
}
