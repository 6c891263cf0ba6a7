//! What is known of a file on disk.

use chrono::{DateTime, Utc};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    /// Size, time and inode at the last look.
    pub stamp: FileStamp,
    /// SHA-256 of the content that has this stamp, lower-case hex.
    pub sha256: Option<String>,
    /// What the hash said.
    pub verification: Verification,
    /// When the hash was computed.
    pub verified_at: Option<DateTime<Utc>>,
}
