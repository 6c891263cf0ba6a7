//! What can go wrong, by meaning.
//!
//! One enum for the whole product. A surface turns it into a status and its own envelope; it never needs to know
//! which library failed. `Internal` carries its cause for the log and shows none of it to a caller.

use std::fmt;

/// The result of every service method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A kind of thing that can be missing; surfaces choose the words of their contract by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A catalog entry, named by file.
    Entry,
    /// An edit of entries, named by its id.
    Edit,
    /// A download job.
    Download,
    /// An item of the bin.
    BinItem,
    /// A quarantined file.
    Quarantined,
    /// A file on disk.
    File,
    /// A run of a long task, such as a verification.
    Task,
    /// A version on CivitAI, named by its id.
    Version,
    /// An image of the gallery, named by its id.
    Image,
    /// A team, named by id or name.
    Team,
    /// A key of a team, named by id or by its first characters.
    TeamKey,
    /// An upload in pieces, named by its id.
    Upload,
    /// An evaluation, named by its id.
    Evaluation,
    /// A generation of pictures, named by its id.
    Generation,
    /// A style, named by its id or slug.
    Style,
    /// A pair of LoRAs, named by its id.
    Pair,
}

/// Everything that a service method can refuse or fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named thing does not exist (or the caller may not know that it does).
    #[error("{thing} `{name}` was not found")]
    NotFound {
        /// What was looked for.
        thing: Thing,
        /// The name it was looked for by.
        name: String,
    },
    /// The request is fine but the present state forbids it.
    #[error("{message}")]
    Conflict {
        /// Stable machine-readable code, `snake_case`.
        code: &'static str,
        /// What is in the way, for people.
        message: String,
    },
    /// The input is wrong; nothing was changed.
    #[error("{}", .0)]
    Invalid(Invalid),
    /// The content is larger than this installation takes.
    #[error("{message}")]
    TooLarge {
        /// What the limit is.
        message: String,
    },
    /// The content may be a program; it was kept in quarantine.
    #[error("{message}")]
    Quarantined {
        /// Why, and what can be done.
        message: String,
        /// SHA-256 of the content, by which an admin may release it.
        sha256: String,
    },
    /// The caller may not do this.
    #[error("{message}")]
    Denied {
        /// What right is missing.
        message: String,
    },
    /// Too much at once; trying again later can work.
    #[error("{message}")]
    Busy {
        /// What is exhausted.
        message: String,
        /// When to come back, seconds.
        retry_after_seconds: Option<u64>,
    },
    /// CivitAI, Hugging Face or another server answered badly or not at all.
    #[error("{message}")]
    Upstream {
        /// Stable machine-readable code, `snake_case`, such as `login_required` or `gated`.
        code: &'static str,
        /// The status it answered with, if it answered.
        status: Option<u16>,
        /// What happened and what the user can do.
        message: String,
    },
    /// This installation cannot do it now: full disk, read-only folder, nothing configured.
    #[error("{message}")]
    Unavailable {
        /// Stable machine-readable code, `snake_case`, such as `disk_full`.
        code: &'static str,
        /// What is missing and what to do.
        message: String,
    },
    /// A defect or a failing part; the cause is for the log only.
    #[error("{context}")]
    Internal {
        /// What was being done.
        context: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A refused input: where it is, what is wrong, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Stable machine-readable code, `snake_case`, such as `unsafe_name`.
    pub code: &'static str,
    /// The field, as the caller named it.
    pub field: String,
    /// What is wrong with the value, naming it.
    pub message: String,
    /// A value that would be accepted.
    pub suggestion: Option<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; try `{suggestion}`"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entry => "entry",
            Self::Edit => "edit",
            Self::Download => "download",
            Self::BinItem => "bin item",
            Self::Quarantined => "quarantined file",
            Self::File => "file",
            Self::Task => "task",
            Self::Version => "version",
            Self::Image => "image",
            Self::Team => "team",
            Self::TeamKey => "key",
            Self::Upload => "upload",
            Self::Evaluation => "evaluation",
            Self::Generation => "generation",
            Self::Style => "style",
            Self::Pair => "pair",
        })
    }
}

impl Error {
    /// A missing thing.
    pub fn not_found(thing: Thing, name: impl Into<String>) -> Self {
        Self::NotFound { thing, name: name.into() }
    }

    /// A refused input without a suggestion.
    pub fn invalid(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(Invalid { code, field: field.into(), message: message.into(), suggestion: None })
    }

    /// A state that forbids the request.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into() }
    }

    /// A failing part, with what was being done.
    pub fn internal(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Internal { context: context.into(), source: source.into() }
    }

    /// The stable code of this error, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Conflict { code, .. } | Self::Unavailable { code, .. } | Self::Upstream { code, .. } => {
                code
            }
            Self::Invalid(invalid) => invalid.code,
            Self::TooLarge { .. } => "too_large",
            Self::Quarantined { .. } => "quarantined",
            Self::Denied { .. } => "denied",
            Self::Busy { .. } => "busy",
            Self::Internal { .. } => "internal",
        }
    }
}

/// An error with everything that caused it, in one line; for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// What SQLite says of its disk: `SQLITE_FULL` (13), `SQLITE_READONLY` (8), `SQLITE_CANTOPEN` (14), extended codes
/// included. PostgreSQL's codes have five characters, and `53100` is its full disk.
pub(crate) fn full_or_read_only(error: &sqlx::Error) -> Option<Error> {
    let code = error.as_database_error()?.code()?;
    let primary = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xff);
    let (code, message) = match (primary, code.as_ref()) {
        (Some(13), _) | (None, "53100") => {
            ("disk_full", "the disk of the database is full; free some space and try again")
        }
        (Some(8 | 14), _) => (
            "not_writable",
            "the database cannot be written; check who owns its folder and whether it is mounted read-only",
        ),
        _ => return None,
    };
    Some(Error::Unavailable { code, message: message.to_owned() })
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::PoolTimedOut => Self::Busy {
                message: "the database is busy, try again in a moment".into(),
                retry_after_seconds: Some(2),
            },
            other => {
                full_or_read_only(&other).unwrap_or_else(|| Self::internal("the database failed", other))
            }
        }
    }
}
