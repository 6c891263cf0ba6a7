//! CivitAI within the catalog: which versions are here, adding one, making a LoRA a style, and what an image was made with.

mod add;
mod image;
mod lookups;
mod map;
mod promote;
mod reclassify;
#[cfg(test)]
mod tests;

pub use add::AddVersion;
pub(in crate::service) use add::{entry_of, no_file, place, restriction};
pub use image::{Detected, ImageGeneration, Resource};
pub use lookups::CivitaiMatch;
pub(crate) use lookups::Lookups;
pub use map::{MapStatus, MappedEntry, VersionMap};
pub use promote::Promoted;
