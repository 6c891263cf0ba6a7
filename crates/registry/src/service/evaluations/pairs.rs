//! Files beside each other: each pair, or all of them as checkpoints of one training.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorakeep_weights::Header;
use lorakeep_weights::evaluate::compare::{CompareOptions, compare, series};
use lorakeep_weights::evaluate::report::{Basis, Code, Comparison, Finding, Relation, Series, Severity};
use lorakeep_weights::evaluate::{Control, EvaluateError, Subject as Measurable};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::live::LiveEvaluation;
use super::report::{THREADS, adapter_config_beside, explained, tool, unreadable};
use super::request::{Check, EvaluationRequest};
use super::run::Work;
use super::subject::Subject;
use crate::error::{Error, Result};
use crate::service::Registry;
use crate::store::{ResultKey, StoredResult};

/// From here on files work on the same directions, or against each other; nobody has validated it.
const INTERFERES: f64 = 0.1;

/// A file that can be compared.
pub(super) struct Opened {
    name: String,
    file: File,
    header: Header,
    adapter_config: Option<String>,
}

impl Opened {
    /// Reads the header; blocks the thread.
    pub(super) fn read(path: &Path, name: &str) -> Result<Self> {
        let failed = |error: std::io::Error| unreadable(name, &error.to_string());
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let header = Header::read(&file, size).map_err(|error| unreadable(name, &error.to_string()))?;
        Ok(Self { name: name.to_owned(), file, header, adapter_config: adapter_config_beside(path) })
    }

    pub(super) fn subject(&self) -> Measurable<'_> {
        Measurable {
            name: &self.name,
            file: &self.file,
            header: &self.header,
            adapter_config: self.adapter_config.as_deref(),
        }
    }
}

/// What of a comparison is asked for: the spectrum of the merge costs as much as eight evaluations.
pub(super) fn options(files: usize) -> CompareOptions {
    CompareOptions { spectrum: files == 2, ..CompareOptions::default() }
}

/// What somebody should know of two files.
pub(super) fn findings(comparison: &Comparison) -> Vec<Finding> {
    let place = format!("{} × {}", comparison.a, comparison.b);
    let words = match comparison.relation {
        Relation::Same => Some("hold the same change, stored again"),
        Relation::Rescaled => Some("hold the same change at two strengths"),
        Relation::Resized => Some("hold the same change, one at a lower rank"),
        _ => None,
    };
    if let Some(words) = words {
        let message = format!("`{}` and `{}` {words}", comparison.a, comparison.b);
        let finding = Finding::new(Code::NearDuplicate, Severity::Info, message).at(place);
        return vec![finding.with("cosine", comparison.cosine).with("norm_ratio", comparison.norm_ratio)];
    }
    let interference = comparison.merge.as_ref().map(|merge| merge.interference);
    let Some(interference) = interference.filter(|value| value.abs() >= INTERFERES) else {
        return Vec::new();
    };
    let verb = if interference > 0.0 { "add up" } else { "cancel" };
    let message = format!(
        "used together, `{}` and `{}` {verb}: the energy of both is {:+.0} % of the sum of each",
        comparison.a,
        comparison.b,
        interference * 100.0
    );
    let finding = Finding::new(Code::MergeInterference, Severity::Info, message).at(place);
    vec![finding.on(Basis::Heuristic).with("interference", interference).with("threshold", INTERFERES)]
}

/// How many pairs and series a request asks for.
pub(super) fn count(request: &EvaluationRequest) -> usize {
    let files = request.files.len();
    let pairs = if request.has(Check::Compare) { files * files.saturating_sub(1) / 2 } else { 0 };
    pairs + usize::from(request.has(Check::Series))
}

impl Work {
    /// Compares what was asked for; a file without a report is left out and said to be.
    pub(super) async fn compare_files(&self, subjects: &[Subject]) -> Result<()> {
        if self.request.has(Check::Compare) {
            for (place, one) in subjects.iter().enumerate() {
                for other in &subjects[place + 1..] {
                    self.compare_pair(one, other, subjects.len()).await?;
                }
            }
        }
        if self.request.has(Check::Series) {
            self.follow_series(subjects).await?;
        }
        Ok(())
    }

