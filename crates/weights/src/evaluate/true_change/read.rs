//! From the tensors of a module to what they do to a weight.

use super::super::base_weight::{BaseWeight, add};
use super::super::delta::Delta;
use super::super::matrix::{Matrix, energy};
use super::super::measure::Module;
use super::super::module::{Parts, algorithm};
use super::super::orthogonal::Storage;
use super::super::subject::Opened;
use super::super::turning::Turning;
use super::super::{Control, EvaluateError, decode};
use super::{Change, Side};
use crate::safetensors::Tensor;

type Read<T> = Result<Option<T>, EvaluateError>;

/// The change of a module on this weight; none when its tensors do not fit it or are not finite.
pub(super) fn change(
    adapter: &Opened<'_>,
    module: &Module<'_>,
    base: &BaseWeight<'_>,
    control: &Control<'_>,
) -> Read<Change> {
    let parts = &module.1;
    match algorithm(parts) {
        "dora" => stretched(adapter, module, base, control),
        "ia3" => multiplied(adapter, parts, base),
        "oft" | "boft" => turned(adapter, parts, base),
        "glora" => mixed(adapter, module, base),
        _ => Ok(None),
    }
}

/// The numbers of a tensor; none when it cannot be decoded or some are not finite.
fn numbers(adapter: &Opened<'_>, tensor: &Tensor) -> Read<Vec<f64>> {
    if !decode::is_numeric(tensor.dtype) {
        return Ok(None);
    }
    let subject = adapter.subject;
    let (values, census) = decode::read(subject.file, subject.header.data_start(), tensor)?;
    Ok(census.is_finite().then_some(values))
}

/// DoRA: rows, or columns with their kernels, get the lengths that are stored.
fn stretched(
    adapter: &Opened<'_>,
    module: &Module<'_>,
    base: &BaseWeight<'_>,
    control: &Control<'_>,
) -> Read<Change> {
    let Some(tensor) = module.1.get("magnitude") else { return Ok(None) };
    let Some(magnitudes) = numbers(adapter, tensor)? else { return Ok(None) };
    let Some((mut up, mut down)) = factors(adapter, module, base)? else { return Ok(None) };
    let on_output = magnitudes.len() == base.rows && tensor.shape.first() == Some(&(base.rows as u64));
    let lines = if on_output { base.rows } else { base.columns };
    if magnitudes.is_empty() || !lines.is_multiple_of(magnitudes.len()) {
        return Ok(None);
    }
    let width = lines / magnitudes.len();
    let mut lengths = vec![0.0; magnitudes.len()];
    base.each_rows(control, |first, block| {
        for row in 0..block.rows {
            let mut sum = block.row(row).to_vec();
            let outer = up.row(first + row).iter().enumerate();
            outer.for_each(|(inner, value)| add(&mut sum, *value, down.row(inner)));
            if on_output {
                lengths[first + row] = energy(&sum);
            } else {
                let channels = lengths.iter_mut().zip(sum.chunks_exact(width));
                channels.for_each(|(length, channel)| *length += energy(channel));
            }
        }
    })?;
    // What has no length has no direction to be stretched in.
    let factor =
        |(magnitude, length): (&f64, &f64)| if *length > 0.0 { magnitude / length.sqrt() } else { 0.0 };
    let factors = repeated(magnitudes.iter().zip(&lengths).map(factor).collect(), width);
    Ok(Some(if on_output {
        up.values.chunks_exact_mut(up.columns).zip(&factors).for_each(|(row, factor)| scale(row, *factor));
        Change { output: Side::Scaled(factors), input: Side::Same, added: Some((up, down)) }
    } else {
        let rows = down.values.chunks_exact_mut(down.columns);
        rows.for_each(|row| row.iter_mut().zip(&factors).for_each(|(value, factor)| *value *= factor));
        Change { output: Side::Same, input: Side::Scaled(factors), added: Some((up, down)) }
    }))
}

