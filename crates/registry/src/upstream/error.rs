//! Why an upstream did not give what was asked for, with what the user can do.

use std::time::Duration;

use crate::error::Error;

/// A "no" or a failure of CivitAI, Hugging Face or another server; the text never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct UpstreamError {
    /// Stable code, `snake_case`.
    pub(crate) code: &'static str,
    /// The status it answered with, if it answered.
    pub(crate) status: Option<u16>,
    /// What happened and what the user can do.
    pub(crate) message: String,
    /// Whether trying again later can help without anybody doing anything.
    pub(crate) is_transient: bool,
    /// When it may be asked again, as far as it said so.
    pub(crate) retry_after: Option<Duration>,
}

impl UpstreamError {
    /// A final "no".
    pub(crate) fn refused(
        code: &'static str,
        status: impl Into<Option<u16>>,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self { code, status: status.into(), message, is_transient: false, retry_after: None }
    }

    /// Trouble that may pass.
    pub(crate) fn passing(
        code: &'static str,
        status: impl Into<Option<u16>>,
        message: impl Into<String>,
    ) -> Self {
        Self { is_transient: true, ..Self::refused(code, status, message) }
    }
}

impl From<UpstreamError> for Error {
    fn from(error: UpstreamError) -> Self {
        match error.retry_after {
            Some(wait) => {
                Self::Busy { message: error.message, retry_after_seconds: Some(wait.as_secs().max(1)) }
            }
            None => Self::Upstream { code: error.code, status: error.status, message: error.message },
        }
    }
}
