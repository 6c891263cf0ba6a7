//! Every setting by name: how it is called in the file, in the environment and as a flag.
//!
//! One table, so that loading, `lorakeep config show` and the error texts cannot disagree.

/// One setting that can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The name in `lorakeep.toml`, `section.key`; also the name that is shown.
    pub(super) name: &'static str,
    /// The environment variable.
    pub(super) environment: Option<&'static str>,
    /// The command-line flag.
    pub(super) flag: Option<&'static str>,
    /// What is used when nobody says anything, as it would be written.
    pub(super) default: Option<&'static str>,
    /// How the value is shown and whether it may be empty.
    pub(super) secrecy: Secrecy,
}

/// How careful a value is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Shown as it is; empty counts as unset.
    Open,
    /// An address that may hold a password; empty counts as unset.
    Address,
    /// Sent to others, never shown; empty counts as unset.
    Token,
    /// Lets people in, never shown; empty is refused, since it must never match an empty credential.
    Key,
}

const fn setting(name: &'static str, environment: &'static str, default: Option<&'static str>) -> Known {
    Known { name, environment: Some(environment), flag: None, default, secrecy: Secrecy::Open }
}

const fn flagged(name: &'static str, environment: &'static str, flag: &'static str) -> Known {
    Known { name, environment: Some(environment), flag: Some(flag), default: None, secrecy: Secrecy::Open }
}

const fn secret(name: &'static str, environment: &'static str, secrecy: Secrecy) -> Known {
    Known { name, environment: Some(environment), flag: None, default: None, secrecy }
}

/// The folder that holds everything; it cannot stand in the file, which lies in it.
pub(super) const DATA_DIR: Known =
    Known { default: Some("./data"), ..flagged("data_dir", "LORAKEEP_DATA_DIR", "--data-dir") };

pub(super) const MODELS_DIR: Known = flagged("models_dir", "LORAKEEP_MODELS_DIR", "--models-dir");
pub(super) const MODELS_LINKS: Known = setting("models_links", "LORAKEEP_MODELS_LINKS", None);
pub(super) const LISTEN: Known =
    Known { default: Some("127.0.0.1:8000"), ..flagged("server.listen", "LORAKEEP_LISTEN", "--listen") };
pub(super) const PUBLIC_URL: Known = setting("server.public_url", "LORAKEEP_PUBLIC_URL", None);
pub(super) const TRUSTED_PROXIES: Known = setting("server.trusted_proxies", "LORAKEEP_TRUSTED_PROXIES", None);
pub(super) const HOST_NAMES: Known = setting("server.host_names", "LORAKEEP_HOST_NAMES", None);
pub(super) const CORS_ORIGINS: Known = setting("server.cors_origins", "LORAKEEP_CORS_ORIGINS", None);
pub(super) const TIME_ZONE: Known = setting("server.time_zone", "LORAKEEP_TIME_ZONE", Some("UTC"));
pub(super) const DATABASE_URL: Known =
    Known { secrecy: Secrecy::Address, ..flagged("database.url", "LORAKEEP_DATABASE_URL", "--database-url") };
pub(super) const COMFYUI_DIR: Known = flagged("comfyui.dir", "COMFYUI_DIR", "--comfyui-dir");
pub(super) const COMFYUI_URL: Known =
    Known { secrecy: Secrecy::Address, ..flagged("comfyui.url", "COMFYUI_URL", "--comfyui-url") };
pub(super) const API_KEY: Known = secret("access.api_key", "API_KEY", Secrecy::Key);
pub(super) const JWT_SECRET: Known = secret("access.jwt_secret", "LORAKEEP_JWT_SECRET", Secrecy::Key);
pub(super) const JWT_PUBLIC_KEY: Known = setting("access.jwt_public_key", "LORAKEEP_JWT_PUBLIC_KEY", None);
pub(super) const JWT_JWKS: Known = setting("access.jwt_jwks", "LORAKEEP_JWT_JWKS", None);
pub(super) const JWT_AUDIENCE: Known = setting("access.jwt_audience", "LORAKEEP_JWT_AUDIENCE", None);
pub(super) const JWT_ISSUER: Known = setting("access.jwt_issuer", "LORAKEEP_JWT_ISSUER", None);
pub(super) const CIVITAI_URL: Known =
    setting("civitai.url", "LORAKEEP_CIVITAI_URL", Some("https://civitai.com"));
pub(super) const CIVITAI_API_KEY: Known = secret("civitai.api_key", "CIVITAI_API_KEY", Secrecy::Token);
pub(super) const HF_ENDPOINT: Known =
    setting("huggingface.url", "HF_ENDPOINT", Some("https://huggingface.co"));
pub(super) const HF_TOKEN: Known = secret("huggingface.token", "HF_TOKEN", Secrecy::Token);
pub(super) const MAX_CONCURRENT: Known =
    setting("downloads.max_concurrent", "MAX_CONCURRENT_DOWNLOADS", Some("3"));
pub(super) const BANDWIDTH: Known = setting("downloads.bandwidth", "LORAKEEP_BANDWIDTH", None);
pub(super) const ALLOW_HOSTS: Known = setting("downloads.allow_hosts", "LORAKEEP_ALLOW_HOSTS", None);
pub(super) const MAX_UPLOAD_BYTES: Known =
    setting("uploads.max_bytes", "LORAKEEP_MAX_UPLOAD_BYTES", Some("524288000"));
pub(super) const ANONYMOUS_UPLOADS: Known = Known {
    name: "uploads.anonymous",
    environment: None,
    flag: None,
    default: Some("false"),
    secrecy: Secrecy::Open,
};
pub(super) const BIN_DAYS: Known = setting("bin.days", "LORAKEEP_BIN_DAYS", Some("7"));
pub(super) const BACKGROUND_HASHING: Known =
    setting("hashing.background", "LORAKEEP_BACKGROUND_HASHING", Some("true"));
pub(super) const SIDECARS: Known =
    setting("sidecars.write", "LORAKEEP_SIDECARS", Some("civitai_info,stability_matrix,a1111"));
pub(super) const KEEP_SIDECARS: Known = setting("sidecars.keep", "LORAKEEP_KEEP_SIDECARS", Some("false"));
pub(super) const REPO_URL: Known =
    Known { secrecy: Secrecy::Address, ..setting("repository.url", "REPO_URL", None) };
pub(super) const REPO_BRANCH: Known = setting("repository.branch", "REPO_BRANCH", Some("main"));

/// All of them, in the order in which they are shown.
pub(super) const ALL: &[Known] = &[
    DATA_DIR,
    MODELS_DIR,
    MODELS_LINKS,
    LISTEN,
    PUBLIC_URL,
    TRUSTED_PROXIES,
    HOST_NAMES,
    CORS_ORIGINS,
    TIME_ZONE,
    DATABASE_URL,
    COMFYUI_DIR,
    COMFYUI_URL,
    API_KEY,
    JWT_SECRET,
    JWT_PUBLIC_KEY,
    JWT_JWKS,
    JWT_AUDIENCE,
    JWT_ISSUER,
    CIVITAI_URL,
    CIVITAI_API_KEY,
    HF_ENDPOINT,
    HF_TOKEN,
    MAX_CONCURRENT,
    BANDWIDTH,
    ALLOW_HOSTS,
    MAX_UPLOAD_BYTES,
    ANONYMOUS_UPLOADS,
    BIN_DAYS,
    BACKGROUND_HASHING,
    SIDECARS,
    KEEP_SIDECARS,
    REPO_URL,
    REPO_BRANCH,
];
