//! The change of algorithms that act on the base weight itself: DoRA, which turns and stretches it, and IA3,
//! which multiplies it. One pass over the weight, some rows at a time; the change is never spread out.
//!
//! DoRA (arXiv 2402.09353): each row, or column, of `W + sBA` is stretched to the length m. With w, c and q the
//! energies of `W`, of both together and of `sBA`, and `n² = w + 2c + q`, the change of a row has the energy
//! `m² - 2 (m / n)(w + c) + w`.

use super::EvaluateError;
use super::base::rows_of;
use super::decode;
use super::delta::Delta;
use super::matrix::Matrix;
use super::measure::Module;
use super::subject::Opened;
use crate::read::ReadAt;
use crate::safetensors::{Header, Tensor};

/// Elements of the base weight that are decoded at once.
const ELEMENTS: u64 = 1 << 20;

/// A weight of the base.
pub(super) struct BaseWeight<'a> {
    pub(super) header: &'a Header,
    pub(super) file: &'a (dyn ReadAt + Sync),
    pub(super) tensor: Tensor,
}

impl BaseWeight<'_> {
    fn sides(&self) -> (u64, usize) {
        let rows = self.tensor.shape.first().copied().unwrap_or(1).max(1);
        (rows, (self.tensor.elements() / rows) as usize)
    }

    /// Gives some rows at a time, with the place of the first.
    fn each_rows(&self, mut take: impl FnMut(usize, &Matrix)) -> Result<(), EvaluateError> {
        let (rows, columns) = self.sides();
        let step = (ELEMENTS / (columns as u64).max(1)).max(1);
        for start in (0..rows).step_by(step as usize) {
            let end = (start + step).min(rows);
            let piece = rows_of(&self.tensor, Some(&(start..end)));
            let (values, _) = decode::read(self.file, self.header.data_start(), &piece)?;
            take(start as usize, &Matrix::new((end - start) as usize, columns, values));
        }
        Ok(())
    }
}

/// The energy of the true change of a DoRA or IA3 on this weight; none for another algorithm, or when its
/// tensors do not fit the weight.
pub(super) fn energy(
    adapter: &Opened<'_>,
    module: &Module<'_>,
    base: &BaseWeight<'_>,
) -> Result<Option<f64>, EvaluateError> {
    let parts = &module.1;
    if let Some(tensor) = parts.get("magnitude") {
        let magnitudes = read(adapter, tensor)?;
        let Some(Delta::Product(mut up, down)) = adapter.delta(parts)? else { return Ok(None) };
        let scale = adapter.scale(module.0, parts)?.value;
        up.values.iter_mut().for_each(|value| *value *= scale);
        let (rows, columns) = base.sides();
        if (up.rows, down.columns) != (rows as usize, columns) {
            return Ok(None);
        }
        let on_output = tensor.shape.first().is_some_and(|side| *side == rows);
        return if on_output && magnitudes.len() == up.rows {
            stretched_rows(&magnitudes, &up, &down, base).map(Some)
        } else if !magnitudes.is_empty() && columns.is_multiple_of(magnitudes.len()) {
            stretched_columns(&magnitudes, &up, &down, base).map(Some)
        } else {
            Ok(None)
        };
    }
    multiplied(adapter, module, base)
}

fn read(adapter: &Opened<'_>, tensor: &Tensor) -> Result<Vec<f64>, EvaluateError> {
    let subject = adapter.subject;
    Ok(decode::read(subject.file, subject.header.data_start(), tensor)?.0)
}

/// The energy of a row that is stretched to a length.
fn stretched(magnitude: f64, own: f64, both: f64, change: f64) -> f64 {
    let length = (own + 2.0 * both + change).max(0.0).sqrt();
    let along = if length > 0.0 { magnitude / length * (own + both) } else { 0.0 };
    (magnitude * magnitude - 2.0 * along + own).max(0.0)
}

