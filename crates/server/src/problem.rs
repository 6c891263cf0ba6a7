//! What an error of the registry means in HTTP: the one translation for every surface. A surface only chooses the
//! envelope, and the words that its contract fixes.

use std::fmt::Write;

use http::{HeaderName, HeaderValue, StatusCode};
use lorakeep_registry::Error;

/// An error as a caller may see it, and as the log does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// Stable, `snake_case`.
    pub(crate) code: &'static str,
    /// For people; never a cause from inside.
    pub(crate) detail: String,
    /// A value that would be accepted.
    pub(crate) suggestion: Option<String>,
    pub(crate) retry_after_seconds: Option<u64>,
    /// Headers that a protocol wants beside it.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What the log says of it beyond the detail.
    pub(crate) cause: Option<String>,
}

/// When to come back if nobody knows better.
const RETRY_AFTER_SECONDS: u64 = 2;
/// All that a caller learns of a defect.
pub(crate) const DEFECT: &str = "Internal Server Error";

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            suggestion: None,
            retry_after_seconds: None,
            headers: Vec::new(),
            cause: None,
        }
    }

    /// A failure that is ours; `cause` goes to the log only.
    pub(crate) fn defect(cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", DEFECT) }
    }

    /// Too much at once.
    pub(crate) fn busy(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail)
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let new = |status| Self::new(status, error.code(), error.to_string());
        match error {
            Error::NotFound { .. } => new(StatusCode::NOT_FOUND),
            Error::Conflict { .. } => new(StatusCode::CONFLICT),
            Error::Invalid(invalid) => {
                let detail = invalid.message.clone();
                Self { detail, suggestion: invalid.suggestion.clone(), ..new(StatusCode::BAD_REQUEST) }
            }
            Error::TooLarge { .. } => new(StatusCode::PAYLOAD_TOO_LARGE),
            Error::Quarantined { .. } => new(StatusCode::UNPROCESSABLE_ENTITY),
            Error::Denied { .. } => new(StatusCode::FORBIDDEN),
            Error::Busy { retry_after_seconds, .. } => {
                Self::busy(error.to_string(), retry_after_seconds.unwrap_or(RETRY_AFTER_SECONDS))
            }
            Error::Upstream { .. } => new(StatusCode::BAD_GATEWAY),
            Error::Unavailable { code: "disk_full", .. } => new(StatusCode::INSUFFICIENT_STORAGE),
            Error::Unavailable { .. } => new(StatusCode::SERVICE_UNAVAILABLE),
            Error::Internal { .. } => Self::defect(chain(error)),
        }
    }
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string does not fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use lorakeep_registry::error::{Invalid, Thing};

    use super::*;

    #[test]
    fn each_meaning_has_its_status_and_code() {
        let unavailable = |code| Error::Unavailable { code, message: "no".into() };
        let cases = [
            (Error::not_found(Thing::Entry, "a"), 404, "not_found"),
            (Error::conflict("file_present", "no"), 409, "file_present"),
            (Error::invalid("unsafe_name", "file", "no"), 400, "unsafe_name"),
            (Error::TooLarge { message: "no".into() }, 413, "too_large"),
            (Error::Quarantined { message: "no".into(), sha256: "00".into() }, 422, "quarantined"),
            (Error::Denied { message: "no".into() }, 403, "denied"),
            (Error::Busy { message: "no".into(), retry_after_seconds: None }, 429, "busy"),
            (Error::Upstream { code: "gated", status: Some(500), message: "no".into() }, 502, "gated"),
            (unavailable("disk_full"), 507, "disk_full"),
            (unavailable("not_configured"), 503, "not_configured"),
            (Error::internal("reading", std::io::Error::other("secret")), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let problem = Problem::from(&error);
            assert_eq!((problem.status.as_u16(), problem.code), (status, code), "{error:?}");
        }
    }

    #[test]
    fn a_defect_shows_its_cause_to_the_log_alone() {
        let problem = Problem::from(&Error::internal("reading the catalog", std::io::Error::other("secret")));
        assert_eq!(problem.detail, "Internal Server Error");
        assert_eq!(problem.cause.as_deref(), Some("reading the catalog: secret"));
    }

    #[test]
    fn a_suggestion_stands_beside_the_detail() {
        let invalid = Invalid {
            code: "unsafe_name",
            field: "file".into(),
            message: "file `../a` holds `/`".into(),
            suggestion: Some("a".into()),
        };
        let problem = Problem::from(&Error::Invalid(invalid));
        assert_eq!(
            (problem.detail.as_str(), problem.suggestion.as_deref()),
            ("file `../a` holds `/`", Some("a"))
        );
    }
}
