//! A local CivitAI, Hugging Face Hub, object storage and ComfyUI over real sockets, with scripted faults
//! and counters. It stands in for the upstreams in tests, benchmarks and demonstrations, and holds
//! nothing of the programs that it tests, so that it cannot share a bug with them.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lorakeep_standin::{Fault, FileSpec, HfRepo, Options, Standin, Times};
//!
//! let standin = Standin::start(Options::default()).await?;
//! let file = FileSpec::new("style.safetensors", 10_000_000);
//! standin.add_repo(HfRepo::new("standin/demo").file(file.clone()));
//! standin.fault("style.safetensors", Fault::CloseAfter(1_000_000), Times::Once);
//! let url = format!("{}/standin/demo/resolve/main/style.safetensors", standin.huggingface_url());
//! // … download `url`, then compare with `file.sha256()` and look at `standin.requests()`.
//! # Ok(())
//! # }
//! ```

mod checksum;
mod civitai;
mod comfyui;
mod content;
mod control;
mod demo;
mod faults;
mod huggingface;
mod observe;
mod png;
mod rate;
mod shared;
mod standin;
mod storage;
mod wire;
mod world;

pub use civitai::{CivitFile, CivitImage, CivitModel, CivitVersion, PublishedHashes};
pub use comfyui::GenerationFault;
pub use content::{FileKind, FileSpec, LoraFamily};
pub use faults::{Allowance, Fault, RetryAfter, StatusFault, Times};
pub use huggingface::{Gated, HfRepo};
pub use observe::{Seen, Upstream};
pub use rate::RateLimit;
pub use standin::{Options, Standin};
pub use storage::Delivery;
pub use world::GeneratorLora;
