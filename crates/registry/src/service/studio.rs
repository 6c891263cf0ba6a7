//! What the services of the studio's contract keep between calls.

use super::civitai::Lookups;

/// Shared by all of them.
#[derive(Debug, Default)]
pub(crate) struct Studio {
    /// What CivitAI answered lately.
    pub(crate) lookups: Lookups,
}
