//! Why a command could not do what it was asked: one clear line, what to do about it, and the causes for `-v`.

use std::fmt;

/// A command's refusal or failure, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One line: what went wrong, naming the thing.
    pub(crate) message: String,
    /// What the user can do, when there is something.
    pub(crate) hint: Option<String>,
    /// What lies below, outermost first.
    pub(crate) causes: Vec<String>,
    /// What it means for the exit code.
    pub(crate) kind: FailureKind,
}

/// What a failure means for the caller of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It was tried and did not work: exit code 1.
    Failed,
    /// It was asked for wrongly, and nothing was tried: exit code 2.
    Usage,
    /// The reader of standard output went away, as `head` does: nothing to say, exit code 0.
    OutputClosed,
}

/// What commands return.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// It was tried and did not work.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, causes: Vec::new(), kind: FailureKind::Failed }
    }

    /// It was asked for wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, ..Self::new(message) }
    }

    /// Writing to standard output or standard error failed.
    pub(crate) fn from_write(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { kind: FailureKind::OutputClosed, ..Self::new("the output was closed") };
        }
        Self::new("cannot write the output").caused_by(error)
    }

    /// Adds what the user can do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds an error and everything below it.
    #[must_use]
    pub(crate) fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
