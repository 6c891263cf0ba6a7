//! "Check for Updates": clones or fetches the configured repository with the machine's `git`, by fixed arguments and
//! without a shell.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::domain::{CatalogName, catalog_file};
use crate::error::{Error, Result};
use crate::service::Registry;

/// How long one call of `git` may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often an ended call is looked for.
const GLANCE: Duration = Duration::from_millis(20);
/// How much of what `git` says is shown.
const MOST_WORDS: usize = 300;

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
    let mut command = Command::new("git");
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
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Error::Unavailable {
        code: "git_missing",
        message: format!("`git` could not be started: {error}; install it to check for updates"),
    })?;
    if !has_ended(&mut child)? {
        let message = format!("`git {}` took longer than {} s", arguments[0], PATIENCE.as_secs());
        return Err(Error::Upstream { code: "git_failed", status: None, message });
    }
    let output = child.wait_with_output().map_err(|error| Error::internal("waiting for git", error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String =
        said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_WORDS).collect();
    let message = format!("`git {}` failed: {said}", arguments[0]);
    Err(Error::Upstream { code: "git_failed", status: None, message })
}

/// Waits with a bound; what takes longer is ended.
fn has_ended(child: &mut Child) -> Result<bool> {
    let began = Instant::now();
    let failed = |error| Error::internal("waiting for git", error);
    while child.try_wait().map_err(failed)?.is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Ok(false);
        }
        std::thread::sleep(GLANCE);
    }
    Ok(true)
}
