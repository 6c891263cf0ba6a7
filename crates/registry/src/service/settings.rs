//! What can be changed while it runs, and the admin key.

use std::ops::RangeInclusive;
use std::sync::{MutexGuard, PoisonError};

use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::Registry;
use crate::config::Config;
use crate::domain::Sha256;
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
}

/// What of both stands in the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// In force.
    pub(crate) settings: Settings,
    /// SHA-256 of the admin key, when one was made.
    pub(crate) admin_key: Option<Sha256>,
}

/// The names of the rows.
pub(super) const MAX_CONCURRENT: &str = "max_concurrent_downloads";
pub(super) const BANDWIDTH: &str = "bandwidth_bytes_per_second";
const PAUSED: &str = "downloads_paused";
const ADMIN_KEY: &str = "admin_key_sha256";
/// How "no limit" is stored; no row means what is configured.
const UNLIMITED: &str = "unlimited";

/// Downloads at once.
const CONCURRENT: RangeInclusive<u32> = 1..=10;
/// What a made key begins with, and how many characters follow: 256 bits.
const KEY_PREFIX: &str = "lk_";
const KEY_CHARACTERS: usize = 43;
const KEY_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Reads what is stored; a value that is out of bounds falls back to the configuration.
pub(super) async fn load(store: &Store, config: &Config) -> Result<Stored> {
    let rows = store.list_settings().await?;
    let row = |name: &str| rows.get(name).map(String::as_str);
    let downloads = &config.downloads;
    let concurrent =
        row(MAX_CONCURRENT).and_then(|text| text.parse().ok()).filter(|count| CONCURRENT.contains(count));
    let settings = Settings {
        max_concurrent_downloads: concurrent.unwrap_or(downloads.max_concurrent),
        bandwidth_bytes_per_second: match row(BANDWIDTH) {
            Some(UNLIMITED) => None,
            Some(text) => text.parse().ok().or(downloads.bandwidth_bytes_per_second),
            None => downloads.bandwidth_bytes_per_second,
        },
        downloads_paused: row(PAUSED) == Some("true"),
    };
    Ok(Stored { settings, admin_key: row(ADMIN_KEY).and_then(|text| text.parse().ok()) })
}

impl Registry {
    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.stored().settings
    }

    /// Changes settings; in force at once and after a restart.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<Settings> {
        let rows = rows_of(change)?;
        self.inner.store.save_settings(&rows).await?;
        let settings = {
            let mut stored = self.stored();
            let settings = &mut stored.settings;
            change.max_concurrent_downloads.inspect(|count| settings.max_concurrent_downloads = *count);
            change.bandwidth_bytes_per_second.inspect(|limit| settings.bandwidth_bytes_per_second = *limit);
            change.downloads_paused.inspect(|is_paused| settings.downloads_paused = *is_paused);
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
        let settings = load(&self.inner.store, &self.inner.config).await?.settings;
        self.stored().settings = settings;
        self.apply_download_settings(&settings);
        Ok(settings)
    }

    /// Whether `key` is the admin key: hashes compared in constant time; never true for an empty key.
    pub fn is_admin_key(&self, key: &[u8]) -> bool {
        let configured = self.inner.config.access.api_key.as_ref();
        let own =
            configured.map(|key| Sha256::of(key.expose_secret().as_bytes())).or(self.stored().admin_key);
        let is_equal = |own: Sha256| bool::from(own.as_bytes().ct_eq(Sha256::of(key).as_bytes()));
        !key.is_empty() && own.is_some_and(is_equal)
    }

    /// The admin key, made now and to be printed once; `None` when one was configured or made before.
    ///
    /// Only its hash is stored. Called by whatever starts the server, so that a command cannot lose the key.
    pub async fn take_first_start_key(&self) -> Result<Option<String>> {
        if self.inner.config.access.api_key.is_some() || self.stored().admin_key.is_some() {
            return Ok(None);
        }
        let key = new_key()?;
        let sha256 = Sha256::of(key.as_bytes());
        if self.inner.store.insert_setting(ADMIN_KEY, &sha256.to_string()).await? {
            self.stored().admin_key = Some(sha256);
            return Ok(Some(key));
        }
        // Another server on the same database made one in this moment; its hash is taken over.
        let stored = load(&self.inner.store, &self.inner.config).await?;
        self.stored().admin_key = stored.admin_key;
        Ok(None)
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
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
    Ok(rows)
}

/// Letters and digits alone, so that it survives every shell, header and form.
fn new_key() -> Result<String> {
    let mut key = KEY_PREFIX.to_owned();
    while key.len() < KEY_PREFIX.len() + KEY_CHARACTERS {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::internal("the system gives no random bytes", error))?;
        // Bytes from 248 on would favour the first letters.
        let usable = bytes.iter().filter(|&&byte| byte < 248);
        let characters = usable.map(|&byte| char::from(KEY_ALPHABET[usize::from(byte) % KEY_ALPHABET.len()]));
        key.extend(characters.take(KEY_PREFIX.len() + KEY_CHARACTERS - key.len()));
    }
    Ok(key)
}
