//! How a transfer can fail: by meaning, with a stable code, and never with a secret in the text.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::Sha256Digest;
use crate::masked_url::MaskedUrl;

/// Why a transfer ended without a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The server said no, and asking again will not help.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The content is not what was promised, also after a clean second try.
    #[error(
        "the content has the sha-256 `{actual}` and not the expected `{expected}`, twice in a row; \
         the file at the source is damaged or was replaced"
    )]
    HashMismatch {
        /// What was promised.
        expected: Sha256Digest,
        /// What came.
        actual: Sha256Digest,
    },
    /// The file has another size than promised.
    #[error("the file at `{url}` has {actual} bytes and not the expected {expected}; look it up again")]
    SizeMismatch {
        /// Where it was asked for.
        url: MaskedUrl,
        /// Bytes that were promised.
        expected: u64,
        /// Bytes that the server has.
        actual: u64,
    },
    /// The file does not fit. What is there stays, so that the transfer goes on when there is room.
    #[error(
        "the disk of `{}` is full: {needed} bytes are needed and {free} are free; free some space and retry",
        path.display()
    )]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// Bytes that are still to be written, with the reserve.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The folder cannot be written to.
    #[error("`{}` cannot be written: {source}; check the folder's owner, rights and mount", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file operation failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as in "cannot …".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What came is plainly something else than a model file.
    #[error("`{url}` sends {what}{} where a model file is expected; open the address in a browser", title_text(title.as_deref()))]
    NotAModel {
        /// Where it came from.
        url: MaskedUrl,
        /// What it is, such as "an HTML page".
        what: &'static str,
        /// A page's title when it has one.
        title: Option<String>,
    },
    /// More redirects than a real download has, or a circle.
    #[error("`{url}` was redirected more than {limit} times; the address leads in a circle")]
    TooManyRedirects {
        /// The address asked for first.
        url: MaskedUrl,
        /// How many are followed.
        limit: usize,
    },
    /// The address, or one that it leads to, may not be asked.
    #[error("`{url}` may not be asked: {reason}")]
    ForbiddenAddress {
        /// The forbidden address as it was written, never as it was resolved.
        url: MaskedUrl,
        /// The rule.
        reason: AddressRule,
    },
    /// The server compresses although it was asked not to.
    #[error("`{url}` sends the file encoded as `{encoding}`; ranges and sizes mean nothing then")]
    Encoded {
        /// Where it came from.
        url: MaskedUrl,
        /// The value of `Content-Encoding`.
        encoding: String,
    },
    /// The answers contradict each other also after a fresh start.
    #[error("`{url}` gives answers that do not fit together: {detail}; try again later")]
    Inconsistent {
        /// Where it came from.
        url: MaskedUrl,
        /// What did not fit.
        detail: String,
    },
    /// The server neither says how long the file is nor when it ends, and nothing else is known.
    #[error("`{url}` does not say how long the file is; it can only be fetched with a known size or sha-256")]
    UnknownLength {
        /// Where it came from.
        url: MaskedUrl,
    },
    /// The server's certificate is not to be trusted.
    #[error("the certificate of `{host}` is not valid: {reason}; nothing was sent to it")]
    Certificate {
        /// The host.
        host: String,
        /// What TLS said.
        reason: String,
    },
    /// The destination is taken.
    #[error("`{}` exists already; remove it first or ask for it to be replaced", .0.display())]
    Exists(PathBuf),
    /// Another transfer is writing the same part file.
    #[error("`{}` is being written by another transfer; wait for it or cancel it", .0.display())]
    Busy(PathBuf),
    /// The gate refused the content; the file was removed.
    #[error("the file was refused: {reason}")]
    ContentRefused {
        /// The gate's reason.
        reason: String,
    },
    /// The caller cancelled. Part and journal stay for the next time.
    #[error("the transfer was cancelled")]
    Cancelled,
    /// Trouble that may pass did not pass within the budget. Part and journal stay.
    #[error("gave up after {attempts} tries in a row and {} s: {last}; it goes on from here later", elapsed.as_secs())]
    Exhausted {
        /// Failures in a row without progress.
        attempts: u32,
        /// The last failure.
        last: String,
        /// From the first byte asked for.
        elapsed: Duration,
    },
    /// The server asked for a longer pause than a transfer sits out. Part and journal stay.
    #[error("{reason} and asks to come back in {} s; it goes on from here then", wait.as_secs())]
    Delayed {
        /// Who asked for it, and how.
        reason: String,
        /// How long to stay away.
        wait: Duration,
    },
    /// The engine itself could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
    /// A task of the engine ended by a panic; a fault in the program.
    #[error("a part of the transfer engine stopped unexpectedly: {0}")]
    Internal(String),
}

