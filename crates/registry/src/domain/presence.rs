//! What is known of a file on disk.

use chrono::{DateTime, Utc};
use lorakeep_weights::Sha256;

/// What tells a changed file from an unchanged one without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Length in bytes.
    pub size_bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub modified_ns: i64,
    /// The file's number on its file system.
    pub inode: u64,
}

/// What a hash said about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verification {
    /// Never hashed, or changed since.
    Unverified,
    /// Hashed, and there was nothing to compare with.
    Hashed,
    /// Equal to the hash that its source published.
    Verified,
    /// Different from the hash that its source published.
    Mismatch,
}

/// One file below the models root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFact {
    /// Size, time and inode at the last look.
    pub stamp: FileStamp,
    /// SHA-256 of the content that has this stamp.
    pub sha256: Option<Sha256>,
    /// What the hash said.
    pub verification: Verification,
    /// When the hash was computed.
    pub verified_at: Option<DateTime<Utc>>,
}

impl Verification {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Unverified, Self::Hashed, Self::Verified, Self::Mismatch];

    /// The stored and shown name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Hashed => "hashed",
            Self::Verified => "verified",
            Self::Mismatch => "mismatch",
        }
    }

    /// The outcome of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// What a computed hash means beside the one that was published, if one was.
    pub fn of(computed: Sha256, published: Option<Sha256>) -> Self {
        match published {
            None => Self::Hashed,
            Some(published) if published == computed => Self::Verified,
            Some(_) => Self::Mismatch,
        }
    }
}

impl FileFact {
    /// A file of which only the stamp is known.
    pub fn unverified(stamp: FileStamp) -> Self {
        Self { stamp, sha256: None, verification: Verification::Unverified, verified_at: None }
    }

    /// A file whose hash was just computed.
    pub fn hashed(stamp: FileStamp, sha256: Sha256, verification: Verification, now: DateTime<Utc>) -> Self {
        Self { stamp, sha256: Some(sha256), verification, verified_at: Some(now) }
    }
}
