//! The public API as a studio's customers call it.

mod access;
mod generations;
mod list;
pub(crate) mod previews;
mod render;
mod shop;
mod uploaded;
mod versions;
