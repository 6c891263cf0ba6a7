//! From given texts to a configuration: types, bounds, and what must not go together.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;
use url::{Host, Url};

use super::given::{AllGiven, Given, absolute};
use super::known::{self, ALL, Known};
use super::{
    AccessConfig, ComfyuiConfig, Config, DownloadsConfig, Network, RepositoryConfig, ServerConfig,
    ShownValue, UploadsConfig, UpstreamConfig, ValueOrigin,
};
use crate::domain::SidecarFlavour;
use crate::error::{Error, Result};

/// Keys that stand in examples everywhere and would let everybody in.
const WELL_KNOWN_KEYS: [&str; 3] = ["changeme", "change-me", "change_me"];

/// Understands everything.
pub(super) fn config(given: &AllGiven) -> Result<Config> {
    let data_dir = given.data_dir.clone();
    let comfyui =
        ComfyuiConfig { dir: path(given, known::COMFYUI_DIR)?, url: web(given, known::COMFYUI_URL)? };
    let models_dir = match (path(given, known::MODELS_DIR)?, &comfyui.dir) {
        (Some(dir), _) => dir,
        (None, Some(comfyui)) => comfyui.join("models"),
        (None, None) => data_dir.join("models"),
    };
    check_folders(&data_dir, &models_dir)?;
    for known in [known::JWT_PUBLIC_KEY, known::JWT_JWKS] {
        check_key_file(given, known, &models_dir)?;
    }
    Ok(Config {
        models_links: list(given, known::MODELS_LINKS, |text| {
            let folder = Path::new(text);
            let is_usable = folder.is_absolute() && folder.parent().is_some();
            is_usable.then(|| resolved(folder)).ok_or("must be an absolute folder such as `/bigdisk/models`")
        })?,
        server: server(given)?,
        database_url: database_url(given)?,
        comfyui,
        access: access(given)?,
        civitai: upstream(given, known::CIVITAI_URL, known::CIVITAI_API_KEY)?,
        huggingface: upstream(given, known::HF_ENDPOINT, known::HF_TOKEN)?,
        downloads: downloads(given)?,
        uploads: UploadsConfig {
            max_bytes: required(given, known::MAX_UPLOAD_BYTES, "a number of bytes")?,
            anonymous: required(given, known::ANONYMOUS_UPLOADS, "`true` or `false`")?,
        },
        hashes_in_background: required(given, known::BACKGROUND_HASHING, "`true` or `false`")?,
        sidecars: list(given, known::SIDECARS, |word| {
            SidecarFlavour::parse(word)
                .ok_or("must be `civitai_info`, `lora_manager`, `stability_matrix` or `a1111`")
        })?,
        keeps_sidecars: required(given, known::KEEP_SIDECARS, "`true` or `false`")?,
        bin_days: bounded(given, known::BIN_DAYS, 0..=36_500)?,
        repository: RepositoryConfig { url: text(given, known::REPO_URL), branch: branch(given)? },
        shown: shown(given, &data_dir, &models_dir),
        data_dir,
        models_dir,
    })
}

fn server(given: &AllGiven) -> Result<ServerConfig> {
    Ok(ServerConfig {
        listen: listen(given)?,
        public_url: web(given, known::PUBLIC_URL)?,
        trusted_proxies: list(given, known::TRUSTED_PROXIES, |text| {
            network(text).ok_or("must be an address such as `10.0.0.1` or a network such as `10.0.0.0/8`")
        })?,
        host_names: list(given, known::HOST_NAMES, |text| {
            host_name(text).ok_or(
                "must be a host name without port, such as `studio.example`, `*.studio.example` or `*`",
            )
        })?,
        cors_origins: list(given, known::CORS_ORIGINS, |text| {
            origin(text).ok_or("must be an origin such as `https://studio.example` or an extension's id")
        })?,
        time_zone: required(given, known::TIME_ZONE, "a zone name such as `Europe/Rome`")?,
    })
}

