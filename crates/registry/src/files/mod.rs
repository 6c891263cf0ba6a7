//! The models folder, the bin, the catalog files and the lock, as files on disk.

mod failure;
mod lock;
mod write;

pub(crate) use failure::io_error;
pub(crate) use lock::DataLock;
pub(crate) use write::{keep_copy, replace_file};
