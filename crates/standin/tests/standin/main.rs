//! Each endpoint has the shape, and each fault does on the wire what it says.

mod civitai;
mod client;
mod comfyui;
mod control;
mod faults;
mod huggingface;
mod storage;

use lorakeep_standin::{Options, Standin};

async fn started() -> Standin {
    Standin::start(Options::default()).await.expect("ports are free")
}
