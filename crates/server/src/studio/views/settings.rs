//! Settings and checks of the installation.

use lorakeep_registry::{Check, CheckOutcome, Settings};
use schemars::JsonSchema;
use serde::Serialize;

/// The settings in force; the first two are one, under both names that clients know.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct SettingsView {
    max_concurrent: u32,
    max_concurrent_downloads: u32,
    bandwidth: Option<u64>,
    downloads_paused: bool,
    max_upload_bytes: u64,
    bin_days: u32,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        Self {
            max_concurrent: settings.max_concurrent_downloads,
            max_concurrent_downloads: settings.max_concurrent_downloads,
            bandwidth: settings.bandwidth_bytes_per_second,
            downloads_paused: settings.downloads_paused,
            max_upload_bytes: settings.max_upload_bytes,
            bin_days: settings.bin_days,
        }
    }
}

/// All checks.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct DoctorView {
    checks: Vec<CheckView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DoctorCheck")]
struct CheckView {
    name: &'static str,
    outcome: &'static str,
    message: String,
    hint: Option<String>,
}

impl From<Vec<Check>> for DoctorView {
    fn from(checks: Vec<Check>) -> Self {
        Self { checks: checks.into_iter().map(CheckView::from).collect() }
    }
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        let outcome = match check.outcome {
            CheckOutcome::Ok => "ok",
            CheckOutcome::Warning => "warning",
            CheckOutcome::Failed => "failed",
        };
        Self { name: check.name, outcome, message: check.message, hint: check.hint }
    }
}
