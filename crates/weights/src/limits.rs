//! How much a scan may take before it is given up, which denies the file.

use std::time::{Duration, Instant};

use crate::denial::{Checked, deny};

/// The most that one scan may do. [`Limits::default`] is what publishing uses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Opcodes of one pickle.
    pub opcodes: u64,
    /// Bytes of one pickle.
    pub pickle_bytes: u64,
    /// Bytes of one text in a pickle.
    pub text_bytes: u64,
    /// Values and marks on the stack.
    pub stack: usize,
    /// Slots of the memo.
    pub memo: usize,
    /// Members of all tuples, and named tensors, that are remembered.
    pub remembered: usize,
    /// Members of an archive.
    pub members: u64,
    /// Wall-clock time for structure and pickles; reading tensor data is not counted.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            opcodes: 20_000_000,
            pickle_bytes: 256 * 1024 * 1024,
            text_bytes: 64 * 1024 * 1024,
            stack: 1_000_000,
            memo: 5_000_000,
            remembered: 8_000_000,
            members: 200_000,
            time: Duration::from_mins(1),
        }
    }
}

/// The moment at which a scan is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    pub(crate) fn check(self) -> Checked<()> {
        match self.0 {
            Some(end) if Instant::now() >= end => deny("limit_time", "its scan takes too long"),
            _ => Ok(()),
        }
    }
}
