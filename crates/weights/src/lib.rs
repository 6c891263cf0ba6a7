//! The bytes of weight files: what a file is, whether it is safe to publish, and what it hashes to.
//!
//! Nothing here knows the network, a database or an async runtime. Files are read by position through
//! [`ReadAt`], lengths are believed only after they were compared with a limit, and tensor data is never
//! held in memory.
//!
//! * [`mod@format`]: what the first bytes say, whatever the name says;
//! * [`safetensors`]: the strict header reader;
//! * `torch` and `pickle`: what a torch file would do if it were loaded, found without loading it;
//! * [`check`]: the one decision that is taken before a file is published;
//! * [`digest`]: SHA-256 of a file; [`mod@hashes`]: the hashes of other tools, in one pass;
//! * [`mod@evaluate`]: how strong the change of every module of an adapter is;
//! * [`mod@identify`]: which model a file is.

pub mod check;
mod denial;
pub mod digest;
pub mod evaluate;
pub mod format;
pub mod hashes;
pub mod identify;
mod inert;
pub mod limits;
mod pickle;
pub mod read;
pub mod safetensors;
mod torch;

pub use check::{Examination, Verdict, admit, examine};
pub use digest::Sha256;
pub use format::{Format, sniff};
pub use hashes::{Hashes, hashes};
pub use identify::{Identity, identify};
pub use limits::Limits;
pub use read::ReadAt;
pub use safetensors::{Header, Malformed};
