//! "Check for Updates": clones or fetches the configured repository with the machine's `git`, by fixed arguments and
//! without a shell.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::domain::{CatalogName, catalog_file};
use crate::error::{Error, Result};
use crate::service::Registry;
use crate::service::program::{Program, run_bounded};

/// How long one call of `git` may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateCheck {
    /// Our version.
    pub version: i64,
    /// The repository's, when its catalog says one.
    pub remote_version: Option<i64>,
    /// The repository's date.
    pub remote_date: Option<String>,
    /// Whether a sync would change anything.
    pub has_update: bool,
    /// The commit that the work tree is at.
    pub commit: String,
}

impl Registry {
    /// Brings the work tree up to date and says whether a sync would change anything.
    ///
    /// `Unavailable` (`not_configured`) without an address, (`git_missing`) without `git`.
    pub async fn check_updates(&self) -> Result<UpdateCheck> {
        let repository = &self.inner.config.repository;
        let url = repository.url.clone().ok_or_else(|| Error::Unavailable {
            code: "not_configured",
            message: "no repository is configured; set `REPO_URL` to the address of one that holds `catalogs/models.json`".to_owned(),
        })?;
        let (dir, branch) = (self.repository_dir(), repository.branch.clone());
        refuse_option("REPO_URL", &url)?;
        refuse_option("REPO_BRANCH", &branch)?;
        let commit = self.blocking("updating the repository", move || update(&dir, &url, &branch)).await??;
        let report = self.sync_catalog(true).await?;
        let (remote_version, remote_date) = self.remote_head().await?;
        let version = self.library().catalog(CatalogName::Models).head.version;
        Ok(UpdateCheck { version, remote_version, remote_date, has_update: report.is_changed, commit })
    }

    async fn remote_head(&self) -> Result<(Option<i64>, Option<String>)> {
        let path = self.repository_catalog();
        let read = move || std::fs::read(path).map(|bytes| catalog_file::read(&bytes));
        let file = self.blocking("reading the repository's catalog", read).await?;
        let file = file.map_err(|error| Error::internal("reading the repository's catalog", error))??;
        Ok((file.version, file.date))
    }
}

/// What begins like an option would be read as one.
fn refuse_option(name: &str, value: &str) -> Result<()> {
    if value.is_empty() || value.starts_with('-') || value.contains("::") {
        let message = format!(
            "`{name}` `{value}` cannot be used; give an address such as `https://host/owner/repository`"
        );
        return Err(Error::invalid("bad_configuration", name, message));
    }
    Ok(())
}

/// Clones at first, then fetches and moves the work tree on; edits in the work tree are not lost, they stop it.
fn update(dir: &Path, url: &str, branch: &str) -> Result<String> {
    if dir.join(".git").exists() {
        git(Some(dir), &["fetch", "--no-tags", "--", url, branch])?;
        git(Some(dir), &["reset", "--keep", "FETCH_HEAD", "--"])?;
    } else {
        let target = dir.to_string_lossy();
        git(None, &["clone", "--no-tags", "--single-branch", "--branch", branch, "--", url, &target])?;
    }
    git(Some(dir), &["rev-parse", "HEAD"]).map(|commit| commit.trim().to_owned())
}

/// Runs `git` without hooks, prompts or helpers of the environment, and answers what it wrote.
fn git(dir: Option<&Path>, arguments: &[&str]) -> Result<String> {
    let mut command = Program::Git.call();
    if let Some(dir) = dir {
        command.arg("-C").arg(dir);
    }
    command
        .args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "protocol.ext.allow=never",
        ])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    let ended = run_bounded(command, PATIENCE).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => {
            let message = format!("`git {}` took longer than {} s", arguments[0], PATIENCE.as_secs());
            Error::Upstream { code: "git_failed", status: None, message }
        }
        _ => Error::Unavailable {
            code: "git_missing",
            message: format!("`git` could not be started: {error}; install it to check for updates"),
        },
    })?;
    if ended.is_success {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let message = format!("`git {}` failed: {}", arguments[0], ended.stderr);
    Err(Error::Upstream { code: "git_failed", status: None, message })
}