/// The factors of a product with its scale in the outer one, when they fit the weight.
fn factors(adapter: &Opened<'_>, module: &Module<'_>, base: &BaseWeight<'_>) -> Read<(Matrix, Matrix)> {
    let Some(Delta::Product(mut up, down)) = adapter.delta(&module.1)? else { return Ok(None) };
    scale(&mut up.values, adapter.scale(module.0, &module.1)?.value);
    Ok(((up.rows, down.columns) == (base.rows, base.columns)).then_some((up, down)))
}

/// IA3: LyCORIS stores what is added to 1, PEFT the factor itself.
fn multiplied(adapter: &Opened<'_>, parts: &Parts<'_>, base: &BaseWeight<'_>) -> Read<Change> {
    let (tensor, neutral) = match (parts.get("ia3"), parts.get("ia3_factor")) {
        (Some(tensor), _) => (tensor, 1.0),
        (None, Some(tensor)) => (tensor, 0.0),
        (None, None) => return Ok(None),
    };
    let on_input = match parts.get("on_input") {
        Some(flag) => {
            numbers(adapter, flag)?.is_some_and(|flag| flag.first().is_some_and(|flag| *flag != 0.0))
        }
        None => tensor.shape.first() == Some(&1) && parts.contains_key("ia3_factor"),
    };
    let Some(values) = numbers(adapter, tensor)? else { return Ok(None) };
    let factors: Vec<f64> = values.iter().map(|value| value + neutral).collect();
    if on_input {
        if factors.is_empty() || !base.columns.is_multiple_of(factors.len()) {
            return Ok(None);
        }
        let width = base.columns / factors.len();
        return Ok(Some(Change {
            output: Side::Same,
            input: Side::Scaled(repeated(factors, width)),
            added: None,
        }));
    }
    let fits = factors.len() == base.rows;
    Ok(fits.then_some(Change { output: Side::Scaled(factors), input: Side::Same, added: None }))
}

/// OFT and BOFT: LyCORIS turns the output, PEFT the input; both may stretch the output behind it.
fn turned(adapter: &Opened<'_>, parts: &Parts<'_>, base: &BaseWeight<'_>) -> Read<Change> {
    let Some(blocks) = adapter.blocks(parts)? else { return Ok(None) };
    let stretch = match parts.get("rescale") {
        Some(tensor) => match numbers(adapter, tensor)? {
            Some(values) if values.len() == base.rows => Some(values),
            _ => return Ok(None),
        },
        None => None,
    };
    if blocks.storage != Storage::Difference {
        let output = stretch.map_or(Side::Same, Side::Scaled);
        let turned = |turning| Change { output, input: Side::TurnedRows(turning), added: None };
        return Ok(Turning::new(&blocks, base.columns, None).map(turned));
    }
    let alpha = match parts.get("alpha") {
        Some(tensor) => numbers(adapter, tensor)?.and_then(|values| values.first().copied()),
        None => None,
    };
    let cap = alpha.filter(|alpha| *alpha > 0.0).map(|alpha| alpha * base.rows as f64);
    let turned = |turning| Change { output: Side::Turned(turning, stretch), input: Side::Same, added: None };
    Ok(Turning::new(&blocks, base.rows, cap).map(turned))
}

/// GLoRA, whose part for the input does not see the kernel.
fn mixed(adapter: &Opened<'_>, module: &Module<'_>, base: &BaseWeight<'_>) -> Read<Change> {
    let Some(added) = factors(adapter, module, base)? else { return Ok(None) };
    let Some(Delta::Product(mut left, right)) = adapter.glora_factor(&module.1)? else { return Ok(None) };
    if left.rows != right.columns || !base.columns.is_multiple_of(left.rows) {
        return Ok(None);
    }
    scale(&mut left.values, adapter.scale(module.0, &module.1)?.value);
    let kernel = base.columns / left.rows;
    Ok(Some(Change { output: Side::Same, input: Side::Mixed { left, right, kernel }, added: Some(added) }))
}

fn scale(values: &mut [f64], factor: f64) {
    values.iter_mut().for_each(|value| *value *= factor);
}

/// Every value as often as its line is wide.
fn repeated(values: Vec<f64>, width: usize) -> Vec<f64> {
    values.into_iter().flat_map(|value| std::iter::repeat_n(value, width)).collect()
}
