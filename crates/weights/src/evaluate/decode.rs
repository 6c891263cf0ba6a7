//! Tensors as numbers: read by position in pieces, decoded, and counted by bit pattern.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EvaluateError;
use crate::read::ReadAt;
use crate::safetensors::{Dtype, Tensor};

/// Bytes of tensor data that are held undecoded; a multiple of every width.
const PIECE: u64 = 256 * 1024;

/// What the elements of tensors are, told by their bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Census {
    /// Elements that were read.
    pub elements: u64,
    /// Elements that are not a number.
    pub nan: u64,
    /// Infinite elements.
    pub infinite: u64,
    /// Zeros of either sign.
    pub zero: u64,
    /// Subnormal elements, which have lost precision.
    pub subnormal: u64,
    /// F16 elements of the largest size, 65504, at which a conversion may have clipped.
    pub saturated: u64,
}

impl Census {
    /// Adds the counts of another census.
    pub(super) fn add(&mut self, other: Self) {
        self.elements += other.elements;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.zero += other.zero;
        self.subnormal += other.subnormal;
        self.saturated += other.saturated;
    }

    /// Every element is a finite number.
    pub fn is_finite(&self) -> bool {
        self.nan == 0 && self.infinite == 0
    }

    /// There are elements and all are zero.
    pub fn is_zero(&self) -> bool {
        self.elements > 0 && self.zero == self.elements
    }
}

/// What was read of a file so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// All elements.
    pub(super) census: Census,
    /// Tensors of more than one element that are all zero.
    pub(super) zero_tensors: u64,
    /// The elements of type F16.
    pub(super) halves: Census,
}

impl Tally {
    /// Counts one tensor.
    pub(super) fn count(&mut self, dtype: Dtype, census: Census) {
        self.census.add(census);
        self.zero_tensors += u64::from(census.is_zero() && census.elements > 1);
        if dtype == Dtype::F16 {
            self.halves.add(census);
        }
    }

    /// Adds what was read elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        self.census.add(other.census);
        self.zero_tensors += other.zero_tensors;
        self.halves.add(other.halves);
    }
}

/// Whether the elements of a type can be decoded.
pub(super) fn is_numeric(dtype: Dtype) -> bool {
    !matches!(dtype, Dtype::F4 | Dtype::F6E2M3 | Dtype::F6E3M2 | Dtype::C64)
}

/// Reads a tensor in pieces; `take` gets the decoded numbers of each.
pub(super) fn stream<F: ReadAt + ?Sized>(
    file: &F,
    data_start: u64,
    tensor: &Tensor,
    mut take: impl FnMut(&[f64]),
) -> Result<Census, EvaluateError> {
    let mut census = Census::default();
    let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
    let mut start = tensor.range.start;
    while start < tensor.range.end {
        let count = PIECE.min(tensor.range.end - start);
        bytes.resize(count as usize, 0);
        file.read_exact_at(&mut bytes, data_start + start).map_err(|error| unreadable(tensor, error))?;
        numbers.clear();
        census.add(decode(tensor.dtype, &bytes, &mut numbers));
        take(&numbers);
        start += count;
    }
    Ok(census)
}

/// Reads a whole tensor.
pub(super) fn read<F: ReadAt + ?Sized>(
    file: &F,
    data_start: u64,
    tensor: &Tensor,
) -> Result<(Vec<f64>, Census), EvaluateError> {
    let mut values = Vec::with_capacity(tensor.elements() as usize);
    let census = stream(file, data_start, tensor, |piece| values.extend_from_slice(piece))?;
    Ok((values, census))
}

fn unreadable(tensor: &Tensor, source: io::Error) -> EvaluateError {
    EvaluateError::Read { tensor: crate::safetensors::display_name(&tensor.name), source }
}

/// Reads a whole tensor undecoded.
pub(super) fn read_bytes<F: ReadAt + ?Sized>(
    file: &F,
    data_start: u64,
    tensor: &Tensor,
) -> Result<Vec<u8>, EvaluateError> {
    let mut bytes = vec![0; (tensor.range.end - tensor.range.start) as usize];
    let start = data_start + tensor.range.start;
    file.read_exact_at(&mut bytes, start).map_err(|error| unreadable(tensor, error))?;
    Ok(bytes)
}