fn access(given: &AllGiven) -> Result<AccessConfig> {
    Ok(AccessConfig {
        api_key: key(given, known::API_KEY)?,
        jwt_secret: key(given, known::JWT_SECRET)?,
        jwt_public_key: path(given, known::JWT_PUBLIC_KEY)?,
        jwt_jwks: path(given, known::JWT_JWKS)?,
        jwt_audience: text(given, known::JWT_AUDIENCE),
        jwt_issuer: text(given, known::JWT_ISSUER),
    })
}

fn downloads(given: &AllGiven) -> Result<DownloadsConfig> {
    let bandwidth: Option<u64> = parsed(given, known::BANDWIDTH, "a number of bytes per second")?;
    Ok(DownloadsConfig {
        max_concurrent: bounded(given, known::MAX_CONCURRENT, 1..=10)?,
        bandwidth_bytes_per_second: bandwidth.filter(|&bytes| bytes > 0),
        allow_hosts: list(given, known::ALLOW_HOSTS, |text| {
            host(text).ok_or("must be a host name or an address, without scheme, port or path")
        })?,
    })
}

fn upstream(given: &AllGiven, url: Known, token: Known) -> Result<UpstreamConfig> {
    let address = web(given, url)?.ok_or_else(|| unset(url))?;
    Ok(UpstreamConfig { url: address, token: text(given, token).map(SecretString::from) })
}

/// The listening address; `localhost` is written often enough to be known.
fn listen(given: &AllGiven) -> Result<SocketAddr> {
    let value = given.get(known::LISTEN).ok_or_else(|| unset(known::LISTEN))?;
    let text = match value.text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => value.text.clone(),
    };
    text.parse()
        .map_err(|_| value.wrong("is not an address with a port, such as `127.0.0.1:8000` or `0.0.0.0:8000`"))
}

fn database_url(given: &AllGiven) -> Result<Option<SecretString>> {
    let Some(value) = given.get(known::DATABASE_URL) else { return Ok(None) };
    if value.text.starts_with("postgres://") || value.text.starts_with("postgresql://") {
        return Ok(Some(SecretString::from(value.text)));
    }
    Err(value.wrong("must begin with `postgres://`; leave it out to use SQLite in the data folder"))
}

/// A credential that lets people in.
fn key(given: &AllGiven, known: Known) -> Result<Option<SecretString>> {
    let Some(value) = given.get(known) else { return Ok(None) };
    if WELL_KNOWN_KEYS.contains(&value.text.to_ascii_lowercase().as_str()) {
        return Err(value.wrong("is a default that everybody knows; choose one of your own or leave it out"));
    }
    Ok(Some(SecretString::from(value.text)))
}

/// A branch that `git` cannot take for an option.
fn branch(given: &AllGiven) -> Result<String> {
    let value = given.get(known::REPO_BRANCH).ok_or_else(|| unset(known::REPO_BRANCH))?;
    if value.text.starts_with('-') || value.text.contains(char::is_whitespace) {
        return Err(value.wrong("is not a branch name"));
    }
    Ok(value.text)
}

fn text(given: &AllGiven, known: Known) -> Option<String> {
    given.get(known).map(|value| value.text)
}

/// An absolute path; in the file it is relative to the data folder, elsewhere to the working folder.
fn path(given: &AllGiven, known: Known) -> Result<Option<PathBuf>> {
    let Some(value) = given.get(known) else { return Ok(None) };
    let base = if value.origin == ValueOrigin::File { given.data_dir.as_path() } else { Path::new("") };
    absolute(&base.join(&value.text)).map(Some)
}

/// An `http` or `https` address without a trailing slash in its path and without user or password.
fn web(given: &AllGiven, known: Known) -> Result<Option<Url>> {
    let Some(value) = given.get(known) else { return Ok(None) };
    let wrong = || value.wrong("is not a web address such as `https://studio.example`");
    let url = Url::parse(value.text.trim_end_matches('/')).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
        return Err(wrong());
    }
    Ok(Some(url))
}

fn parsed<T: FromStr>(given: &AllGiven, known: Known, what: &str) -> Result<Option<T>> {
    let Some(value) = given.get(known) else { return Ok(None) };
    value.text.trim().parse().map(Some).map_err(|_| value.wrong(format!("is not {what}")))
}

