//! Reports of files: kept by content and version of the tool, computed once, off the async threads.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use lorakeep_weights::Sha256;
use lorakeep_weights::evaluate::report::{FileReport, SCHEMA_VERSION};
use lorakeep_weights::evaluate::{Base, Control, Detail, EvaluateError, Options, evaluate};

use super::base::{BaseFile, KnownWeights};
use super::live::LiveEvaluation;
use super::request::{EvaluationRequest, ReportDetail};
use super::subject::Subject;
use crate::error::{Error, Result};
use crate::service::Registry;
use crate::store::{ResultKey, StoredResult};

/// Threads of one evaluation.
pub(super) const THREADS: usize = 2;
/// The longest `adapter_config.json` that is read, bytes.
const MAX_ADAPTER_CONFIG_BYTES: u64 = 1 << 20;

/// The version that results are kept under.
pub(super) fn tool() -> String {
    format!("{}/{SCHEMA_VERSION}", env!("CARGO_PKG_VERSION"))
}

/// What a report is asked for, as far as it changes its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    file_name: String,
    adapter_config: Option<String>,
    detail: ReportDetail,
    energy_targets: Vec<f64>,
    top_singular_values: usize,
    strength: f64,
    runtimes: Vec<String>,
    base: Option<BaseFile>,
}

impl Question {
    /// About the file at `path`; blocks the thread.
    pub(crate) fn new(
        request: &EvaluationRequest,
        path: &Path,
        file_name: &str,
        base: Option<BaseFile>,
    ) -> Self {
        Self {
            runtimes: request.runtimes.clone(),
            base,
            file_name: file_name.to_owned(),
            adapter_config: adapter_config_beside(path),
            // Blocks cost nothing; modules make a document a hundred times as large.
            detail: request.detail.max(ReportDetail::Blocks),
            energy_targets: request.energy_targets.clone(),
            top_singular_values: request.top_singular_values,
            strength: request.strength,
        }
    }

    /// Two questions of the same key have the same answer about the same content.
    fn key(&self) -> String {
        let config = self.adapter_config.as_ref().map(|text| Sha256::of(text.as_bytes()).to_string());
        let top = if self.detail == ReportDetail::Modules { self.top_singular_values } else { 0 };
        format!(
            "{:?}|{:?}|{top}|{}|{}|{:?}|{}",
            self.detail,
            self.energy_targets,
            self.strength,
            config.unwrap_or_default(),
            self.runtimes,
            self.base.as_ref().map(BaseFile::key).unwrap_or_default()
        )
    }

    fn options<'a>(&'a self, runtimes: &'a [&'a str], base: Option<Base<'a>>) -> Options<'a> {
        Options {
            file_name: &self.file_name,
            adapter_config: self.adapter_config.as_deref(),
            spectrum: true,
            detail: match self.detail {
                ReportDetail::Summary => Detail::Summary,
                ReportDetail::Blocks => Detail::Blocks,
                ReportDetail::Modules => Detail::Modules,
            },
            energy_targets: &self.energy_targets,
            top_singular_values: self.top_singular_values,
            strength: self.strength,
            runtimes,
            base,
            verify_payload: true,
        }
    }

    /// Evaluates the file; blocks the thread.
    pub(crate) fn answer(
        &self,
        path: &Path,
        known: &KnownWeights,
        cancelled: &(dyn Fn() -> bool + Sync),
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<FileReport> {
        let failed = |error: std::io::Error| unreadable(&self.file_name, &error.to_string());
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(unreadable(&self.file_name, "it is not a regular file"));
        }
        let opened = self.base.as_ref().map(BaseFile::open).transpose()?;
        let base = self.base.as_ref().zip(opened.as_ref()).map(|(base, (file, header))| Base {
            name: &base.name,
            header,
            file: if base.use_weights { Some(file) } else { None },
            memory: Some(known),
        });
        let runtimes: Vec<&str> = self.runtimes.iter().map(String::as_str).collect();
        let control = Control { threads: THREADS, cancelled, progress };
        let report = evaluate(&file, metadata.len(), &self.options(&runtimes, base), &control);
        report.map_err(|error| explained(&self.file_name, error))
    }
}

