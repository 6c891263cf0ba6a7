//! CivitAI within the catalog: which versions are here, adding one, making a LoRA a style, and what an image was made with.

mod add;
mod backfill;
mod card;
mod image;
mod lookups;
mod map;
mod previews;
mod promote;
mod reclassify;
mod styles;
mod tags;
#[cfg(test)]
mod tests;

pub use add::AddVersion;
pub(in crate::service) use add::{entry_of, no_file, place, restriction};
pub use backfill::NamesFilled;
pub use card::{CardFile, CardPreview, CardVersion, ModelCard};
pub use image::{Detected, ImageGeneration, Resource};
pub use lookups::CivitaiMatch;
pub(crate) use lookups::Lookups;
pub use map::{MapStatus, MappedEntry, VersionMap};
pub use promote::Promoted;
pub use styles::{AddStyles, SkippedVersion, StylesAdded, WantedVersion};
pub use tags::{CivitaiTag, TagSync};
