//! CivitAI, Hugging Face and ComfyUI: what they know of a file, where its bytes are, and what to do when they say no.
//!
//! - [`mod@reference`]: what people write becomes ids
//! - [`http`]: the one API client; `pace` and `lenient` serve it
//! - [`civitai`], [`huggingface`]: one client each, with its table of refusals
//! - [`comfyui`]: the generator of this installation
//! - [`source`]: from an entry's origin to an address with size and hash

pub(crate) mod civitai;
pub(crate) mod comfyui;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod huggingface;
mod keyring;
pub(crate) mod lenient;
pub(crate) mod media;
mod pace;
pub(crate) mod reference;
pub(crate) mod source;

use std::sync::Arc;

use lorakeep_transfer::{HostPolicy, TransferError};
use secrecy::SecretString;
use url::Url;

pub(crate) use error::UpstreamError;
pub(crate) use keyring::Keyring;
pub(crate) use reference::Endpoints;

/// How this product calls itself; names of browsers would change the answers.
pub(crate) const USER_AGENT: &str = concat!("lorakeep/", env!("CARGO_PKG_VERSION"));

/// What the upstreams are set up with.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamOptions {
    pub(crate) endpoints: Endpoints,
    pub(crate) civitai_key: Option<SecretString>,
    pub(crate) huggingface_token: Option<SecretString>,
    /// Address of the ComfyUI of this installation; it may be private.
    pub(crate) comfyui: Option<Url>,
    /// Hosts that may be private (`LORAKEEP_ALLOW_HOSTS`); the endpoints are added to them.
    pub(crate) hosts: HostPolicy,
    pub(crate) limits: http::ApiLimits,
}

/// The clients of all upstreams.
#[derive(Debug, Clone)]
pub(crate) struct Upstreams {
    pub(crate) civitai: civitai::Civitai,
    pub(crate) huggingface: huggingface::HuggingFace,
    /// None when no address is configured.
    pub(crate) comfyui: Option<comfyui::ComfyUi>,
    pub(crate) endpoints: Endpoints,
    /// Fetches pictures and videos.
    pub(crate) api: Arc<http::ApiClient>,
    /// Which hosts may be asked, the endpoints included.
    pub(crate) hosts: HostPolicy,
}

impl Upstreams {
    /// Sets up one client that all upstreams share.
    pub(crate) fn new(options: UpstreamOptions) -> Result<Self, TransferError> {
        let UpstreamOptions { endpoints, civitai_key, huggingface_token, comfyui, hosts, limits } = options;
        let hosts = hosts.allow_url(&endpoints.civitai).allow_url(&endpoints.huggingface);
        let api = Arc::new(http::ApiClient::new(hosts.clone(), limits)?);
        Ok(Self {
            civitai: civitai::Civitai::new(Arc::clone(&api), endpoints.civitai.clone(), civitai_key),
            huggingface: huggingface::HuggingFace::new(
                Arc::clone(&api),
                endpoints.huggingface.clone(),
                huggingface_token,
            ),
            comfyui: comfyui.map(comfyui::ComfyUi::new).transpose()?,
            endpoints,
            api,
            hosts,
        })
    }
}

#[cfg(test)]
mod tests;
