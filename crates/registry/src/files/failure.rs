//! What a failed file operation means to the user.

use std::io;

use rustix::io::Errno;

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

/// What the system says when a part of the way is a link that is not to be followed.
pub(crate) fn is_link_in_the_way(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NOTDIR))
}
