//! The contract of the studio's clients, whole bodies over real sockets, against a real registry and the stand-in.

mod civitai;
mod gallery;
mod harness;
mod loras;
mod metadata;
mod sync;