/// Reads `count` elements from element `start` on undecoded into `bytes`.
pub(super) fn read_elements<F: ReadAt + ?Sized>(
    file: &F,
    data_start: u64,
    tensor: &Tensor,
    start: usize,
    count: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), EvaluateError> {
    let width = (tensor.dtype.bits() / 8) as usize;
    bytes.resize(count * width, 0);
    let place = data_start + tensor.range.start + (start * width) as u64;
    file.read_exact_at(bytes, place).map_err(|error| unreadable(tensor, error))
}

/// Counts what the elements are without decoding those whose bits tell.
pub(super) fn count_bits(dtype: Dtype, bytes: &[u8]) -> Census {
    match dtype {
        Dtype::F16 => count_halves(bytes, HALF),
        Dtype::Bf16 => count_halves(bytes, BRAIN),
        _ => {
            let (mut census, mut numbers) = (Census::default(), Vec::new());
            for piece in bytes.chunks(PIECE as usize) {
                numbers.clear();
                census.add(decode(dtype, piece, &mut numbers));
            }
            census
        }
    }
}

/// Decodes `bytes` behind `numbers` without counting.
pub(super) fn widen(dtype: Dtype, bytes: &[u8], numbers: &mut Vec<f64>) {
    match dtype {
        Dtype::F16 => widen_halves(bytes, numbers, widen_half),
        Dtype::Bf16 => widen_halves(bytes, numbers, widen_brain),
        Dtype::F32 => each(bytes, numbers, |word| f64::from(f32::from_le_bytes(word))),
        _ => {
            decode(dtype, bytes, numbers);
        }
    }
}

/// Decodes `bytes` behind `numbers` and counts what they are. Types without numbers give none.
pub(super) fn decode(dtype: Dtype, bytes: &[u8], numbers: &mut Vec<f64>) -> Census {
    match dtype {
        Dtype::F16 => {
            widen_halves(bytes, numbers, widen_half);
            count_halves(bytes, HALF)
        }
        Dtype::Bf16 => {
            widen_halves(bytes, numbers, widen_brain);
            count_halves(bytes, BRAIN)
        }
        Dtype::F32 => words(bytes, numbers),
        Dtype::F64 => doubles(bytes, numbers),
        Dtype::F8E4M3 => octets(bytes, numbers, |bits| small(bits, 3, 7, Specials::LastIsNan)),
        Dtype::F8E5M2 => octets(bytes, numbers, |bits| small(bits, 2, 15, Specials::Ieee)),
        Dtype::F8E4M3Fnuz => octets(bytes, numbers, |bits| small(bits, 3, 8, Specials::NegativeZeroIsNan)),
        Dtype::F8E5M2Fnuz => octets(bytes, numbers, |bits| small(bits, 2, 16, Specials::NegativeZeroIsNan)),
        Dtype::F8E8M0 => octets(bytes, numbers, power),
        _ => integers(dtype, bytes, numbers),
    }
}

/// A type of sixteen bits: where its exponent and its mantissa are.
#[derive(Clone, Copy)]
struct Half {
    exponent: u16,
    mantissa: u16,
    largest: u16,
}

const HALF: Half = Half { exponent: 0x7c00, mantissa: 0x03ff, largest: 0x7bff };
/// BF16 has no largest value that a conversion would clip to.
const BRAIN: Half = Half { exponent: 0x7f80, mantissa: 0x007f, largest: 0xffff };

