//! The change that an adapter makes of a base weight W when it acts on the weight itself: `W' - W` of DoRA, IA3,
//! GLoRA, OFT and BOFT. The weight is read some rows or columns at a time; the change is never whole in memory.
//!
//! All of them are `L(W C) - W + U V`: something done to the output side, something to the input side, and a
//! product that is added.
//! - DoRA (arXiv 2402.09353): each row, or column, of `W + sBA` is stretched to the length m.
//! - IA3: rows or columns are multiplied.
//! - GLoRA (arXiv 2306.07967): `W (I + s a₁a₂) + s b₁b₂`.
//! - OFT, BOFT: see `turning`.

mod read;
mod side;

use super::base_weight::{BaseWeight, WeightNorms, add, dot};
use super::lanczos::largest_singular_value;
use super::matrix::{Matrix, energy};
use super::measure::Module;
use super::subject::Opened;
use super::{Control, EvaluateError};
use side::Side;

/// `L(W C) - W + U V`.
struct Change {
    output: Side,
    input: Side,
    /// U and V.
    added: Option<(Matrix, Matrix)>,
}

/// Whether the norms of a module's tensors say nothing of its change without the base.
pub(super) fn needs_base(module: &Module<'_>) -> bool {
    let of_base = ["glora", "oft", "boft", "ia3"].contains(&super::module::algorithm(&module.1));
    of_base || module.1.contains_key("magnitude")
}

/// The norms of the true change at strength 1; none when the tensors do not fit the weight or are not finite.
pub(super) fn norms(
    adapter: &Opened<'_>,
    module: &Module<'_>,
    base: &BaseWeight<'_>,
    control: &Control<'_>,
) -> Result<Option<WeightNorms>, EvaluateError> {
    let Some(change) = read::change(adapter, module, base, control)? else { return Ok(None) };
    let energy = change.energy(base, control)?;
    if !energy.is_finite() {
        return Ok(None);
    }
    let spectral = largest_singular_value(base.columns, |vector| change.normal(vector, base, control))?;
    Ok(Some(WeightNorms { frobenius: energy.sqrt(), spectral }))
}

impl Change {
    /// The sum of squares.
    fn energy(&self, base: &BaseWeight<'_>, control: &Control<'_>) -> Result<f64, EvaluateError> {
        let mut sum = 0.0;
        if self.output.is_local() {
            base.each_rows(control, |first, block| {
                for row in 0..block.rows {
                    sum += energy(&self.row(first + row, block.row(row)));
                }
            })?;
        } else {
            // Rows meet, so whole columns are needed; what does this neither adds nor touches the input.
            base.each_columns(control, |columns| {
                for place in 0..columns.rows {
                    let column = columns.row(place);
                    let mut changed = self.output.forward(column.to_vec());
                    add(&mut changed, -1.0, column);
                    sum += energy(&changed);
                }
            })?;
        }
        Ok(sum)
    }

    /// One row of the change.
    fn row(&self, place: usize, weight: &[f64]) -> Vec<f64> {
        let mut row = self.input.backward(weight.to_vec());
        let factor = self.output.factor(place);
        row.iter_mut().for_each(|value| *value *= factor);
        add(&mut row, -1.0, weight);
        if let Some((left, right)) = &self.added {
            let outer = left.row(place);
            outer.iter().enumerate().for_each(|(inner, value)| add(&mut row, *value, right.row(inner)));
        }
        row
    }

    /// The change times a vector, and the transposed change times that: two passes over the weight.
    fn normal(
        &self,
        vector: &[f64],
        base: &BaseWeight<'_>,
        control: &Control<'_>,
    ) -> Result<Vec<f64>, EvaluateError> {
        let inner = self.input.forward(vector.to_vec());
        let [turned, plain] = base.times([&inner, vector], control)?;
        let mut image = self.output.forward(turned);
        add(&mut image, -1.0, &plain);
        if let Some((left, right)) = &self.added {
            let between: Vec<f64> = (0..right.rows).map(|row| dot(right.row(row), vector)).collect();
            (0..left.rows).for_each(|row| image[row] += dot(left.row(row), &between));
        }
        let outer = self.output.backward(image.clone());
        let [turned, plain] = base.transposed_times([&outer, &image], control)?;
        let mut back = self.input.backward(turned);
        add(&mut back, -1.0, &plain);
        if let Some((left, right)) = &self.added {
            let mut between = vec![0.0; left.columns];
            (0..left.rows).for_each(|row| add(&mut between, image[row], left.row(row)));
            between.iter().enumerate().for_each(|(row, value)| add(&mut back, *value, right.row(row)));
        }
        Ok(back)
    }
}
