//! Whether evaluating works: a real evaluation of a small file, the queue, the generator.

use std::sync::OnceLock;

use lorakeep_weights::evaluate::{Control, Options, evaluate};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::generator::GeneratorHealth;
use super::report::THREADS;
use super::request::{MAX_CELLS, MAX_FILES};
use super::subject::MAX_FILE_BYTES;
use crate::domain::Caller;
use crate::domain::{EvaluationLane, EvaluationState};
use crate::error::Result;
use crate::service::{PageRequest, Registry};

/// How far the self-test may be off.
const TOLERANCE: f64 = 1e-9;

/// The state of the evaluation service.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EvaluationHealth {
    /// `ok`, `degraded` (a configured generator does not answer) or `unavailable` (the self-test fails).
    #[schemars(extend("enum" = ["ok", "degraded", "unavailable"]))]
    pub status: &'static str,
    /// Always `evaluation`.
    pub service: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Since the program began.
    pub uptime_seconds: u64,
    /// What can be asked for.
    #[schemars(with = "Map<String, Value>")]
    pub capabilities: Value,
    /// How much of it.
    #[schemars(with = "Map<String, Value>")]
    pub limits: Value,
    /// What runs and waits.
    #[schemars(with = "Map<String, Value>")]
    pub queue: Value,
    /// The generator.
    pub generator: GeneratorHealth,
    /// The image encoder.
    #[schemars(with = "Map<String, Value>")]
    pub encoder: Value,
    /// The newest evaluation that is over.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub last_evaluation: Option<Value>,
    /// An evaluation of a file whose numbers are known.
    #[schemars(with = "Map<String, Value>")]
    pub self_test: Value,
}

impl Registry {
    /// Looks at everything that an evaluation needs.
    pub async fn evaluation_health(&self) -> Result<EvaluationHealth> {
        let generator = self.probe_generator().await;
        let error = self.blocking("the self-test", || *SELF_TEST.get_or_init(self_test)).await?;
        let works = error.is_some_and(|error| error <= TOLERANCE);
        let status = match (works, generator.configured && !generator.reachable) {
            (false, _) => "unavailable",
            (true, true) => "degraded",
            (true, false) => "ok",
        };
        let counts = self.inner.store.count_evaluations().await?;
        let count = |wanted| counts.iter().find(|(state, _)| *state == wanted).map_or(0, |(_, count)| *count);
        Ok(EvaluationHealth {
            status,
            service: "evaluation",
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.inner.evaluations.started.elapsed().as_secs(),
            capabilities: json!({
                "weights": works, "spectrum": works, "compare": works, "images": generator.reachable, "encoder": false,
            }),
            limits: json!({
                "max_file_bytes": MAX_FILE_BYTES, "max_rank": 4096, "max_files": MAX_FILES, "max_cells": MAX_CELLS,
                "workers": EvaluationLane::Weights.workers(), "threads": THREADS,
            }),
            queue: json!({"running": count(EvaluationState::Running), "pending": count(EvaluationState::Queued)}),
            encoder: json!({"configured": false, "name": null, "sha256": null}),
            last_evaluation: self.last_evaluation().await?,
            self_test: json!({"ok": works, "max_relative_error": error}),
            generator,
        })
    }

    async fn last_evaluation(&self) -> Result<Option<Value>> {
        let page = PageRequest { limit: Some(20), cursor: None };
        let newest = self.list_evaluations(&Caller::admin(), &page).await?.items;
        let last = newest.into_iter().find(super::EvaluationAnswer::is_over);
        Ok(last.map(|last| json!({"id": last.evaluation_id, "status": last.status, "at": last.finished_at})))
    }
}

static SELF_TEST: OnceLock<Option<f64>> = OnceLock::new();

/// The largest relative error over norm and largest singular value of two modules of which both are known.
fn self_test() -> Option<f64> {
    let file = known_file();
    let report = evaluate(&*file, file.len() as u64, &Options::default(), &Control::unwatched()).ok()?;
    let weights = report.weights?;
    // Two modules of rank 2 with singular values 3 and 4 (alpha is the rank, so the scale is 1), then half of it.
    let wanted = [(weights.frobenius_total, (25.0_f64 + 6.25).sqrt()), (weights.spectral_max?, 4.0)];
    let off = |(found, wanted): (f64, f64)| (found / wanted - 1.0).abs();
    wanted.into_iter().map(off).reduce(f64::max)
}

/// Diagonal factors with a right angle of freedom: `up = diag(3, 8)`, `down = diag(1, 0.5)`; the second module is scaled
/// by a half.
fn known_file() -> Vec<u8> {
    let name = |module: usize, end: &str| {
        format!("lora_unet_input_blocks_4_1_transformer_blocks_{module}_attn1_to_q.{end}")
    };
    let mut header = Map::new();
    let mut data: Vec<u8> = Vec::new();
    let mut put = |name: String, shape: &[usize], values: &[f32]| {
        let start = data.len();
        values.iter().for_each(|value| data.extend(value.to_le_bytes()));
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    };
    for (module, alpha) in [(0, 2.0), (1, 1.0)] {
        put(name(module, "alpha"), &[], &[alpha]);
        put(name(module, "lora_down.weight"), &[2, 3], &[1.0, 0.0, 0.0, 0.0, 0.5, 0.0]);
        put(name(module, "lora_up.weight"), &[3, 2], &[3.0, 0.0, 0.0, 8.0, 0.0, 0.0]);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(data);
    file
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_self_test_finds_what_is_known() {
        let error = super::self_test().expect("it can be evaluated");
        assert!(error < 1e-12, "{error}");
    }
}
