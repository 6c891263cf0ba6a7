//! Settings by the names of their environment variables: keys of upstreams and limits that can be changed while the
//! server runs. What was set here stands before the configuration, also after a restart. Secrets go in and never come
//! out: they are in a file for its owner alone, and answers show that they are set and how they end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::settings::{BANDWIDTH, BIN_DAYS, MAX_CONCURRENT, MAX_UPLOAD, UNLIMITED};
use super::{Registry, SettingsChange};
use crate::error::{Error, Result};
use crate::files::{read_secrets, write_secrets};
use crate::upstream::Keyring;

/// One of these settings as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSetting {
    /// The name of the environment variable.
    pub key: &'static str,
    /// The value; never that of a secret.
    pub value: Option<String>,
    /// Whether the value is a secret.
    pub is_secret: bool,
    /// Whether there is a value.
    pub is_set: bool,
    /// The last four characters of a secret that is long enough to show them.
    pub ending: Option<String>,
    /// Who said it: `setting` (here), `environment`, `file`, `flag` or `default`.
    pub origin: &'static str,
}

/// What can be set.
const KEYS: [&str; 6] = [
    CIVITAI_API_KEY,
    HF_TOKEN,
    MAX_CONCURRENT_DOWNLOADS,
    LORAKEEP_BANDWIDTH,
    LORAKEEP_MAX_UPLOAD_BYTES,
    LORAKEEP_BIN_DAYS,
];
const CIVITAI_API_KEY: &str = "CIVITAI_API_KEY";
const HF_TOKEN: &str = "HF_TOKEN";
const MAX_CONCURRENT_DOWNLOADS: &str = "MAX_CONCURRENT_DOWNLOADS";
const LORAKEEP_BANDWIDTH: &str = "LORAKEEP_BANDWIDTH";
const LORAKEEP_MAX_UPLOAD_BYTES: &str = "LORAKEEP_MAX_UPLOAD_BYTES";
const LORAKEEP_BIN_DAYS: &str = "LORAKEEP_BIN_DAYS";
/// Characters of a secret at most.
const LONGEST_SECRET: usize = 512;
/// A secret whose ending may be shown has at least so many characters.
const SHOWN_FROM: usize = 16;

/// Secrets that were set here, by key.
pub(crate) type Secrets = tokio::sync::Mutex<BTreeMap<String, SecretString>>;

impl Registry {
    /// Puts the secrets that were set here into force; part of `open`.
    pub(crate) async fn open_secrets(&self) -> Result<()> {
        let path = self.secrets_path();
        let read = self.blocking("reading the secrets", move || read_secrets(&path)).await?;
        let secrets = read.map_err(|error| {
            let message = format!(
                "`{}` cannot be read ({error}); repair it, or remove it and set the keys again",
                self.secrets_path().display()
            );
            Error::Unavailable { code: "bad_secrets", message }
        })?;
        for key in [CIVITAI_API_KEY, HF_TOKEN] {
            if let (Some(keyring), Some(secret)) = (self.keyring(key), secrets.get(key)) {
                keyring.replace(Some(secret.clone()));
            }
        }
        *self.inner.studio.secrets.lock().await = secrets;
        Ok(())
    }

    /// Every one of these settings.
    pub async fn env_settings(&self) -> Result<Vec<EnvSetting>> {
        let changed = self.changed_settings().await?;
        let secrets = self.inner.studio.secrets.lock().await;
        Ok(KEYS.into_iter().map(|key| self.env_setting(key, &changed, &secrets)).collect())
    }

    /// Sets one, in force at once; without a value what the configuration says counts again.
    ///
    /// `Invalid` for a key that cannot be set here and for a value out of bounds; a refused secret is not repeated.
    pub async fn set_env(&self, key: &str, value: Option<&str>) -> Result<EnvSetting> {
        let key = KEYS.into_iter().find(|known| *known == key).ok_or_else(|| unknown_key(key))?;
        let value = value.map(str::trim).filter(|value| !value.is_empty());
        match (limit_row(key), value) {
            (None, value) => self.set_secret(key, value).await?,
            (Some(row), None) => drop(self.forget_setting(row).await?),
            (Some(_), Some(value)) => drop(self.change_settings(limit_change(key, value)?).await?),
        }
        tracing::info!(key, is_set = value.is_some(), "a setting was changed");
        let changed = self.changed_settings().await?;
        Ok(self.env_setting(key, &changed, &*self.inner.studio.secrets.lock().await))
    }

    async fn set_secret(&self, key: &'static str, value: Option<&str>) -> Result<()> {
        let secret = value.map(|text| judged_secret(key, text)).transpose()?;
        // Held until the file is written, so that two changes cannot undo each other.
        let mut secrets = self.inner.studio.secrets.lock().await;
        let mut wanted = secrets.clone();
        match &secret {
            Some(secret) => drop(wanted.insert(key.to_owned(), secret.clone())),
            None => drop(wanted.remove(key)),
        }
        let (path, written) = (self.secrets_path(), wanted.clone());
        self.blocking("writing the secrets", move || write_secrets(&path, &written))
            .await?
            .map_err(|error| crate::files::io_error("the file of secrets", error))?;
        *secrets = wanted;
        if let Some(keyring) = self.keyring(key) {
            keyring.replace(secret.or_else(|| self.configured_secret(key)));
        }
        Ok(())
    }

