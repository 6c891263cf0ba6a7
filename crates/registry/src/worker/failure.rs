//! Why a try failed: a stable code, a text that says what to do, and whether it may pass by itself.

use std::time::Duration;

use lorakeep_transfer::TransferError;

use crate::error::Error;
use crate::upstream::UpstreamError;
use crate::upstream::source::Source;

/// A failed try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
    /// Whether the same may succeed later without anybody doing anything.
    pub(super) is_transient: bool,
    /// How long to wait at least.
    pub(super) wait: Option<Duration>,
}

impl Failure {
    /// One that stays until somebody does something.
    pub(super) fn lasting(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), is_transient: false, wait: None }
    }

    /// Explains a transfer's error; `source` knows what a refusal means.
    pub(super) fn of_transfer(error: &TransferError, source: &Source) -> Self {
        match error {
            TransferError::Refused(refusal) => source.explain(refusal).into(),
            TransferError::HashMismatch { .. } => {
                metrics::counter!("lorakeep_verification_failures_total").increment(1);
                Self::lasting(error.code(), error.to_string())
            }
            TransferError::Delayed { reason, wait } => {
                Self { is_transient: true, wait: Some(*wait), ..Self::lasting(error.code(), reason.clone()) }
            }
            TransferError::Internal(_) => {
                tracing::error!(%error, "the transfer engine failed");
                Self::lasting("internal", "an internal error occurred; the log says more")
            }
            _ => {
                Self { is_transient: error.is_transient(), ..Self::lasting(error.code(), error.to_string()) }
            }
        }
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self {
            code: error.code.to_owned(),
            is_transient: error.is_transient,
            wait: error.retry_after,
            message: error.message,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Internal { source, .. } = &error {
            tracing::error!(%error, %source, "a download failed");
        }
        let is_transient = matches!(error, Error::Busy { .. });
        Self { is_transient, ..Self::lasting(error.code(), error.to_string()) }
    }
}
