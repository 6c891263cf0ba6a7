//! Numbers as the elements of tensors.

use crate::safetensors::Dtype;

/// Types that factors can be written in.
pub(super) fn is_writable(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64)
}

/// Writes `values` behind `bytes`, each rounded to the nearest, ties to even, and cut at the largest number.
pub(super) fn encode(dtype: Dtype, values: &[f64], bytes: &mut Vec<u8>) {
    match dtype {
        Dtype::F16 => values.iter().for_each(|value| bytes.extend(half(*value, 10, 5).to_le_bytes())),
        Dtype::Bf16 => values.iter().for_each(|value| bytes.extend(half(*value, 7, 8).to_le_bytes())),
        Dtype::F64 => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
        Dtype::F32 => values.iter().for_each(|value| bytes.extend((*value as f32).to_le_bytes())),
        _ => integers(dtype, values, bytes),
    }
}

/// The number that `value` becomes in that type.
pub(super) fn rounded(dtype: Dtype, value: f64) -> f64 {
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    encode(dtype, &[value], &mut bytes);
    crate::evaluate::decode::decode(dtype, &bytes, &mut values);
    values.first().copied().unwrap_or(value)
}

/// Whole numbers, for the alphas of trainers that store them so.
fn integers(dtype: Dtype, values: &[f64], bytes: &mut Vec<u8>) {
    let width = (dtype.bits() / 8) as usize;
    for value in values {
        bytes.extend_from_slice(&(value.round() as i64).to_le_bytes()[..width.min(8)]);
    }
}

/// The bits of a number of sixteen bits. One formula does for normal and subnormal ones: a mantissa that
/// rounds up to the next power carries into the exponent by itself.
fn half(value: f64, mantissa: u32, exponent: u32) -> u16 {
    let bias = (1_i64 << (exponent - 1)) - 1;
    let size = value.abs();
    let power = ((size.to_bits() >> 52) as i64 - 1023).max(1 - bias);
    let quantum = (power - i64::from(mantissa)) as i32;
    let steps = (size * 2.0_f64.powi(-quantum)).round_ties_even() as i64;
    let bits = ((power + bias) << mantissa) + steps - (1 << mantissa);
    let largest = (((1_i64 << exponent) - 1) << mantissa) - 1;
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    sign | bits.clamp(0, largest) as u16
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "rounding is exact")]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_sixteen_bits_comes_back_as_itself() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            for bits in 0..=u16::MAX {
                let mut values = Vec::new();
                let census = crate::evaluate::decode::decode(dtype, &bits.to_le_bytes(), &mut values);
                if census.is_finite() {
                    let mut bytes = Vec::new();
                    encode(dtype, &values, &mut bytes);
                    assert_eq!(bytes, bits.to_le_bytes(), "{dtype} {bits:#x}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_cut_at_the_largest() {
        assert_eq!(rounded(Dtype::F16, 1.0 + 2.0_f64.powi(-11)), 1.0, "a tie goes to even");
        assert_eq!(rounded(Dtype::F16, 1.0 + 2.0_f64.powi(-11) * 1.01), 1.0 + 2.0_f64.powi(-10));
        assert_eq!(rounded(Dtype::F16, 1e9), 65504.0);
        assert_eq!(rounded(Dtype::F16, -2.0_f64.powi(-25) * 1.5), -2.0_f64.powi(-24));
        assert_eq!(rounded(Dtype::Bf16, 1.99999), 2.0);
        assert_eq!(rounded(Dtype::I64, 3.6), 4.0);
    }
}