    fn env_setting(
        &self,
        key: &'static str,
        changed: &[String],
        secrets: &BTreeMap<String, SecretString>,
    ) -> EnvSetting {
        let Some(row) = limit_row(key) else { return self.secret_setting(key, secrets) };
        let settings = self.settings();
        let value = match (key, settings.bandwidth_bytes_per_second) {
            (MAX_CONCURRENT_DOWNLOADS, _) => settings.max_concurrent_downloads.to_string(),
            (LORAKEEP_MAX_UPLOAD_BYTES, _) => settings.max_upload_bytes.to_string(),
            (LORAKEEP_BIN_DAYS, _) => settings.bin_days.to_string(),
            (_, limit) => limit.map_or_else(|| UNLIMITED.to_owned(), |bytes| bytes.to_string()),
        };
        let origin = if changed.iter().any(|name| name == row) { "setting" } else { self.origin_of(key) };
        EnvSetting { key, value: Some(value), is_secret: false, is_set: true, ending: None, origin }
    }

    fn secret_setting(&self, key: &'static str, secrets: &BTreeMap<String, SecretString>) -> EnvSetting {
        let own = secrets.get(key);
        let secret = own.cloned().or_else(|| self.configured_secret(key));
        EnvSetting {
            key,
            value: None,
            is_secret: true,
            is_set: secret.is_some(),
            ending: secret.as_ref().and_then(ending),
            origin: if own.is_some() { "setting" } else { self.origin_of(key) },
        }
    }

    fn origin_of(&self, key: &str) -> &'static str {
        let shown = self.inner.config.shown().iter().find(|shown| shown.environment == Some(key));
        shown.map_or("default", |shown| shown.origin.as_str())
    }

    fn configured_secret(&self, key: &str) -> Option<SecretString> {
        let config = &self.inner.config;
        if key == CIVITAI_API_KEY { config.civitai.token.clone() } else { config.huggingface.token.clone() }
    }

    fn keyring(&self, key: &str) -> Option<&Keyring> {
        let upstreams = &self.inner.jobs.upstreams;
        match key {
            CIVITAI_API_KEY => Some(&upstreams.civitai.keyring),
            HF_TOKEN => Some(&upstreams.huggingface.keyring),
            _ => None,
        }
    }

    fn secrets_path(&self) -> PathBuf {
        self.inner.config.data_dir.join("secrets.json")
    }
}

/// The stored row of a limit; secrets have none.
fn limit_row(key: &str) -> Option<&'static str> {
    match key {
        MAX_CONCURRENT_DOWNLOADS => Some(MAX_CONCURRENT),
        LORAKEEP_BANDWIDTH => Some(BANDWIDTH),
        LORAKEEP_MAX_UPLOAD_BYTES => Some(MAX_UPLOAD),
        LORAKEEP_BIN_DAYS => Some(BIN_DAYS),
        _ => None,
    }
}

fn limit_change(key: &str, value: &str) -> Result<SettingsChange> {
    let mut change = SettingsChange::default();
    match key {
        MAX_CONCURRENT_DOWNLOADS => change.max_concurrent_downloads = Some(number(key, value)?),
        LORAKEEP_MAX_UPLOAD_BYTES => change.max_upload_bytes = Some(number(key, value)?),
        LORAKEEP_BIN_DAYS => change.bin_days = Some(number(key, value)?),
        _ if value == UNLIMITED => change.bandwidth_bytes_per_second = Some(None),
        _ => change.bandwidth_bytes_per_second = Some(Some(number(key, value)?)),
    }
    Ok(change)
}

fn unknown_key(key: &str) -> Error {
    let message = format!("`{key}` cannot be set while the server runs; what can be is {}", quoted(&KEYS));
    Error::invalid("unknown_setting", "key", message)
}

fn quoted(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn number<N: std::str::FromStr>(key: &str, text: &str) -> Result<N> {
    text.parse().map_err(|_| {
        Error::invalid("out_of_bounds", "value", format!("`{key}` must be a whole number, not `{text}`"))
    })
}

/// Visible characters alone, as a header can carry; the text never stands in the refusal.
fn judged_secret(key: &str, text: &str) -> Result<SecretString> {
    if text.len() <= LONGEST_SECRET && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.into());
    }
    let message = format!(
        "the value for `{key}` is no key: a key has at most {LONGEST_SECRET} letters, digits and signs, and no spaces"
    );
    Err(Error::invalid("bad_secret", "value", message))
}

fn ending(secret: &SecretString) -> Option<String> {
    let text = secret.expose_secret();
    (text.len() >= SHOWN_FROM && text.is_ascii()).then(|| text[text.len() - 4..].to_owned())
}
