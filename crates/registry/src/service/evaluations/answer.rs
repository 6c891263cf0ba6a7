//! The answer: what is kept of an evaluation put together with the reports of its files, cut to what was asked.

use chrono::{DateTime, SecondsFormat, Utc};
use lorakeep_weights::evaluate::report::{Finding, Level, SCHEMA_VERSION, Series, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::report::file_key;
use super::request::{Check, EvaluationRequest, ReportDetail};
use super::schema::{
    AnsweredComparison, AnsweredError, AnsweredFile, AnsweredGap, AnsweredImages, AnsweredProgress,
    AnsweredVerdict,
};
use super::subject::Subject;
use crate::domain::{EvaluationId, ModelPath};
use crate::error::{Error, Result};
use crate::service::Registry;
use crate::store::{StoredEvaluation, StoredResult};

/// An evaluation as it is answered; `docs/http-api.md` is its page.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Evaluation")]
pub struct EvaluationAnswer {
    /// `ev_` and 32 digits.
    pub evaluation_id: String,
    /// `queued`, `running`, `completed`, `failed` or `cancelled`.
    #[schemars(extend("enum" = ["queued", "running", "completed", "failed", "cancelled"]))]
    pub status: &'static str,
    /// The version of this shape.
    pub schema_version: u32,
    /// What measured.
    pub tool: Tool,
    /// When it was asked for.
    pub created_at: String,
    /// When a worker began.
    pub started_at: Option<String>,
    /// When it was over.
    pub finished_at: Option<String>,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// The gravest that was found, and all of it.
    #[schemars(with = "Option<AnsweredVerdict>")]
    pub verdict: Option<Value>,
    /// One a file, in the order of the request.
    #[schemars(with = "Vec<AnsweredFile>")]
    pub files: Vec<Value>,
    /// One a pair of files.
    #[schemars(with = "Vec<AnsweredComparison>")]
    pub comparisons: Vec<Value>,
    /// The files as checkpoints of one training.
    #[schemars(with = "Option<Series>")]
    pub series: Option<Value>,
    /// Pictures.
    #[schemars(with = "Option<AnsweredImages>")]
    pub images: Option<Value>,
    /// What gave no number, and why.
    #[schemars(with = "Vec<AnsweredGap>")]
    pub skipped: Vec<Value>,
    /// How far it is.
    #[schemars(with = "AnsweredProgress")]
    pub progress: Value,
    /// Why it failed.
    #[schemars(with = "Option<AnsweredError>")]
    pub error: Option<Value>,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl EvaluationAnswer {
    /// The same without what the reports hold, for lists.
    pub(super) fn without_reports(mut self) -> Self {
        const KEPT: [&str; 9] =
            ["id", "name", "partial_path", "path", "size_bytes", "sha256", "cached", "error", "verdict"];
        for file in self.files.iter_mut().filter_map(Value::as_object_mut) {
            file.retain(|name, _| KEPT.contains(&name.as_str()));
        }
        (self.comparisons, self.series, self.images) = (Vec::new(), None, None);
        self
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        !matches!(self.status, "queued" | "running")
    }
}

/// What a row keeps beside the reports of its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    pub(crate) comparisons: Vec<Value>,
    pub(crate) series: Option<Value>,
    pub(crate) images: Option<Value>,
    pub(crate) skipped: Vec<Value>,
    pub(crate) findings: Vec<Finding>,
}

/// The name of an evaluation outside.
pub(super) fn shown_id(id: EvaluationId) -> String {
    format!("ev_{id}")
}

/// An id as it was shown, or without the `ev_`.
pub(super) fn parse_id(text: &str) -> Option<EvaluationId> {
    text.strip_prefix("ev_").unwrap_or(text).parse().ok()
}

impl Registry {
    /// Puts an answer together.
    pub(super) async fn answer_of(&self, stored: &StoredEvaluation) -> Result<EvaluationAnswer> {
        let unreadable = |error: serde_json::Error| {
            Error::internal(format!("the evaluation `{}` in the database cannot be read", stored.id), error)
        };
        let request: EvaluationRequest = serde_json::from_str(&stored.request).map_err(unreadable)?;
        let subjects: Vec<Subject> = serde_json::from_str(&stored.files).map_err(unreadable)?;
        let outcome = stored.outcome.as_deref().map(serde_json::from_str::<Outcome>).transpose();
        let outcome = outcome.map_err(unreadable)?.unwrap_or_default();
        let mut found = Found::of(subjects.len());
        let mut files = Vec::new();
        for subject in &subjects {
            files.push(self.file_answer(&request, subject, &mut found).await?);
        }
        outcome.findings.into_iter().for_each(|finding| found.add(None, finding));
        found.skipped.extend(outcome.skipped);
        let skipped = found.take_skipped();
        let duration = stored.started_at.zip(stored.finished_at);
        Ok(EvaluationAnswer {
            evaluation_id: shown_id(stored.id),
            status: stored.state.as_str(),
            schema_version: SCHEMA_VERSION,
            tool: Tool { name: "lorakeep", version: env!("CARGO_PKG_VERSION") },
            created_at: moment(stored.created_at),
            started_at: stored.started_at.map(moment),
            finished_at: stored.finished_at.map(moment),
            duration_ms: duration.map(|(start, end)| (end - start).num_milliseconds()),
            verdict: stored.state.is_over().then(|| found.verdict()),
            files,
            comparisons: outcome.comparisons,
            series: outcome.series,
            images: outcome.images,
            skipped,
            progress: self.progress_of(stored),
            error: stored
                .error
                .as_ref()
                .map(|message| json!({"code": stored.error_code, "message": message})),
        })
    }

    fn progress_of(&self, stored: &StoredEvaluation) -> Value {
        let step = self.inner.evaluations.live(stored.id).and_then(|live| live.step());
        let step = step.map(|step| json!({"what": step.what, "done": step.done, "total": step.total}));
        json!({"done": stored.steps_done, "total": stored.steps_total, "step": step})
    }

    /// A file's report, cut to what was asked, with its place among the others.
    async fn file_answer(
        &self,
        request: &EvaluationRequest,
        subject: &Subject,
        found: &mut Found,
    ) -> Result<Value> {
        let path = subject.model_path()?;
        let mut answer = Map::new();
        let mut put = |name: &str, value: Value| drop(answer.insert(name.to_owned(), value));
        put("id", self.entry_id_of(&path).into());
        put("name", subject.name().into());
        put("partial_path", Self::partial_path(&path).into());
        put("path", subject.path.clone().into());
        put("size_bytes", subject.size_bytes.into());
        put("sha256", subject.sha256.clone().into());
        put("cached", subject.is_known.into());
        put("error", subject.error.clone().into());
        let kept = match subject.sha256.as_ref().zip(subject.options.clone()) {
            Some((sha256, options)) => {
                let key = file_key(sha256, options);
                self.inner.store.find_result(&key).await?.map(|kept| (key, kept))
            }
            None => None,
        };
        if let Some((key, kept)) = kept {
            let mut report = parsed(&kept)?;
            found.take_from(subject.name(), &mut report);
            cut(request, &mut report);
            answer.append(&mut report);
            let reference = self.reference_of(&key, &kept).await?;
            answer.insert("reference".to_owned(), reference);
        }
        Ok(Value::Object(answer))
    }

    fn entry_id_of(&self, path: &ModelPath) -> Option<String> {
        self.library().entries_at(path).first().map(|entry| entry.id.to_string())
    }

    /// Where a file stands among the others of its kind that were evaluated here.
    async fn reference_of(&self, key: &crate::store::ResultKey, kept: &StoredResult) -> Result<Value> {
        let Some(scope) = &kept.scope else { return Ok(Value::Null) };
        let others = self.inner.store.result_population(scope, key).await?;
        let norms: Vec<f64> = others.iter().filter_map(|other| other.0).collect();
        let ranks: Vec<f64> = others.iter().filter_map(|other| other.1).collect();
        Ok(reference(scope, kept, &norms, &ranks))
    }
}

/// What is said of the place of a file: within the library of this installation, never as a grade.
fn reference(scope: &str, kept: &StoredResult, norms: &[f64], ranks: &[f64]) -> Value {
    let population = norms.len();
    let note = match population {
        0 => "no other file of this architecture and algorithm was evaluated here yet".to_owned(),
        count => format!("percentiles within {count} other files of this library; a place is no grade"),
    };
    json!({
        "population": population,
        "scope": scope,
        "of": "files evaluated in this library",
        "percentile": {
            "frobenius_total": percentile(kept.frobenius_total, norms),
            "effective_rank_p50": percentile(kept.effective_rank, ranks),
        },
        "note": note,
    })
}

/// The share of the others that are below, ties by half, 0 to 100 in whole numbers.
fn percentile(value: Option<f64>, others: &[f64]) -> Option<u64> {
    let value = value.filter(|_| !others.is_empty())?;
    let below = others.iter().filter(|other| **other < value).count() as f64;
    let equal = others.iter().filter(|other| other.total_cmp(&value).is_eq()).count() as f64;
    Some(((below + equal / 2.0) / others.len() as f64 * 100.0).round() as u64)
}

fn parsed(kept: &StoredResult) -> Result<Map<String, Value>> {
    serde_json::from_str(&kept.document)
        .map_err(|error| Error::internal("a kept report cannot be read", error))
}

/// Takes away what was not asked for.
pub(super) fn cut(request: &EvaluationRequest, report: &mut Map<String, Value>) {
    for name in ["schema_version", "tool_version", "findings", "skipped"] {
        report.shift_remove(name);
    }
    let sections = [
        ("weights", request.has(Check::Weights)),
        ("spectrum", request.has(Check::Spectrum)),
        ("compatibility", request.has(Check::Compatibility)),
        ("blocks", request.detail >= ReportDetail::Blocks),
        ("modules", request.detail >= ReportDetail::Modules),
    ];
    for (name, is_wanted) in sections {
        if !is_wanted {
            report.shift_remove(name);
        }
    }
}

/// Findings and gaps of all files.
#[derive(Default)]
pub(super) struct Found {
    several: bool,
    findings: Vec<(Option<String>, Finding)>,
    skipped: Vec<Value>,
}

impl Found {
    /// Of so many files.
    pub(super) fn of(files: usize) -> Self {
        Self { several: files > 1, ..Self::default() }
    }

    pub(super) fn take_skipped(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.skipped)
    }

    pub(super) fn add(&mut self, file: Option<&str>, finding: Finding) {
        self.findings.push((file.map(str::to_owned), finding));
    }

    /// Takes what a report found, and says of which file it is.
    pub(super) fn take_from(&mut self, name: &str, report: &mut Map<String, Value>) {
        let findings = report.get("findings").cloned().unwrap_or_default();
        let findings: Vec<Finding> = serde_json::from_value(findings).unwrap_or_default();
        let verdict = Verdict::new(findings.clone());
        report.insert("verdict".to_owned(), json!({"level": verdict.level, "summary": verdict.summary}));
        findings.into_iter().for_each(|finding| self.add(Some(name), finding));
        let skipped = report.get("skipped").and_then(Value::as_array).cloned().unwrap_or_default();
        self.skipped.extend(skipped.into_iter().map(|mut gap| {
            gap["file"] = name.into();
            gap
        }));
    }

    pub(super) fn verdict(self) -> Value {
        let mut findings = self.findings;
        findings.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
        let plain = Verdict::new(findings.iter().map(|(_, finding)| finding.clone()).collect());
        let gravest = findings.first().and_then(|(file, _)| file.as_deref());
        let summary = match gravest {
            Some(file) if self.several && plain.level != Level::Ok => format!("{file}: {}", plain.summary),
            _ => plain.summary,
        };
        let shown = |(file, finding): (Option<String>, Finding)| {
            let mut shown = json!(finding);
            shown["file"] = file.into();
            shown
        };
        let findings: Vec<Value> = findings.into_iter().map(shown).collect();
        json!({"level": plain.level, "summary": summary, "findings": findings})
    }
}

pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_others_counts_ties_by_half() {
        assert_eq!(percentile(Some(5.0), &[1.0, 5.0, 9.0, 10.0]), Some(38));
        assert_eq!(percentile(Some(11.0), &[1.0, 5.0]), Some(100));
        assert_eq!(percentile(Some(0.0), &[1.0]), Some(0));
        assert_eq!((percentile(Some(1.0), &[]), percentile(None, &[1.0])), (None, None));
    }
}