/// PEFT keeps alpha and rank in a file of this name beside the weights.
pub(super) fn adapter_config_beside(path: &Path) -> Option<String> {
    let beside = path.with_file_name("adapter_config.json");
    let size = fs::metadata(&beside).ok()?.len();
    if size > MAX_ADAPTER_CONFIG_BYTES {
        return None;
    }
    fs::read_to_string(beside).ok()
}

pub(super) fn explained(name: &str, error: EvaluateError) -> Error {
    match error {
        EvaluateError::Cancelled => cancelled(),
        other => unreadable(name, &other.to_string()),
    }
}

pub(super) use crate::service::prompts::cancelled;

pub(super) fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Conflict { code: "cancelled", .. })
}

pub(super) fn unreadable(name: &str, why: &str) -> Error {
    Error::Unavailable { code: "not_readable", message: format!("the file `{name}` cannot be read: {why}") }
}

impl Registry {
    /// The report of a file, as it is kept or computed now; notes in `subject` under which key it stands.
    pub(super) async fn evaluate_subject(
        &self,
        request: &EvaluationRequest,
        subject: &mut Subject,
        live: &Arc<LiveEvaluation>,
    ) -> Result<()> {
        let path = subject.model_path()?;
        let sha256 = self.content_hash(&path, live).await?;
        let at = path.below(&self.inner.config.models_dir);
        let (request, name) = (request.clone(), subject.name().to_owned());
        let base = request.base.as_ref().map(|base| self.base_path(&base.file)).transpose()?;
        let question = {
            let at = at.clone();
            let ask = move || {
                let use_weights = request.base.as_ref().is_some_and(|base| base.use_weights);
                let base = base.map(|path| BaseFile::at(&path, use_weights)).transpose()?;
                Ok::<_, Error>(Question::new(&request, &at, &name, base))
            };
            self.blocking("looking beside a file", ask).await??
        };
        let key = file_key(&sha256.to_string(), question.key());
        (subject.sha256, subject.options) = (Some(key.content.clone()), Some(key.options.clone()));
        let _turn = self.inner.evaluations.computing(&key).await;
        subject.is_known = self.inner.store.find_result(&key).await?.is_some();
        if subject.is_known {
            return Ok(());
        }
        let (watched, what) = (Arc::clone(live), format!("modules of {}", subject.name()));
        let base = question.base.clone();
        let known = Arc::new(self.known_weights(base.as_ref()).await?);
        let remembers = Arc::clone(&known);
        let computed = self.blocking("evaluating a file", move || {
            let note = |done, total| watched.note(&what, done, total);
            question.answer(&at, &remembers, &|| watched.is_stopped(), &note)
        });
        let report = computed.await?;
        self.keep_weights(base.as_ref(), &known).await?;
        let report = report?;
        self.inner.store.save_result(&key, &self.kept(&report)?).await
    }

    fn kept(&self, report: &FileReport) -> Result<StoredResult> {
        let document = serde_json::to_string(report)
            .map_err(|error| Error::internal("a report cannot be written", error))?;
        Ok(StoredResult {
            document,
            scope: scope(report),
            frobenius_total: report.weights.as_ref().map(|weights| weights.frobenius_total),
            effective_rank: report
                .spectrum
                .as_ref()
                .and_then(|spectrum| spectrum.effective_rank.map(|spread| spread.p50)),
            computed_at: self.inner.clock.now(),
        })
    }
}

pub(super) fn file_key(sha256: &str, options: String) -> ResultKey {
    ResultKey { kind: "file", content: sha256.to_owned(), tool: tool(), options }
}

/// Architecture and most frequent algorithm: only within them norms are comparable.
fn scope(report: &FileReport) -> Option<String> {
    let adapter = report.adapter.as_ref()?;
    let (algorithm, _) = adapter.algorithms.iter().max_by_key(|(_, count)| **count)?;
    Some(format!("{}/{algorithm}", adapter.architecture.as_deref().unwrap_or("unknown")))
}
