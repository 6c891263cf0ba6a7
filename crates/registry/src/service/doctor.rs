//! What is wrong with this installation, and what to do about it.

use super::Registry;

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

impl Registry {
    /// Looks at database, folders, space, clock, upstreams and helper programs; a few seconds at most.
    pub async fn doctor(&self) -> Vec<Check> {
        todo!()
    }

    /// A cheap answer for probes: no disk walk, no network.
    pub fn health(&self) -> Health {
        Health { degraded: self.inner.health.all() }
    }
}