    async fn compare_pair(&self, one: &Subject, other: &Subject, files: usize) -> Result<()> {
        self.go_on()?;
        let options = options(files);
        let key = format!("spectrum={}", options.spectrum);
        let compared = self
            .registry
            .kept_or_computed::<Comparison>("pair", key, &[one, other], &self.live, move |opened, control| {
                compare(opened[0].subject(), opened[1].subject(), &options, control)
            })
            .await;
        match self.or_skipped("compare", compared)? {
            None => {}
            Some(mut comparison) => {
                (comparison.a, comparison.b) = (one.name().to_owned(), other.name().to_owned());
                self.change_outcome(|outcome| {
                    outcome.findings.extend(findings(&comparison));
                    outcome.comparisons.push(json!(comparison));
                })?;
            }
        }
        self.step_done().await
    }

    async fn follow_series(&self, subjects: &[Subject]) -> Result<()> {
        self.go_on()?;
        let all: Vec<&Subject> = subjects.iter().collect();
        let followed = self
            .registry
            .kept_or_computed::<Series>("series", String::new(), &all, &self.live, |opened, control| {
                let subjects: Vec<Measurable<'_>> = opened.iter().map(Opened::subject).collect();
                series(&subjects, control)
            })
            .await;
        if let Some(mut found) = self.or_skipped("series", followed)? {
            let names: Vec<String> = subjects.iter().map(|subject| subject.name().to_owned()).collect();
            for (step, pair) in found.steps.iter_mut().zip(names.windows(2)) {
                (step.from, step.to) = (pair[0].clone(), pair[1].clone());
            }
            found.order = names;
            self.change_outcome(|outcome| outcome.series = Some(json!(found)))?;
        }
        self.step_done().await
    }

    /// A check that gives no answer says why; only an asked-for end ends the rest too.
    pub(super) fn or_skipped<T>(&self, check: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if super::report::is_cancelled(&error) || self.live.is_stopped() => {
                Err(super::report::cancelled())
            }
            Err(error @ Error::Internal { .. }) => Err(error),
            Err(error) => {
                let gap: Value = json!({"check": check, "reason": error.to_string()});
                self.change_outcome(|outcome| outcome.skipped.push(gap))?;
                Ok(None)
            }
        }
    }
}

impl Registry {
    /// What is kept of these contents together, or computed now and kept.
    async fn kept_or_computed<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        kind: &'static str,
        options: String,
        subjects: &[&Subject],
        live: &Arc<LiveEvaluation>,
        compute: impl FnOnce(&[Opened], &Control<'_>) -> Result<T, EvaluateError> + Send + 'static,
    ) -> Result<T> {
        let mut contents = Vec::new();
        let mut files: Vec<(PathBuf, String)> = Vec::new();
        for subject in subjects {
            let sha256 = subject.sha256.clone().filter(|_| subject.error.is_none());
            contents.push(sha256.ok_or_else(|| unreadable(subject.name(), "it has no report"))?);
            let at = subject.model_path()?.below(&self.inner.config.models_dir);
            files.push((at, subject.name().to_owned()));
        }
        let key = ResultKey { kind, content: contents.join(":"), tool: tool(), options };
        let _turn = self.inner.evaluations.computing(&key).await;
        let unreadable = |error| Error::internal("a kept comparison cannot be read", error);
        if let Some(kept) = self.inner.store.find_result(&key).await? {
            return serde_json::from_str(&kept.document).map_err(unreadable);
        }
        let (watched, what) = (Arc::clone(live), format!("a {kind} of files"));
        let computed = self.blocking("comparing files", move || {
            let opened: Vec<Opened> =
                files.iter().map(|(path, name)| Opened::read(path, name)).collect::<Result<_>>()?;
            let control = Control {
                threads: THREADS,
                cancelled: &|| watched.is_stopped(),
                progress: &|done, total| watched.note(&what, done, total),
            };
            compute(&opened, &control).map_err(|error| explained("files that are compared", error))
        });
        let answer = computed.await??;
        let document = serde_json::to_string(&answer)
            .map_err(|error| Error::internal("a comparison cannot be written", error))?;
        let computed_at = self.inner.clock.now();
        let result =
            StoredResult { document, scope: None, frobenius_total: None, effective_rank: None, computed_at };
        self.inner.store.save_result(&key, &result).await?;
        Ok(answer)
    }
}
