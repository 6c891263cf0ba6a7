//! The models folder, the bin, the catalog files and the lock, as files on disk.

mod bin;
mod failure;
mod folder;
mod lock;
mod scan;
mod space;
mod watch;
mod write;

pub(crate) use bin::{BinFolders, BinPlace};
pub(crate) use failure::io_error;
pub(crate) use folder::{Folder, Item, Kind};
pub(crate) use lock::DataLock;
pub(crate) use scan::{Scan, scan, stamp_at};
pub(crate) use space::free_bytes;
pub(crate) use watch::{FolderWatcher, Heard};
pub(crate) use write::{keep_copy, replace_file};