fn required<T: FromStr>(given: &AllGiven, known: Known, what: &str) -> Result<T> {
    parsed(given, known, what)?.ok_or_else(|| unset(known))
}

fn bounded(given: &AllGiven, known: Known, bounds: std::ops::RangeInclusive<u32>) -> Result<u32> {
    let what = format!("a number from {} to {}", bounds.start(), bounds.end());
    let number: u32 = required(given, known, &what)?;
    let value = given.get(known).filter(|_| !bounds.contains(&number));
    value.map_or(Ok(number), |value| Err(value.wrong(format!("is not {what}"))))
}

/// A comma-separated list.
fn list<T>(given: &AllGiven, known: Known, item: impl Fn(&str) -> Result<T, &'static str>) -> Result<Vec<T>> {
    let Some(value) = given.get(known) else { return Ok(Vec::new()) };
    let items = value.text.split(',').map(str::trim).filter(|text| !text.is_empty());
    items.map(|text| item(text).map_err(|what| wrong_item(&value, text, what))).collect()
}

fn wrong_item(value: &Given, item: &str, what: &str) -> Error {
    value.wrong(format!("cannot be used: `{item}` {what}"))
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix_bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
    (prefix_bits <= most).then_some(Network { address, prefix_bits })
}

/// An origin as a browser sends it; an extension's id stands for its origin.
fn origin(text: &str) -> Option<String> {
    if text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'a'..=b'p')) {
        return Some(format!("chrome-extension://{text}"));
    }
    let url = Url::parse(text).ok()?;
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
    match url.scheme() {
        "http" | "https" if is_bare && url.has_host() => Some(url.origin().ascii_serialization()),
        "chrome-extension" | "moz-extension" if is_bare && url.has_host() => {
            Some(text.trim_end_matches('/').to_owned())
        }
        _ => None,
    }
}

/// A name that a server answers to, or a pattern for many.
fn host_name(text: &str) -> Option<String> {
    match text.strip_prefix('*') {
        Some("") => Some(text.to_owned()),
        Some(end) => host(end.strip_prefix('.')?).map(|end| format!("*.{end}")),
        None => host(text),
    }
}

fn host(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let host = Host::parse(text).ok()?;
    Some(host.to_string().trim_matches(['[', ']']).to_owned())
}

/// Database, keys and socket must not lie where others read and write models.
fn check_folders(data_dir: &Path, models_dir: &Path) -> Result<()> {
    if !resolved(data_dir).starts_with(resolved(models_dir)) {
        return Ok(());
    }
    Err(Error::invalid(
        "bad_configuration",
        "data_dir",
        format!(
            "the data folder `{}` lies in the models folder `{}`, where other programs read and write; choose a data \
             folder outside of it (models below the data folder are fine)",
            data_dir.display(),
            models_dir.display()
        ),
    ))
}

/// Whoever may put models there could put a key of his own in the place of ours.
fn check_key_file(given: &AllGiven, known: Known, models_dir: &Path) -> Result<()> {
    let (Some(file), Some(value)) = (path(given, known)?, given.get(known)) else { return Ok(()) };
    if resolved(&file).starts_with(resolved(models_dir)) {
        let models_dir = models_dir.display();
        return Err(value.wrong(format!("lies in the models folder `{models_dir}`; keep keys outside of it")));
    }
    Ok(())
}

/// The path with every link resolved, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}

fn shown(given: &AllGiven, data_dir: &Path, models_dir: &Path) -> Vec<ShownValue> {
    let value_of = |known: Known, value: Option<&Given>| match known {
        known::DATA_DIR => Some(data_dir.display().to_string()),
        known::MODELS_DIR => Some(models_dir.display().to_string()),
        _ => value.map(Given::shown),
    };
    ALL.iter()
        .copied()
        .map(|known| {
            let value = given.get(known);
            ShownValue {
                name: known.name,
                value: value_of(known, value.as_ref()),
                origin: value.map_or(ValueOrigin::Default, |value| value.origin),
                environment: known.environment,
                flag: known.flag,
            }
        })
        .collect()
}

fn unset(known: Known) -> Error {
    Error::invalid("bad_configuration", known.name, format!("`{}` must be set", known.name))
}
