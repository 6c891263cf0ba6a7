//! Settings, checks, health.

use serde::Deserialize;
use serde_json::Value;

use super::{Api, Reply};
use crate::failure::Result;

/// What can be changed while it runs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    #[serde(default)]
    pub(crate) downloads_paused: bool,
}

/// One setting by the name of its environment variable.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EnvSetting {
    pub(crate) key: String,
    /// Never that of a secret.
    pub(crate) value: Option<String>,
    pub(crate) is_set: bool,
    /// How a secret ends that is long enough to show it.
    #[serde(default)]
    pub(crate) last4: Option<String>,
    /// `setting` (changed while it runs), `environment`, `file`, `flag` or `default`.
    pub(crate) origin: String,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    /// `ok`, `warning` or `failed`.
    pub(crate) outcome: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) hint: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Doctor {
    pub(crate) checks: Vec<Check>,
}

/// What a probe is told.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Health {
    #[serde(default)]
    pub(crate) app_version: Option<String>,
}

impl Api {
    /// The settings in force.
    pub(crate) async fn settings(&self) -> Result<Reply<Settings>> {
        self.get("/api/admin/settings").await
    }

    /// Changes some of them.
    pub(crate) async fn change_settings(&self, change: &Value) -> Result<Reply<Settings>> {
        self.put_json("/api/admin/settings", change).await
    }

    /// Keys of upstreams and limits by the names of their environment variables.
    pub(crate) async fn env_settings(&self) -> Result<Vec<Reply<EnvSetting>>> {
        self.rows("/api/admin/settings/env").await
    }

    /// Sets one of them; without a value what the configuration says counts again.
    pub(crate) async fn set_env(&self, key: &str, value: Option<&str>) -> Result<Reply<EnvSetting>> {
        self.put_json("/api/admin/settings/env", &serde_json::json!({ "key": key, "value": value })).await
    }

    /// Checks the installation.
    pub(crate) async fn doctor(&self) -> Result<Reply<Doctor>> {
        self.get("/api/admin/doctor").await
    }

    /// How it is.
    pub(crate) async fn health(&self) -> Result<Reply<Health>> {
        self.get("/api/health").await
    }
}
