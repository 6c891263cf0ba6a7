//! What is asked of the engine, and what it answers.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::digest::Sha256Digest;

/// One file to fetch.
pub struct Request {
    /// Where the file is asked for first: the first-party address, not a signed one.
    pub url: Url,
    /// Sent to the host it is bound to, and to no other.
    pub credential: Option<Credential>,
    /// Where the bytes gather: `<hidden folder>/<id>.part`. The journal lies beside it as
    /// `<id>.journal`. Best on the file system of `destination`.
    pub part: PathBuf,
    /// Where the whole, verified and admitted file appears.
    pub destination: PathBuf,
    /// What is known of the content beforehand.
    pub expected: Expected,
    /// Whether an existing file at `destination` is replaced (atomically). Otherwise it is kept and
    /// the transfer ends with [`TransferError::Exists`](crate::TransferError::Exists).
    pub replace: bool,
    /// Judges the content before it is published.
    pub gate: Arc<dyn Gate>,
}

/// What is known of a file before it is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Exact bytes. Leave it out when it is an estimate: another size ends the transfer.
    pub size: Option<u64>,
    /// Hash of the content. When it is missing and the first hop names one (`X-Linked-ETag` with 64
    /// hexadecimal digits), that one is taken.
    pub sha256: Option<Sha256Digest>,
}

/// A bearer token bound to one origin (scheme, host and port).
#[derive(Clone)]
pub struct Credential {
    origin: url::Origin,
    token: SecretString,
}

impl Credential {
    /// Binds `token` to the origin of `home`.
    pub fn bearer(home: &Url, token: SecretString) -> Self {
        Self { origin: home.origin(), token }
    }

    /// The value of the `Authorization` header when `url` is of the bound origin.
    ///
    /// `None` also for tokens that cannot be a header's value.
    pub fn header_for(&self, url: &Url) -> Option<http::HeaderValue> {
        if url.origin() != self.origin {
            return None;
        }
        let text = format!("Bearer {}", self.token.expose_secret());
        let mut value = http::HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credential for {}", self.origin.ascii_serialization())
    }
}

/// Judges a whole, verified file before anybody can load it.
pub trait Gate: Send + Sync {
    /// Called on a blocking thread with the open part file and its size. What is published is the
    /// file behind exactly this descriptor. Read by position; do not rely on the file's cursor.
    fn admit(&self, file: &File, size: u64) -> Admission;
}

/// What a gate decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The file may appear at its destination.
    Publish,
    /// The file is kept where nobody loads it.
    Quarantine {
        /// Where it goes; nothing is overwritten there.
        to: PathBuf,
        /// Why, for people.
        reason: String,
    },
    /// The file is removed.
    Refuse {
        /// Why, for people.
        reason: String,
    },
}

/// A gate that admits everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Gate for Open {
    fn admit(&self, _file: &File, _size: u64) -> Admission {
        Admission::Publish
    }
}

/// A transfer that ended well.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "fetched bytes stand beside resumed ones")]
pub struct Fetched {
    /// Where the file is: the destination, or the place in quarantine.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// Hash of the content, always computed.
    pub sha256: Sha256Digest,
    /// Whether `sha256` was compared with an expected hash.
    pub verified: bool,
    /// What became of the file.
    pub outcome: Outcome,
    /// Bytes that came over the network in this call, repeated ones included.
    pub fetched_bytes: u64,
    /// Bytes that an earlier run had left and that were used.
    pub resumed_bytes: u64,
    /// What the headers told.
    pub facts: Facts,
    /// From the call to the end.
    pub elapsed: Duration,
}

/// What became of a fetched file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is at its destination.
    Published,
    /// The gate sent it to quarantine, for this reason.
    Quarantined {
        /// The gate's reason.
        reason: String,
    },
}

/// What the answers' headers told of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    /// The final answer's `ETag` as sent, weak ones included.
    pub etag: Option<String>,
    /// `X-Linked-ETag` of a redirect or answer of the first party, without quotes. For LFS files
    /// it is the SHA-256.
    pub linked_etag: Option<String>,
    /// `X-Linked-Size` beside it.
    pub linked_size: Option<u64>,
    /// `X-Repo-Commit`: the commit that a branch name stood for.
    pub repo_commit: Option<String>,
    /// The file name of `Content-Disposition`, exactly as the server wrote it. Hostile until judged.
    pub file_name: Option<String>,
    /// The host that sent the bytes.
    pub final_host: Option<String>,
}