/// F16 by one multiplication, which is right for subnormals too; infinite and NaN are put right after.
fn widen_half(bits: u16) -> f32 {
    let shifted = f32::from_bits(u32::from(bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 | (u32::from(bits & 0x3ff) << 13) } else { 0 };
    f32::from_bits(shifted.to_bits() | special | (u32::from(bits & 0x8000) << 16))
}

fn widen_brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[inline]
fn widen_halves(bytes: &[u8], numbers: &mut Vec<f64>, widen: impl Fn(u16) -> f32) {
    each(bytes, numbers, |pair| f64::from(widen(u16::from_le_bytes(pair))));
}

/// Counts in lanes of sixteen bits, which is why a run is short.
fn count_halves(bytes: &[u8], half: Half) -> Census {
    const RUN: usize = 4096;
    let mut census = Census::default();
    for run in bytes.as_chunks::<2>().0.chunks(RUN) {
        let (mut special, mut nan, mut zero, mut subnormal, mut saturated) =
            (0_u16, 0_u16, 0_u16, 0_u16, 0_u16);
        for pair in run {
            let bits = u16::from_le_bytes(*pair);
            let (exponent, mantissa) = (bits & half.exponent, bits & half.mantissa);
            special += u16::from(exponent == half.exponent);
            nan += u16::from(exponent == half.exponent) & u16::from(mantissa != 0);
            zero += u16::from(exponent == 0) & u16::from(mantissa == 0);
            subnormal += u16::from(exponent == 0) & u16::from(mantissa != 0);
            saturated += u16::from(bits & 0x7fff == half.largest);
        }
        census.add(Census {
            elements: run.len() as u64,
            nan: u64::from(nan),
            infinite: u64::from(special - nan),
            zero: u64::from(zero),
            subnormal: u64::from(subnormal),
            saturated: u64::from(saturated),
        });
    }
    census
}

fn words(bytes: &[u8], numbers: &mut Vec<f64>) -> Census {
    let (quads, _) = bytes.as_chunks::<4>();
    let floats = quads.iter().map(|quad| f32::from_le_bytes(*quad));
    numbers.extend(floats.clone().map(f64::from));
    let mut census = Census { elements: quads.len() as u64, ..Census::default() };
    for value in floats {
        census.nan += u64::from(value.is_nan());
        census.infinite += u64::from(value.is_infinite());
        census.zero += u64::from(value == 0.0);
        census.subnormal += u64::from(value.is_subnormal());
    }
    census
}

fn doubles(bytes: &[u8], numbers: &mut Vec<f64>) -> Census {
    let (words, _) = bytes.as_chunks::<8>();
    let start = numbers.len();
    numbers.extend(words.iter().map(|word| f64::from_le_bytes(*word)));
    count(&numbers[start..], f64::is_subnormal)
}

fn count(values: &[f64], subnormal: impl Fn(f64) -> bool) -> Census {
    let mut census = Census { elements: values.len() as u64, ..Census::default() };
    for value in values {
        census.nan += u64::from(value.is_nan());
        census.infinite += u64::from(value.is_infinite());
        census.zero += u64::from(*value == 0.0);
        census.subnormal += u64::from(subnormal(*value));
    }
    census
}

/// How a type of eight bits writes what is no finite number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Specials {
    Ieee,
    LastIsNan,
    NegativeZeroIsNan,
}

/// One number of eight bits, and whether it is subnormal.
fn small(bits: u8, mantissa_bits: u32, bias: i32, specials: Specials) -> (f64, bool) {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let magnitude = bits & 0x7f;
    let exponent = i32::from(magnitude >> mantissa_bits);
    let mantissa = f64::from(magnitude & ((1 << mantissa_bits) - 1));
    let top = 0x7f >> mantissa_bits;
    match specials {
        Specials::Ieee if exponent == top && mantissa == 0.0 => return (sign * f64::INFINITY, false),
        Specials::Ieee if exponent == top => return (f64::NAN, false),
        Specials::LastIsNan if magnitude == 0x7f => return (f64::NAN, false),
        Specials::NegativeZeroIsNan if bits == 0x80 => return (f64::NAN, false),
        _ => {}
    }
    let unit = f64::from(1_u32 << mantissa_bits);
    let scaled = if exponent == 0 {
        mantissa / unit * 2.0_f64.powi(1 - bias)
    } else {
        (1.0 + mantissa / unit) * 2.0_f64.powi(exponent - bias)
    };
    (sign * scaled, exponent == 0 && mantissa != 0.0)
}

/// E8M0 holds an exponent and nothing else.
fn power(bits: u8) -> (f64, bool) {
    if bits == 0xff { (f64::NAN, false) } else { (2.0_f64.powi(i32::from(bits) - 127), false) }
}

fn octets(bytes: &[u8], numbers: &mut Vec<f64>, value_of: impl Fn(u8) -> (f64, bool)) -> Census {
    let mut table = [(0.0, false); 256];
    for (bits, entry) in (0..=u8::MAX).zip(table.iter_mut()) {
        *entry = value_of(bits);
    }
    let start = numbers.len();
    numbers.extend(bytes.iter().map(|bits| table[usize::from(*bits)].0));
    let mut census = count(&numbers[start..], |_| false);
    census.subnormal = bytes.iter().filter(|bits| table[usize::from(**bits)].1).count() as u64;
    census
}

