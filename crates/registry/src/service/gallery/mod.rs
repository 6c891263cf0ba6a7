//! The gallery: pictures and videos of CivitAI, kept with a record beside each file, an index in the database.

mod bulk;
mod fetch;
mod input;
mod keep;
mod local;
mod media;
mod record;
#[cfg(test)]
mod tests;
mod thumbnail;

pub(crate) use bulk::GalleryRuns;
pub use bulk::{GalleryProgress, GalleryRequest};
pub use keep::{GalleryFilter, ModelGallery};
pub(crate) use local::{Kept, LocalMedia, content_hash, local_image_id};
pub use media::MediaFile;
pub use record::GalleryImage;
