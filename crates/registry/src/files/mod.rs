//! The models folder, the bin, the catalog files and the lock, as files on disk.

mod lock;

pub(crate) use lock::DataLock;