fn integers(dtype: Dtype, bytes: &[u8], numbers: &mut Vec<f64>) -> Census {
    let start = numbers.len();
    match dtype {
        Dtype::Bool | Dtype::U8 => numbers.extend(bytes.iter().map(|byte| f64::from(*byte))),
        Dtype::I8 => numbers.extend(bytes.iter().map(|byte| f64::from(byte.cast_signed()))),
        Dtype::I16 => each(bytes, numbers, |word| f64::from(i16::from_le_bytes(word))),
        Dtype::U16 => each(bytes, numbers, |word| f64::from(u16::from_le_bytes(word))),
        Dtype::I32 => each(bytes, numbers, |word| f64::from(i32::from_le_bytes(word))),
        Dtype::U32 => each(bytes, numbers, |word| f64::from(u32::from_le_bytes(word))),
        Dtype::I64 => each(bytes, numbers, |word| i64::from_le_bytes(word) as f64),
        Dtype::U64 => each(bytes, numbers, |word| u64::from_le_bytes(word) as f64),
        _ => {}
    }
    count(&numbers[start..], |_| false)
}

#[inline]
fn each<const WIDTH: usize>(bytes: &[u8], numbers: &mut Vec<f64>, value: impl Fn([u8; WIDTH]) -> f64) {
    numbers.extend(bytes.as_chunks::<WIDTH>().0.iter().map(|word| value(*word)));
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "decoding is exact")]
mod tests {
    use super::*;

    fn one(dtype: Dtype, bytes: &[u8]) -> (f64, Census) {
        let mut numbers = Vec::new();
        let census = decode(dtype, bytes, &mut numbers);
        (numbers[0], census)
    }

    #[test]
    fn halves_are_what_their_bits_say() {
        assert_eq!(one(Dtype::F16, &0x3c00_u16.to_le_bytes()).0, 1.0);
        assert_eq!(one(Dtype::F16, &0xc500_u16.to_le_bytes()).0, -5.0);
        let (least, census) = one(Dtype::F16, &1_u16.to_le_bytes());
        assert_eq!((least, census.subnormal), (2.0_f64.powi(-24), 1));
        assert_eq!(one(Dtype::F16, &0x7bff_u16.to_le_bytes()).1.saturated, 1);
        assert_eq!(one(Dtype::F16, &0xfc00_u16.to_le_bytes()).0, f64::NEG_INFINITY);
        assert!(one(Dtype::F16, &0x7e00_u16.to_le_bytes()).0.is_nan());
        assert_eq!(one(Dtype::F16, &0x7c01_u16.to_le_bytes()).1.nan, 1);
        assert_eq!(one(Dtype::Bf16, &0x3f80_u16.to_le_bytes()).0, 1.0);
        assert_eq!(one(Dtype::Bf16, &0x7f80_u16.to_le_bytes()).1.infinite, 1);
        assert_eq!(one(Dtype::F16, &0x8000_u16.to_le_bytes()).1.zero, 1);
    }

    #[test]
    fn numbers_of_eight_bits_are_what_their_bits_say() {
        assert_eq!(one(Dtype::F8E4M3, &[0x38]).0, 1.0);
        assert_eq!(one(Dtype::F8E4M3, &[0x7e]).0, 448.0);
        assert!(one(Dtype::F8E4M3, &[0xff]).0.is_nan());
        assert_eq!(one(Dtype::F8E5M2, &[0x3c]).0, 1.0);
        assert_eq!(one(Dtype::F8E5M2, &[0x7c]).1.infinite, 1);
        assert_eq!(
            one(Dtype::F8E5M2, &[0x01]),
            (2.0_f64.powi(-16), Census { elements: 1, subnormal: 1, ..Census::default() })
        );
        assert_eq!(one(Dtype::F8E4M3Fnuz, &[0x40]).0, 1.0);
        assert!(one(Dtype::F8E5M2Fnuz, &[0x80]).0.is_nan());
    }

    #[test]
    fn whole_numbers_and_doubles_are_read() {
        assert_eq!(one(Dtype::I64, &(-3_i64).to_le_bytes()).0, -3.0);
        assert_eq!(one(Dtype::F64, &0.1_f64.to_le_bytes()).0, 0.1);
        assert_eq!(one(Dtype::F32, &f32::MIN_POSITIVE.to_le_bytes()).1.subnormal, 0);
    }
}
