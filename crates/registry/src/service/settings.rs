//! What can be changed while it runs.

use std::ops::RangeInclusive;
use std::sync::{MutexGuard, PoisonError};

use super::Registry;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::Store;

/// Run-time settings; each falls back to the configuration until it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Downloads at once, 1 to 10.
    pub max_concurrent_downloads: u32,
    /// Bytes per second for all downloads together; `None` is unlimited.
    pub bandwidth_bytes_per_second: Option<u64>,
    /// Whether the queue stands still.
    pub downloads_paused: bool,
    /// The largest upload, bytes.
    pub max_upload_bytes: u64,
    /// Days that a deleted file can come back.
    pub bin_days: u32,
}

/// A change; absent fields stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::option_option, reason = "not to change the limit and to lift it are two things")]
pub struct SettingsChange {
    /// 1 to 10.
    pub max_concurrent_downloads: Option<u32>,
    /// `Some(None)` lifts the limit.
    pub bandwidth_bytes_per_second: Option<Option<u64>>,
    /// Stops or starts claiming jobs.
    pub downloads_paused: Option<bool>,
    /// More than 0.
    pub max_upload_bytes: Option<u64>,
    /// At most 36,500.
    pub bin_days: Option<u32>,
}

/// The names of the rows.
pub(super) const MAX_CONCURRENT: &str = "max_concurrent_downloads";
pub(super) const BANDWIDTH: &str = "bandwidth_bytes_per_second";
const PAUSED: &str = "downloads_paused";
pub(super) const MAX_UPLOAD: &str = "max_upload_bytes";
pub(super) const BIN_DAYS: &str = "bin_days";
/// How "no limit" is stored; no row means what is configured.
pub(super) const UNLIMITED: &str = "unlimited";

/// Downloads at once.
const CONCURRENT: RangeInclusive<u32> = 1..=10;
/// Days in the bin.
const DAYS: RangeInclusive<u32> = 0..=36_500;

/// Reads what is stored; a value that is out of bounds falls back to the configuration.
pub(super) async fn load(store: &Store, config: &Config) -> Result<Settings> {
    let rows = store.list_settings().await?;
    let row = |name: &str| rows.get(name).map(String::as_str);
    let downloads = &config.downloads;
    let concurrent =
        row(MAX_CONCURRENT).and_then(|text| text.parse().ok()).filter(|count| CONCURRENT.contains(count));
    Ok(Settings {
        max_concurrent_downloads: concurrent.unwrap_or(downloads.max_concurrent),
        bandwidth_bytes_per_second: match row(BANDWIDTH) {
            Some(UNLIMITED) => None,
            Some(text) => text.parse().ok().or(downloads.bandwidth_bytes_per_second),
            None => downloads.bandwidth_bytes_per_second,
        },
        downloads_paused: row(PAUSED) == Some("true"),
        max_upload_bytes: row(MAX_UPLOAD)
            .and_then(|text| text.parse().ok())
            .filter(|bytes| *bytes > 0)
            .unwrap_or(config.uploads.max_bytes),
        bin_days: row(BIN_DAYS)
            .and_then(|text| text.parse().ok())
            .filter(|days| DAYS.contains(days))
            .unwrap_or(config.bin_days),
    })
}

impl Registry {
    /// The settings in force.
    pub fn settings(&self) -> Settings {
        *self.stored()
    }

    /// Changes settings; in force at once and after a restart.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<Settings> {
        let rows = rows_of(change)?;
        self.inner.store.save_settings(&rows).await?;
        let settings = {
            let mut settings = self.stored();
            change.max_concurrent_downloads.inspect(|count| settings.max_concurrent_downloads = *count);
            change.bandwidth_bytes_per_second.inspect(|limit| settings.bandwidth_bytes_per_second = *limit);
            change.downloads_paused.inspect(|is_paused| settings.downloads_paused = *is_paused);
            change.max_upload_bytes.inspect(|bytes| settings.max_upload_bytes = *bytes);
            change.bin_days.inspect(|days| settings.bin_days = *days);
            *settings
        };
        self.apply_download_settings(&settings);
        Ok(settings)
    }

    /// The names of the settings that were changed here and so stand before the configuration.
    pub(super) async fn changed_settings(&self) -> Result<Vec<String>> {
        Ok(self.inner.store.list_settings().await?.into_keys().collect())
    }

    /// Lets the configuration count again for one setting.
    pub(super) async fn forget_setting(&self, name: &str) -> Result<Settings> {
        self.inner.store.delete_setting(name).await?;
        let settings = load(&self.inner.store, &self.inner.config).await?;
        *self.stored() = settings;
        self.apply_download_settings(&settings);
        Ok(settings)
    }

    fn stored(&self) -> MutexGuard<'_, Settings> {
        self.inner.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of a change, judged.
fn rows_of(change: SettingsChange) -> Result<Vec<(&'static str, String)>> {
    let mut rows = Vec::new();
    if let Some(count) = change.max_concurrent_downloads {
        if !CONCURRENT.contains(&count) {
            let message = format!("`max_concurrent` must be from 1 to 10, not `{count}`");
            return Err(Error::invalid("out_of_bounds", "max_concurrent", message));
        }
        rows.push((MAX_CONCURRENT, count.to_string()));
    }
    if let Some(limit) = change.bandwidth_bytes_per_second {
        if limit == Some(0) {
            let message = "`bandwidth` must be more than 0 bytes per second; `null` lifts the limit";
            return Err(Error::invalid("out_of_bounds", "bandwidth", message));
        }
        rows.push((BANDWIDTH, limit.map_or(UNLIMITED.to_owned(), |bytes| bytes.to_string())));
    }
    if let Some(is_paused) = change.downloads_paused {
        rows.push((PAUSED, is_paused.to_string()));
    }
    if let Some(bytes) = change.max_upload_bytes {
        if bytes == 0 {
            let message = "`max_upload_bytes` must be more than 0";
            return Err(Error::invalid("out_of_bounds", MAX_UPLOAD, message));
        }
        rows.push((MAX_UPLOAD, bytes.to_string()));
    }
    if let Some(days) = change.bin_days {
        if !DAYS.contains(&days) {
            let message = format!("`bin_days` must be from 0 to {}, not `{days}`", DAYS.end());
            return Err(Error::invalid("out_of_bounds", BIN_DAYS, message));
        }
        rows.push((BIN_DAYS, days.to_string()));
    }
    Ok(rows)
}
