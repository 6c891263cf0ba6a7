//! Configuration: flags, then environment, then `lorakeep.toml` in the data folder, then defaults.
//!
//! Everything here is read once at the start and judged as a whole; what can change while it runs is in
//! [`Settings`](crate::Settings). Names that outside programs rely on are in one table, `known`.

mod given;
mod known;
mod remember;
mod understand;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use crate::domain::SidecarFlavour;
use crate::error::Result;
use given::AllGiven;
pub use remember::remember_setting;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct ConfigFlags {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--models-dir`
    pub models_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--database-url`
    pub database_url: Option<String>,
    /// `--comfyui-dir`
    pub comfyui_dir: Option<PathBuf>,
    /// `--comfyui-url`
    pub comfyui_url: Option<String>,
}

/// Everything that is read once at the start. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `lorakeep.db`, `catalogs/`, `bin/`, `gallery/`, `.repo/`, `lorakeep.sock`.
    pub data_dir: PathBuf,
    /// Root of the model folders.
    pub models_dir: PathBuf,
    /// Folders that a link below the models folder may lead into for files to be changed through it; links resolved.
    pub models_links: Vec<PathBuf>,
    /// The HTTP server.
    pub server: ServerConfig,
    /// `postgres://…`; SQLite in the data folder when absent.
    pub database_url: Option<SecretString>,
    /// ComfyUI, as far as it is known.
    pub comfyui: ComfyuiConfig,
    /// Who is let in.
    pub access: AccessConfig,
    /// CivitAI.
    pub civitai: UpstreamConfig,
    /// Hugging Face.
    pub huggingface: UpstreamConfig,
    /// Downloads.
    pub downloads: DownloadsConfig,
    /// Uploads.
    pub uploads: UploadsConfig,
    /// Days that a deleted file can come back.
    pub bin_days: u32,
    /// Whether files are hashed by and by without being asked to.
    pub hashes_in_background: bool,
    /// The sidecars that are written beside models when that is asked for.
    pub sidecars: Vec<SidecarFlavour>,
    /// Whether these follow their entries by themselves.
    pub keeps_sidecars: bool,
    /// Where `update-check` looks.
    pub repository: RepositoryConfig,
    /// Every setting with its origin, in the order of the documentation.
    shown: Vec<ShownValue>,
}

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How people outside reach it.
    pub public_url: Option<Url>,
    /// Peers whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Names beside its own that the server answers to; `*.example.com` stands for all below, `*` for any.
    pub host_names: Vec<String>,
    /// Origins that a browser may call from, such as `https://a.example` or `chrome-extension://<id>`.
    pub cors_origins: Vec<String>,
    /// The zone of a catalog's `date` and of the activity log.
    pub time_zone: chrono_tz::Tz,
}

/// Addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix_bits: u8,
}

/// ComfyUI, as far as it is known.
#[derive(Debug, Clone)]
pub struct ComfyuiConfig {
    /// Its folder, with `models/` and `input/`.
    pub dir: Option<PathBuf>,
    /// Its address.
    pub url: Option<Url>,
}

/// Who is let in.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// The admin key; one is made at the first start when absent.
    pub api_key: Option<SecretString>,
    /// HS256 secret of vault tokens.
    pub jwt_secret: Option<SecretString>,
    /// PEM file with the public key of vault tokens.
    pub jwt_public_key: Option<PathBuf>,
    /// JWKS file with the public keys of vault tokens.
    pub jwt_jwks: Option<PathBuf>,
    /// What `aud` must hold.
    pub jwt_audience: Option<String>,
    /// What `iss` must be.
    pub jwt_issuer: Option<String>,
}

/// A server that models come from. Its host may be private, since it was configured.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Its address, without a trailing slash in the path.
    pub url: Url,
    /// The credential that goes to this host and to no other.
    pub token: Option<SecretString>,
}

/// Downloads.
#[derive(Debug, Clone)]
pub struct DownloadsConfig {
    /// Downloads at once, 1 to 10, until a setting says otherwise.
    pub max_concurrent: u32,
    /// Bytes per second for all downloads together, until a setting says otherwise.
    pub bandwidth_bytes_per_second: Option<u64>,
    /// Hosts that may have private addresses, lower case.
    pub allow_hosts: Vec<String>,
}

/// Uploads.
#[derive(Debug, Clone)]
pub struct UploadsConfig {
    /// The largest file, bytes.
    pub max_bytes: u64,
    /// Whether an upload needs no token.
    pub anonymous: bool,
}

/// Where `update-check` looks.
#[derive(Debug, Clone)]
pub struct RepositoryConfig {
    /// What `git` clones.
    pub url: Option<String>,
    /// Which branch.
    pub branch: String,
}

/// One setting as `lorakeep config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownValue {
    /// The name in `lorakeep.toml`.
    pub name: &'static str,
    /// The value in force, secrets masked; `None` when unset.
    pub value: Option<String>,
    /// Who said it.
    pub origin: ValueOrigin,
    /// The environment variable that sets it.
    pub environment: Option<&'static str>,
    /// The flag that sets it.
    pub flag: Option<&'static str>,
}

/// Where a value comes from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// `lorakeep.toml` in the data folder.
    File,
    /// Nobody said anything.
    Default,
}

impl Config {
    /// Reads all sources and judges the result. Nothing is created.
    ///
    /// `Invalid` (`bad_configuration`) names the setting and who said it.
    pub fn load(flags: &ConfigFlags, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        understand::config(&AllGiven::collect(flags, env)?)
    }

    /// Every setting with its value in force and who said it; secrets are masked.
    pub fn shown(&self) -> &[ShownValue] {
        &self.shown
    }

    /// Whether downloads may go to this host although its address is private: a configured upstream, or listed.
    pub fn is_trusted_host(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is = |url: &Url| {
            url.host_str().is_some_and(|own| own.trim_matches(['[', ']']).eq_ignore_ascii_case(host))
        };
        is(&self.civitai.url)
            || is(&self.huggingface.url)
            || self.downloads.allow_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// ComfyUI's input folder, when its folder is known.
    pub fn comfyui_input_dir(&self) -> Option<PathBuf> {
        self.comfyui.dir.as_ref().map(|dir| dir.join("input"))
    }

    /// The socket for the command line on the same machine.
    pub fn socket_path(&self) -> PathBuf {
        self.data_dir.join("lorakeep.sock")
    }
}

impl ConfigFlags {
    fn text_of(&self, name: &str) -> Option<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        match name {
            "data_dir" => path(&self.data_dir),
            "models_dir" => path(&self.models_dir),
            "server.listen" => self.listen.clone(),
            "database.url" => self.database_url.clone(),
            "comfyui.dir" => path(&self.comfyui_dir),
            "comfyui.url" => self.comfyui_url.clone(),
            _ => None,
        }
    }
}

impl Network {
    /// Whether `address` is in it; an IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl ValueOrigin {
    /// The word that is shown: `flag`, `environment`, `file` or `default`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

#[cfg(test)]
mod tests;
