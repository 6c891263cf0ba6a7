//! What a failed file operation means to the user.

use std::io;

use rustix::io::Errno;

use crate::domain::ModelFolder;
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

/// As [`io_error`] for what lies in a folder below the models root: a link in the way is the user's to decide on.
pub(crate) fn folder_error(folder: &ModelFolder, what: &str, error: io::Error) -> Error {
    if is_link_in_the_way(&error) {
        let message = format!(
            "{what}: `{folder}` is, or lies in, a link that files are not changed through; name the folder that it leads \
             to in `LORAKEEP_MODELS_LINKS` if it is yours, and restart"
        );
        return Error::conflict("linked_folder", message);
    }
    io_error(what, error)
}

/// What the system says when a part of the way is a link that is not to be followed.
pub(crate) fn is_link_in_the_way(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NOTDIR))
}
