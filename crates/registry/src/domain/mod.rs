//! The nouns of the product and the rules that need no database, no disk and no network.
//!
//! Nothing here imports `store`, `files`, `upstream` or `service`.

mod caller;
mod catalog;
mod download;
mod entry;
mod ids;
mod names;
mod presence;

pub use caller::{Caller, CallerKind};
pub use catalog::{CatalogName, Category};
pub use download::{Download, DownloadState, Progress, StatusWord, Trigger};
pub use entry::{Entry, EntryDocument, Origin, PairRole};
pub use ids::{BinItemId, DownloadId, EntryId};
pub use names::{ModelFolder, ModelPath, SafeName};
pub use presence::{FileFact, FileStamp, Verification};
