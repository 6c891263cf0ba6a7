//! Torch files: the zip of torch 1.6 and newer, and the row of pickles before it.

mod legacy;
mod zip;

use crate::denial::Checked;
use crate::limits::{Deadline, Limits};
use crate::pickle::NamedTensor;
use crate::read::ReadAt;

/// Scans a torch zip of `size` bytes.
pub(crate) fn scan_zip<F: ReadAt + ?Sized>(file: &F, size: u64, limits: Limits) -> Checked<Vec<NamedTensor>> {
    zip::scan(file, size, limits, Deadline::after(limits.time))
}

/// Scans a torch file from before 1.6.
pub(crate) fn scan_legacy<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    limits: Limits,
) -> Checked<Vec<NamedTensor>> {
    legacy::scan(file, size, limits, Deadline::after(limits.time))
}
