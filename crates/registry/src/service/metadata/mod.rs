//! Fetching metadata for entries of both catalogs: a queue that outlives a restart, worked off one after the other.

mod local;
mod queue;
mod run;
#[cfg(test)]
mod tests;
mod upstream;

pub(crate) use queue::Fetches;
pub use queue::{FetchScope, FetchState, FetchWord};
pub(in crate::service) use upstream::{Finding, facts_of_version, file_of};
