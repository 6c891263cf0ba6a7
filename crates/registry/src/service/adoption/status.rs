//! What an adoption is asked for and where it stands, also as it is stored.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::report::AdoptionReport;
use crate::domain::SidecarFlavour;
use crate::store::StoredAdoption;

/// What to adopt and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdoptionRequest {
    /// The folder, absolute.
    pub path: PathBuf,
    /// Only say what would be taken.
    pub is_dry: bool,
    /// Make entries of model files that no catalog knows.
    pub unlisted: bool,
    /// Sidecars to write beside the models of entries, for other programs.
    pub sidecars: Vec<SidecarFlavour>,
}

/// The same as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredRequest {
    unlisted: bool,
    sidecars: Vec<String>,
}

impl AdoptionRequest {
    /// As it is stored, without its path.
    pub(super) fn to_stored(&self) -> String {
        let sidecars = self.sidecars.iter().map(|flavour| flavour.as_str().to_owned()).collect();
        let stored = StoredRequest { unlisted: self.unlisted, sidecars };
        serde_json::to_string(&stored).expect("words and flags are always JSON")
    }
}

/// Where an adoption stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptionState {
    /// There was none.
    Idle,
    /// It runs.
    Running,
    /// A killed process left it; the server goes on with it when it starts, and so does asking for it again.
    Interrupted,
    /// Everything was taken.
    Done,
    /// Somebody stopped it; what was taken stays.
    Cancelled,
    /// It could not go on; what was taken stays.
    Failed,
}

/// The present or last adoption.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptionStatus {
    /// Where it stands.
    pub state: AdoptionState,
    /// What was asked for; `None` before the first.
    pub request: Option<AdoptionRequest>,
    /// What is being taken: `catalogs`, `gallery`, `repository`, …
    pub phase: &'static str,
    /// Steps of this part that are done.
    pub done: u64,
    /// Steps of this part.
    pub total: u64,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<String>,
    /// What came of it; `None` while it runs.
    pub report: Option<Arc<AdoptionReport>>,
}

impl AdoptionState {
    const ENDS: [Self; 3] = [Self::Done, Self::Cancelled, Self::Failed];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl AdoptionStatus {
    pub(super) fn idle() -> Self {
        Self {
            state: AdoptionState::Idle,
            request: None,
            phase: "",
            done: 0,
            total: 0,
            started_at: None,
            finished_at: None,
            error: None,
            report: None,
        }
    }
}

/// What an earlier adoption was asked for.
pub(super) fn request_of(stored: &StoredAdoption) -> AdoptionRequest {
    // What another version asked for differently is at least looked at again.
    let StoredRequest { unlisted, sidecars } = serde_json::from_str(&stored.request).unwrap_or_default();
    AdoptionRequest {
        path: PathBuf::from(&stored.path),
        is_dry: false,
        unlisted,
        sidecars: sidecars.iter().filter_map(|word| SidecarFlavour::parse(word)).collect(),
    }
}

/// Where an earlier adoption stands.
pub(super) fn status_of(stored: &StoredAdoption) -> AdoptionStatus {
    let state = AdoptionState::ENDS.into_iter().find(|state| state.as_str() == stored.state);
    let report = stored.report.as_deref().and_then(|text| serde_json::from_str(text).ok());
    AdoptionStatus {
        state: state.unwrap_or(AdoptionState::Interrupted),
        request: Some(request_of(stored)),
        started_at: Some(stored.started_at),
        finished_at: stored.finished_at,
        error: stored.error.clone(),
        report: report.map(Arc::new),
        ..AdoptionStatus::idle()
    }
}
