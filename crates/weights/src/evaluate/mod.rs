//! How strong the change of every module of an adapter is, from its factors alone.
//!
//! A change is never spread out: products are measured by the Gram matrices of their factors, LoHa by
//! Khatri-Rao products, LoKr by its blocks. All sums are in double precision. Decided per module, so that
//! files of several algorithms are measured whole.

mod decode;
mod delta;
mod eigen;
mod matrix;
mod module;
mod scale;
mod spectrum;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;

pub use decode::Census;
pub use scale::Scale;
pub use spectrum::Spectrum;

use crate::read::ReadAt;
use crate::safetensors::{Header, Tensor};
use module::{Parts, Reader, Unmeasured};
use scale::Claims;

/// Why an evaluation ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The file could not be read.
    #[error("tensor `{tensor}` cannot be read: {source}")]
    Read {
        /// The tensor's name, shortened for display.
        tensor: String,
        /// What the system said.
        source: io::Error,
    },
    /// The flag was set.
    #[error("the evaluation was cancelled")]
    Cancelled,
}

/// What was measured of one module.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleReport {
    /// The module's name as the file spells it; hostile text.
    pub name: String,
    /// `lora`, `dora`, `loha`, `lokr`, `adalora`, `full`, `norm` or `unknown`.
    pub algorithm: &'static str,
    /// The rank of the factors.
    pub rank: Option<u64>,
    /// What the product is multiplied with at strength 1.
    pub scale: Scale,
    /// The Frobenius norm of the change with its scale; for DoRA of its direction part.
    pub frobenius: Option<f64>,
    /// The singular values of the same and what they say.
    pub spectrum: Option<Spectrum>,
    /// What the elements of the tensors are that were read.
    pub census: Census,
    /// Why a number is missing.
    pub reason: Option<String>,
}

/// Measures every module of an adapter, in the order of their names.
///
/// `threads` workers share the modules; each holds one module at a time. When `cancelled` turns true the
/// evaluation ends after the modules that are in work.
pub fn measure<F: ReadAt + Sync + ?Sized>(
    header: &Header,
    file: &F,
    threads: usize,
    cancelled: &AtomicBool,
) -> Result<Vec<ModuleReport>, EvaluateError> {
    let modules: Vec<(&str, Parts<'_>)> = group(&header.tensors).into_iter().collect();
    let claims = Claims::new(header);
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, ModuleReport)>, EvaluateError> {
        let mut done = Vec::new();
        while let Some((place, (name, parts))) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            modules.get(place).map(|module| (place, module))
        } {
            if cancelled.load(Ordering::Relaxed) {
                return Err(EvaluateError::Cancelled);
            }
            done.push((place, measure_module(header, file, &claims, name, parts)?));
        }
        Ok(done)
    };
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("a worker does not panic");
        workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let mut reports: Vec<_> = parts.into_iter().flatten().collect();
    reports.sort_by_key(|(place, _)| *place);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

fn group(tensors: &[Tensor]) -> BTreeMap<&str, Parts<'_>> {
    let mut modules: BTreeMap<&str, Parts<'_>> = BTreeMap::new();
    for tensor in tensors {
        if let Some((name, role)) = module::split(&tensor.name) {
            modules.entry(name).or_default().insert(role, tensor);
        }
    }
    modules
}

fn measure_module<F: ReadAt + ?Sized>(
    header: &Header,
    file: &F,
    claims: &Claims,
    name: &str,
    parts: &Parts<'_>,
) -> Result<ModuleReport, EvaluateError> {
    let mut reader = Reader { file, data_start: header.data_start(), parts, census: Census::default() };
    let scale = scale::scale(header, file, claims, name, parts)?;
    let mut report = ModuleReport {
        name: name.to_owned(),
        algorithm: module::algorithm(parts),
        rank: module::rank(parts),
        scale,
        frobenius: None,
        spectrum: None,
        census: Census::default(),
        reason: None,
    };
    match reader.delta() {
        Ok(delta) if reader.census.is_finite() && scale.value.is_finite() => {
            let Some((norm, values)) = delta.measure() else {
                report.reason = Some("its change is too large to be measured".to_owned());
                report.census = reader.census;
                return Ok(report);
            };
            let size = scale.value.abs();
            report.frobenius = Some(norm * size);
            report.spectrum =
                values.map(|values| Spectrum::new(values.iter().map(|value| value * size).collect()));
            if report.spectrum.is_none() {
                report.reason = Some("its spectrum would take too long".to_owned());
            }
        }
        Ok(_) => report.reason = Some("it has numbers that are not finite".to_owned()),
        Err(Unmeasured::Because(reason)) => report.reason = Some(reason),
        Err(Unmeasured::Failed(error)) => return Err(error),
    }
    report.census = reader.census;
    Ok(report)
}
