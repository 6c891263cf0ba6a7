//! What this server says of itself: an OpenAPI document for each surface, the pages of `docs/`, and an index of both for
//! programs that read (`/llms.txt`). Everybody may read it; pages for people render it in `web/reference`.

pub(crate) mod markdown;
pub(crate) mod pages;
mod serve;
mod surfaces;

pub(crate) use serve::routes;
pub use surfaces::Surface;
