//! What a failed file operation means to the user.

use std::io;

use crate::error::Error;

/// Disk full and read-only are states that the user can change; anything else is for the log.
pub(crate) fn io_error(what: &str, error: io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => Error::Unavailable {
            code: "disk_full",
            message: format!("{what}: the disk is full; free some space and try again"),
        },
        ReadOnlyFilesystem | PermissionDenied => Error::Unavailable {
            code: "not_writable",
            message: format!(
                "{what}: {error}; check who owns the folder and whether it is mounted read-only"
            ),
        },
        _ => Error::internal(what, error),
    }
}
