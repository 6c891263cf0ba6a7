//! What is wrong with this installation, and what to do about it.

use std::path::Path;
use std::time::Duration;

use rustix::fs::Access;
use tokio::net::TcpStream;
use url::Url;

use super::Registry;
use crate::config::{Config, UpstreamConfig};
use crate::domain::CatalogName;
use crate::files::free_bytes;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `database`, `models_dir`, `free_space`, `civitai`, `huggingface`, `comfyui`, `git`, `ffmpeg`, …
    pub name: &'static str,
    /// How it stands.
    pub outcome: CheckOutcome,
    /// What was seen.
    pub message: String,
    /// What to do, when there is something to do.
    pub hint: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As it should be.
    Ok,
    /// Works, with less.
    Warning,
    /// Something will not work.
    Failed,
}

/// Whether it works, for probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why it is degraded; empty when it is well.
    pub degraded: Vec<String>,
}

/// How long an upstream may take to let us in.
const CONNECT: Duration = Duration::from_secs(3);
/// Below this the next download will hardly fit.
const LITTLE_SPACE: u64 = 10_000_000_000;
/// Nothing was written before this program was; a clock that says so is wrong.
const FIRST_SECOND: i64 = 1_750_000_000;

impl Registry {
    /// Looks at database, folders, space, clock, upstreams and helper programs; a few seconds at most.
    pub async fn doctor(&self) -> Vec<Check> {
        let config = &self.inner.config;
        let (database, civitai, huggingface, comfyui) = tokio::join!(
            self.check_database(),
            check_upstream("civitai", &config.civitai),
            check_upstream("huggingface", &config.huggingface),
            check_comfyui(config),
        );
        let mut checks = vec![
            database,
            check_folder("data_dir", &config.data_dir),
            check_folder("models_dir", &config.models_dir),
            check_space(&config.models_dir),
            self.check_catalogs(),
            check_clock(self.inner.clock.now().timestamp()),
            civitai,
            huggingface,
        ];
        checks.extend(self.check_links());
        checks.extend(self.check_base_models());
        checks.extend(comfyui);
        checks.push(check_program(
            "git",
            "`update-check` needs it; install it with the system's package manager",
        ));
        checks.push(check_program(
            "ffmpeg",
            "previews of videos need it; install it with the system's package manager",
        ));
        checks
    }

    /// A cheap answer for probes: no disk walk, no network.
    pub fn health(&self) -> Health {
        Health { degraded: self.inner.health.all() }
    }

    async fn check_database(&self) -> Check {
        let kind = self.inner.store.kind();
        match self.inner.store.check().await {
            Ok(()) => ok("database", format!("{kind} answers and is sound")),
            Err(error) => failed(
                "database",
                format!("{kind}: {error}"),
                "stop the server, keep a copy of the database, restore a backup or let it be rebuilt from `catalogs/`",
            ),
        }
    }

    /// Which linked folders files are changed in, and which are only read (decision 26).
    fn check_links(&self) -> Option<Check> {
        let (part, only_read) = self.inner.tree.links();
        if let Some(first) = only_read.first() {
            let count = only_read.len();
            return Some(warning(
                "linked_folders",
                format!("{count} linked folders are only read, such as `{first}`"),
                "to download and delete there, name the folders that they lead to in `LORAKEEP_MODELS_LINKS` and restart",
            ));
        }
        let shown: Vec<String> = part.map(|link| format!("`{link}`")).collect();
        (!shown.is_empty()).then(|| ok("linked_folders", format!("{} can be changed", shown.join(", "))))
    }

    /// Files that CivitAI calls otherwise than their keys do.
    fn check_base_models(&self) -> Option<Check> {
        let conflicts = self.base_model_conflicts();
        let (path, text) = conflicts.first()?;
        Some(warning(
            "base_models",
            format!(
                "{} files are not of the base model that CivitAI says, such as `{path}`: {text}",
                conflicts.len()
            ),
            "look at them with `lorakeep inspect`; a LoRA does nothing on a model that it was not made for",
        ))
    }

