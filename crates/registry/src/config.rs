//! Configuration: flags, then environment, then `lorakeep.toml` in the data folder, then defaults.

use std::path::PathBuf;

/// Everything that is read once at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `lorakeep.db`, `catalogs/`, `bin/`, `gallery/`, `.repo/`, `lorakeep.sock`.
    pub data_dir: PathBuf,
    /// Root of the model folders.
    pub models_dir: PathBuf,
}