fn stretched_rows(
    magnitudes: &[f64],
    up: &Matrix,
    down: &Matrix,
    base: &BaseWeight<'_>,
) -> Result<f64, EvaluateError> {
    let gram = down.gram_of_rows();
    let mut sum = 0.0;
    base.each_rows(|start, weight| {
        let projected = weight.rows_with(down);
        for row in 0..weight.rows {
            let outer = up.row(start + row);
            let both = dot(projected.row(row), outer);
            let change = quadratic(&gram, outer);
            sum += stretched(magnitudes[start + row], super::matrix::energy(weight.row(row)), both, change);
        }
    })?;
    Ok(sum)
}

/// Along the input: each channel, with its kernel, has a length.
fn stretched_columns(
    magnitudes: &[f64],
    up: &Matrix,
    down: &Matrix,
    base: &BaseWeight<'_>,
) -> Result<f64, EvaluateError> {
    let (gram, kernel) = (up.gram_of_columns(), down.columns / magnitudes.len());
    let mut projected = Matrix::zero(up.columns, down.columns);
    let mut own = vec![0.0; magnitudes.len()];
    base.each_rows(|start, weight| {
        let rows = up.values[start * up.columns..(start + weight.rows) * up.columns].to_vec();
        let part = Matrix::new(weight.rows, up.columns, rows).columns_with(weight);
        projected.values.iter_mut().zip(part.values).for_each(|(sum, value)| *sum += value);
        for row in 0..weight.rows {
            for (channel, values) in weight.row(row).chunks_exact(kernel).enumerate() {
                own[channel] += super::matrix::energy(values);
            }
        }
    })?;
    let (inner, projected) = (down.transposed(), projected.transposed());
    let channel = |(place, magnitude): (usize, &f64)| {
        let columns = place * kernel..(place + 1) * kernel;
        let both = columns.clone().map(|column| dot(inner.row(column), projected.row(column))).sum();
        let change = columns.map(|column| quadratic(&gram, inner.row(column))).sum();
        stretched(*magnitude, own[place], both, change)
    };
    Ok(magnitudes.iter().enumerate().map(channel).sum())
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(left, right)| left * right).sum()
}

/// `vectorᵀ · square · vector`.
fn quadratic(square: &Matrix, vector: &[f64]) -> f64 {
    vector.iter().enumerate().map(|(row, value)| value * dot(square.row(row), vector)).sum()
}

/// IA3: LyCORIS stores what is added to 1, PEFT the factor itself.
fn multiplied(
    adapter: &Opened<'_>,
    (_, parts): &Module<'_>,
    base: &BaseWeight<'_>,
) -> Result<Option<f64>, EvaluateError> {
    let (rows, columns) = base.sides();
    let (factors, on_input) = if let Some(tensor) = parts.get("ia3") {
        let on_input = match parts.get("on_input") {
            Some(flag) => read(adapter, flag)?.first().is_some_and(|flag| *flag != 0.0),
            None => false,
        };
        (read(adapter, tensor)?, on_input)
    } else if let Some(tensor) = parts.get("ia3_factor") {
        let less_one = read(adapter, tensor)?.into_iter().map(|value| value - 1.0).collect();
        (less_one, tensor.shape.first() == Some(&1))
    } else {
        return Ok(None);
    };
    let fits = if on_input {
        !factors.is_empty() && columns.is_multiple_of(factors.len())
    } else {
        factors.len() as u64 == rows
    };
    if !fits {
        return Ok(None);
    }
    let kernel = (columns / factors.len()).max(1);
    let mut sum = 0.0;
    base.each_rows(|start, weight| {
        for row in 0..weight.rows {
            if on_input {
                let channels = weight.row(row).chunks_exact(kernel).zip(&factors);
                sum += channels
                    .map(|(values, factor)| factor * factor * super::matrix::energy(values))
                    .sum::<f64>();
            } else {
                sum += factors[start + row].powi(2) * super::matrix::energy(weight.row(row));
            }
        }
    })?;
    Ok(Some(sum))
}
