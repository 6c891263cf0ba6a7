//! Whether the tensors cover the data: each fits its shape, none overlap, nothing is left over.

use super::{Malformed, Tensor, display_name};

/// Checks every tensor, and that together they fill `data_start..size` exactly.
pub(super) fn check(tensors: &[Tensor], data_start: u64, size: u64) -> Result<(), Malformed> {
    for tensor in tensors {
        check_length(tensor)?;
    }
    let end = check_cover(tensors)?;
    let expected = data_start.checked_add(end).ok_or_else(|| too_far(end))?;
    match expected.cmp(&size) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            Err(Malformed::Size { expected, size, advice: "it is cut off, fetch it again" })
        }
        std::cmp::Ordering::Less => {
            Err(Malformed::Size { expected, size, advice: "there are bytes behind the last tensor" })
        }
    }
}

fn too_far(end: u64) -> Malformed {
    Malformed::Layout(format!("the tensors end at {end}, which is too large for any file"))
}

fn check_length(tensor: &Tensor) -> Result<(), Malformed> {
    let wrong = |reason: String| Malformed::Tensor { name: display_name(&tensor.name), reason };
    let bits = tensor
        .shape
        .iter()
        .try_fold(1_u64, |product, side| product.checked_mul(*side))
        .and_then(|elements| elements.checked_mul(tensor.dtype.bits()))
        .ok_or_else(|| wrong("has a shape that is too large for any file".to_owned()))?;
    if bits % 8 != 0 {
        return Err(wrong(format!("of {} does not fill a whole number of bytes", tensor.dtype)));
    }
    let range = &tensor.range;
    let length = range
        .end
        .checked_sub(range.start)
        .ok_or_else(|| wrong(format!("ends before it begins ({} to {})", range.start, range.end)))?;
    if length == bits / 8 {
        return Ok(());
    }
    Err(wrong(format!("needs {} bytes for its shape but its range has {length}", bits / 8)))
}

/// Follows the tensors by position and answers where the last one ends.
fn check_cover(tensors: &[Tensor]) -> Result<u64, Malformed> {
    let mut order: Vec<&Tensor> = tensors.iter().collect();
    order.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    let mut end = 0;
    for tensor in order {
        if tensor.range.start != end {
            let what = if tensor.range.start > end { "leaves a gap" } else { "overlaps the tensor" };
            let reason =
                format!("begins at {} and {what} before it, which ends at {end}", tensor.range.start);
            return Err(Malformed::Tensor { name: display_name(&tensor.name), reason });
        }
        end = tensor.range.end;
    }
    Ok(end)
}
