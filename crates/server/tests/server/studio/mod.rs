//! The contract of the studio's clients, whole bodies.

mod civitai;
mod civitai_styles;
mod environment;
mod evaluations;
mod events;
mod gallery;
mod loras;
mod metadata;
mod quirks;
mod styles;
mod sync;
mod teams;
