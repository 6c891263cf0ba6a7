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
    /// SHA-256 that the content should have: what its source published when it was fetched. Outlives the stamp, so that
    /// damage is told from a file that nothing is known of.
    pub published: Option<Sha256>,
    /// When the hash was computed.
    pub verified_at: Option<DateTime<Utc>>,
}

impl Verification {
    /// The shown name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Hashed => "hashed",
            Self::Verified => "verified",
            Self::Mismatch => "mismatch",
        }
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
        Self { stamp, sha256: None, published: None, verified_at: None }
    }

    /// A file whose hash was just computed, with the hash that it should have, if one is known.
    pub fn hashed(stamp: FileStamp, sha256: Sha256, published: Option<Sha256>, now: DateTime<Utc>) -> Self {
        Self { stamp, sha256: Some(sha256), published, verified_at: Some(now) }
    }

    /// What the hash says of this content.
    pub fn verification(&self) -> Verification {
        self.sha256.map_or(Verification::Unverified, |sha256| Verification::of(sha256, self.published))
    }

    /// The same file after it was changed by others: what was computed holds no more, what was published does.
    #[must_use]
    pub fn changed(&self, stamp: FileStamp) -> Self {
        Self { published: self.published, ..Self::unverified(stamp) }
    }
}
