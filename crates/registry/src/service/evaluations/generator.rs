//! The generator as far as everybody sees it: whether it answers, and what it is.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::service::Registry;

/// How long a probe is believed.
const BELIEVED: Duration = Duration::from_secs(10);
/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the generator last said.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    at: Instant,
    health: GeneratorHealth,
}

/// Whether the generator answers, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GeneratorHealth {
    /// Whether an address is set.
    pub configured: bool,
    /// Always ComfyUI.
    pub kind: &'static str,
    /// Whether it answered.
    pub reachable: bool,
    /// Its version.
    pub version: Option<String>,
    /// What it computes on.
    pub device: Option<String>,
    /// How long its answer took.
    pub latency_ms: Option<u64>,
    /// When it was asked.
    pub checked_at: Option<String>,
    /// Why it did not answer.
    pub error: Option<String>,
}

impl Registry {
    /// Asks the generator, or remembers what it said in the last seconds.
    pub(super) async fn probe_generator(&self) -> GeneratorHealth {
        let mut known = self.inner.evaluations.probe.lock().await;
        if let Some(probe) = known.as_ref().filter(|probe| probe.at.elapsed() < BELIEVED) {
            return probe.health.clone();
        }
        let health = self.ask_generator().await;
        *known = Some(Probe { at: Instant::now(), health: health.clone() });
        health
    }

    async fn ask_generator(&self) -> GeneratorHealth {
        let mut health = GeneratorHealth {
            configured: false,
            kind: "comfyui",
            reachable: false,
            version: None,
            device: None,
            latency_ms: None,
            checked_at: None,
            error: None,
        };
        let Some(comfyui) = &self.inner.jobs.upstreams.comfyui else { return health };
        let began = Instant::now();
        health.configured = true;
        health.checked_at = Some(super::answer::moment(self.inner.clock.now()));
        match comfyui.system_stats(PATIENCE).await {
            Ok(stats) => {
                health.reachable = true;
                (health.version, health.device) = (stats.version, stats.device);
                health.latency_ms = Some(began.elapsed().as_millis() as u64);
            }
            Err(error) => health.error = Some(error.to_string()),
        }
        health
    }
}
