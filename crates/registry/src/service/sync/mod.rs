//! Following a catalog that others keep in a repository (decision 10).

mod check;
mod merge;
#[cfg(test)]
mod tests;

pub use check::UpdateCheck;
pub use merge::{SyncConflict, SyncReport};

use std::path::PathBuf;

use super::Registry;

impl Registry {
    /// The work tree of the repository; it need not be one.
    fn repository_dir(&self) -> PathBuf {
        self.inner.config.data_dir.join(".repo")
    }

    /// The catalog in the work tree.
    fn repository_catalog(&self) -> PathBuf {
        self.repository_dir().join("catalogs").join("models.json")
    }
}
