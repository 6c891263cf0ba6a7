//! The models folder and what is linked into it, the bin, the catalog files and the lock, as files on disk.

mod bin;
mod failure;
mod folder;
mod lock;
mod read;
mod scan;
mod secrets;
mod share;
mod space;
mod tree;
mod watch;
mod write;

pub(crate) use bin::{BinFolders, BinPlace};
pub(crate) use failure::{folder_error, io_error, is_link_in_the_way};
pub(crate) use folder::{Folder, Item, Kind};
pub(crate) use lock::DataLock;
pub(crate) use read::{read_open, read_up_to};
pub(crate) use scan::{Scan, scan, stamp_at};
pub(crate) use secrets::{read_secrets, write_secrets};
pub(crate) use share::{remove_file, share_bytes};
pub(crate) use space::free_bytes;
pub(crate) use tree::ModelsTree;
pub(crate) use watch::{FolderWatcher, Heard};
pub(crate) use write::{keep_copy, replace_file};

/// The folder of ours beside the models; no scan and no loader looks into it.
const HIDDEN: &str = ".lorakeep";
