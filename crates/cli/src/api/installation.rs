//! Settings, checks, health.

use serde::Deserialize;
use serde_json::Value;

use super::{Api, Reply};
use crate::failure::Result;

/// What can be changed while it runs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    pub(crate) max_concurrent: u64,
    /// Bytes per second; `None` is unlimited.
    #[serde(default)]
    pub(crate) bandwidth: Option<u64>,
    #[serde(default)]
    pub(crate) downloads_paused: bool,
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

    /// Checks the installation.
    pub(crate) async fn doctor(&self) -> Result<Reply<Doctor>> {
        self.get("/api/admin/doctor").await
    }

    /// How it is.
    pub(crate) async fn health(&self) -> Result<Reply<Health>> {
        self.get("/api/health").await
    }
}
