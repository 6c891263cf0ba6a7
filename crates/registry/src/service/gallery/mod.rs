//! The gallery: pictures and videos of CivitAI, kept with a record beside each file, an index in the database.

mod backfill;
mod bulk;
mod fetch;
mod input;
mod keep;
mod local;
mod media;
mod record;
mod request;
mod summary;
#[cfg(test)]
mod tests;
mod thumbnail;

pub use backfill::ThumbnailProgress;
pub(crate) use backfill::ThumbnailRun;
pub use bulk::GalleryProgress;
pub(crate) use bulk::GalleryRuns;
pub use keep::{GalleryFilter, ModelGallery};
pub(crate) use local::{Kept, LocalMedia, local_image_id};
pub use media::MediaFile;
pub use record::GalleryImage;
pub use request::{GalleryRequest, SearchMode};
pub(crate) use summary::Summaries;
pub use summary::{GallerySummaries, GallerySummary};
