//! Why a scan stopped: the rule that a file broke, and the same for a person.

use std::io;

/// A refusal. Whatever ends a scan before its end is one, also an error of reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// One word with underscores, stable.
    pub(crate) rule: &'static str,
    /// What was met, in the words of a person.
    pub(crate) reason: String,
}

impl Denial {
    pub(crate) fn new(rule: &'static str, reason: impl Into<String>) -> Self {
        Self { rule, reason: reason.into() }
    }
}

impl From<io::Error> for Denial {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::new("truncated", "it ends in the middle");
        }
        Self::new("unreadable", format!("it cannot be read: {error}"))
    }
}

/// What a scan answers.
pub(crate) type Checked<T> = Result<T, Denial>;

/// Ends a scan with a rule and a text.
pub(crate) fn deny<T>(rule: &'static str, reason: impl Into<String>) -> Checked<T> {
    Err(Denial::new(rule, reason))
}
