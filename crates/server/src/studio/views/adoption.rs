//! An adoption, and how far the hashing is.

use std::sync::Arc;

use lorakeep_registry::{AdoptionReport, AdoptionStatus, HashingProgress};
use schemars::JsonSchema;
use serde::Serialize;

use super::{percent, time};

/// The present or last adoption.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::studio) struct AdoptionView {
    state: &'static str,
    path: Option<String>,
    dry_run: bool,
    unlisted: bool,
    sidecars: Vec<&'static str>,
    phase: &'static str,
    done: u64,
    total: u64,
    percent: Option<f64>,
    started_at: Option<String>,
    finished_at: Option<String>,
    error: Option<String>,
    report: Option<Report>,
    hashing: HashingView,
}

/// The report has one form wherever it is stored or shown.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Report(#[serde(serialize_with = "whole")] Arc<AdoptionReport>);

#[derive(Debug, Serialize, JsonSchema)]
struct HashingView {
    is_running: bool,
    current: Option<String>,
    done_files: u64,
    done_bytes: u64,
    left_files: u64,
    left_bytes: u64,
    failed_files: u64,
}

fn whole<S: serde::Serializer>(report: &Arc<AdoptionReport>, serializer: S) -> Result<S::Ok, S::Error> {
    report.as_ref().serialize(serializer)
}

impl AdoptionView {
    pub(in crate::studio) fn new(status: AdoptionStatus, hashing: HashingProgress) -> Self {
        let request = status.request.unwrap_or_default();
        let path = request.path.display().to_string();
        Self {
            state: status.state.as_str(),
            path: Some(path).filter(|path| !path.is_empty()),
            dry_run: request.is_dry,
            unlisted: request.unlisted,
            sidecars: request.sidecars.iter().map(|flavour| flavour.as_str()).collect(),
            phase: status.phase,
            done: status.done,
            total: status.total,
            percent: percent(status.done, status.total),
            started_at: status.started_at.map(time),
            finished_at: status.finished_at.map(time),
            error: status.error,
            report: status.report.map(Report),
            hashing: hashing.into(),
        }
    }
}

impl From<HashingProgress> for HashingView {
    fn from(progress: HashingProgress) -> Self {
        let HashingProgress {
            is_running,
            current,
            done_files,
            done_bytes,
            left_files,
            left_bytes,
            failed_files,
        } = progress;
        Self { is_running, current, done_files, done_bytes, left_files, left_bytes, failed_files }
    }
}