/// A final "no" from a server, with what a caller needs to explain it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` answered {status}{}: {}", self.said(), self.advice())]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Who answered.
    pub url: MaskedUrl,
    /// Whether the host of the requested address answered, and not a storage host behind a redirect.
    pub first_party: bool,
    /// Whether the credential went along with the request.
    pub authenticated: bool,
    /// `X-Error-Code`, such as `GatedRepo`.
    pub error_code: Option<String>,
    /// `X-Error-Message`.
    pub error_message: Option<String>,
    /// The first 4 KiB of the body when it is text.
    pub body_start: String,
}

impl Refusal {
    fn said(&self) -> String {
        match (&self.error_code, &self.error_message) {
            (_, Some(message)) => format!(" ({message})"),
            (Some(code), None) => format!(" ({code})"),
            (None, None) => String::new(),
        }
    }

    fn advice(&self) -> &'static str {
        match (self.status, self.authenticated) {
            (401, false) => "it wants a login; configure the key or token of this host",
            (401, true) => "it does not accept the configured key or token for this file",
            (403, _) => "access is denied; the file may be gated or in early access for this account",
            (404, _) => "there is no such file; check the name and revision, or it was deleted",
            (410, _) => "the file was archived and can no longer be downloaded",
            _ => "it will not send this file",
        }
    }
}

/// Which rule an address breaks. Says nothing about what a name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressRule {
    /// Only `http` and `https` are spoken.
    #[error("only http and https are supported")]
    Scheme,
    /// `user@host` hides where an address really leads.
    #[error("addresses with a user name are not accepted")]
    UserInfo,
    /// There is no host.
    #[error("it names no host")]
    NoHost,
    /// Plain `http` to a host that is not configured.
    #[error("plain http is only used for hosts in `LORAKEEP_ALLOW_HOSTS`")]
    PlainHttp,
    /// A port other than 443 on a host that is not configured.
    #[error("ports other than 443 are only used for hosts in `LORAKEEP_ALLOW_HOSTS`")]
    Port,
    /// The host is not on the public internet.
    #[error("it is not a public address; add the host to `LORAKEEP_ALLOW_HOSTS` if it is yours")]
    NotPublic,
    /// `https` led to plain `http`.
    #[error("an encrypted address led to a plain one")]
    Downgrade,
    /// A redirect whose target is no address.
    #[error("a redirect led to something that is not an address")]
    Malformed,
}

impl TransferError {
    /// A stable word for machines: the variant in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::HashMismatch { .. } => "hash_mismatch",
            Self::SizeMismatch { .. } => "size_mismatch",
            Self::DiskFull { .. } => "disk_full",
            Self::ReadOnly { .. } => "read_only",
            Self::Io { .. } => "io",
            Self::NotAModel { .. } => "not_a_model",
            Self::TooManyRedirects { .. } => "too_many_redirects",
            Self::ForbiddenAddress { .. } => "forbidden_address",
            Self::Encoded { .. } => "encoded",
            Self::Inconsistent { .. } => "inconsistent",
            Self::UnknownLength { .. } => "unknown_length",
            Self::Certificate { .. } => "certificate",
            Self::Exists(_) => "exists",
            Self::Busy(_) => "busy",
            Self::ContentRefused { .. } => "content_refused",
            Self::Cancelled => "cancelled",
            Self::Exhausted { .. } => "exhausted",
            Self::Delayed { .. } => "delayed",
            Self::Client(_) => "client",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the same request may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Exhausted { .. } | Self::Inconsistent { .. } | Self::Busy(_) | Self::Delayed { .. }
        )
    }

    /// Wraps a failed file operation; a full disk and a read-only folder get their own meaning.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, needed: 0, free: 0 }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }
}

fn title_text(title: Option<&str>) -> String {
    title.map(|title| format!(" (`{title}`)")).unwrap_or_default()
}
