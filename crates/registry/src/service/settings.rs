//! What can be changed while it runs, and the admin key.

use super::Registry;
use crate::error::Result;

/// Run-time settings; each falls back to the configuration until it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Downloads at once, 1 to 10.
    pub max_concurrent_downloads: u32,
    /// Bytes per second for all downloads together; `None` is unlimited.
    pub bandwidth_bytes_per_second: Option<u64>,
    /// Whether the queue stands still.
    pub downloads_paused: bool,
}

/// A change; absent fields stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// 1 to 10.
    pub max_concurrent_downloads: Option<u32>,
    /// `Some(None)` lifts the limit.
    pub bandwidth_bytes_per_second: Option<Option<u64>>,
    /// Stops or starts claiming jobs.
    pub downloads_paused: Option<bool>,
}

impl Registry {
    /// The settings in force.
    pub fn settings(&self) -> Settings {
        todo!()
    }

    /// Changes settings; in force at once and after a restart.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<Settings> {
        let _ = change;
        todo!()
    }

    /// Whether `key` is the admin key: hashes compared in constant time; never true for an empty key.
    pub fn is_admin_key(&self, key: &[u8]) -> bool {
        let _ = key;
        todo!()
    }

    /// The admin key, made now and to be printed once; `None` when one was configured or made before.
    ///
    /// Only its hash is stored. Called by whatever starts the server, so that a command cannot lose the key.
    pub async fn take_first_start_key(&self) -> Result<Option<String>> {
        todo!()
    }
}