    fn check_catalogs(&self) -> Check {
        let reasons = self.health().degraded;
        if let Some(reason) = reasons.iter().find(|reason| reason.contains(".json`")) {
            return failed("catalogs", reason.clone(), "correct the file; it is read again by itself");
        }
        let library = self.library();
        let [models, loras] = CatalogName::ALL.map(|catalog| library.catalog(catalog).entries().count());
        ok("catalogs", format!("{models} entries in `models`, {loras} in `loras`"))
    }
}

fn ok(name: &'static str, message: impl Into<String>) -> Check {
    Check { name, outcome: CheckOutcome::Ok, message: message.into(), hint: None }
}

fn warning(name: &'static str, message: impl Into<String>, hint: &str) -> Check {
    Check { name, outcome: CheckOutcome::Warning, message: message.into(), hint: Some(hint.to_owned()) }
}

fn failed(name: &'static str, message: impl Into<String>, hint: &str) -> Check {
    Check { name, outcome: CheckOutcome::Failed, message: message.into(), hint: Some(hint.to_owned()) }
}

/// Whether we may write there; asks the system instead of writing.
fn check_folder(name: &'static str, path: &Path) -> Check {
    let shown = path.display();
    let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::access(path, wanted) {
        Ok(()) => ok(name, format!("`{shown}` can be read and written")),
        Err(error) => {
            let error = std::io::Error::from(error);
            failed(
                name,
                format!("`{shown}`: {error}"),
                "check that it is mounted, not read-only, and whose it is",
            )
        }
    }
}

fn check_space(models_dir: &Path) -> Check {
    let hint = "free some space: `lorakeep bin purge` empties the bin";
    match free_bytes(models_dir) {
        Ok(bytes) if bytes >= LITTLE_SPACE => {
            ok("free_space", format!("{:.1} GB are free", bytes as f64 / 1e9))
        }
        Ok(bytes) => warning("free_space", format!("only {:.1} GB are free", bytes as f64 / 1e9), hint),
        Err(error) => failed("free_space", format!("free space is not known: {error}"), hint),
    }
}

fn check_clock(now: i64) -> Check {
    if now >= FIRST_SECOND {
        return ok("clock", "the clock is plausible");
    }
    let hint = "set the clock: certificates and tokens are refused with a wrong one";
    failed("clock", "the clock is far in the past", hint)
}

/// Whether the host lets us in, and whether we have a key for what needs one.
async fn check_upstream(name: &'static str, upstream: &UpstreamConfig) -> Check {
    let url = &upstream.url;
    if let Err(error) = connect(url).await {
        return failed(
            name,
            format!("`{url}` cannot be reached: {error}"),
            "check network, proxy and name service",
        );
    }
    if upstream.token.is_none() {
        let variable = if name == "civitai" { "CIVITAI_API_KEY" } else { "HF_TOKEN" };
        let hint = format!("set `{variable}`: without it files that need a log-in are refused");
        return warning(name, format!("`{url}` can be reached, without a key"), &hint);
    }
    ok(name, format!("`{url}` can be reached, a key is set"))
}

async fn check_comfyui(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(dir) = &config.comfyui.dir {
        checks.push(if dir.join("models").is_dir() {
            ok("comfyui_dir", format!("`{}` has a models folder", dir.display()))
        } else {
            warning(
                "comfyui_dir",
                format!("`{}` has no models folder", dir.display()),
                "check `--comfyui-dir`",
            )
        });
    }
    if let Some(url) = &config.comfyui.url {
        checks.push(match connect(url).await {
            Ok(()) => ok("comfyui_url", format!("`{url}` can be reached")),
            Err(error) => {
                warning("comfyui_url", format!("`{url}` cannot be reached: {error}"), "start ComfyUI")
            }
        });
    }
    checks
}

/// Opens a connection and closes it again; nothing is sent.
async fn connect(url: &Url) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    match tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {} s", CONNECT.as_secs())),
    }
}

/// Whether a program is in `PATH`; it is not started.
fn check_program(name: &'static str, hint: &str) -> Check {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok());
    match found {
        Some(path) => ok(name, format!("`{}`", path.display())),
        None => warning(name, format!("`{name}` is not installed"), hint),
    }
}
