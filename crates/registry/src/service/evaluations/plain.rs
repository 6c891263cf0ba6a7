//! Files that no library holds: for a command line that is given paths.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use lorakeep_transfer::{Replace, publish_open};
use lorakeep_weights::evaluate::compare::{compare, series};
use lorakeep_weights::evaluate::resize::{ResizeError, ResizeTarget, resize};
use lorakeep_weights::evaluate::{Control, Subject as Measurable};
use serde_json::{Map, Value, json};

use super::answer::{Found, Outcome, cut};
use super::base::{BaseFile, KnownWeights};
use super::pairs::{Opened, findings, options};
use super::report::{Question, THREADS, explained};
use super::request::{Check, EvaluationRequest};
use crate::error::{Error, Result};

/// Evaluates the files of a request as paths; blocks the thread. The answer has the shape of a server's, without what
/// only a library knows. `progress` hears what is worked on, how much of it is done and how much there is.
///
/// `Invalid` names what cannot be meant, pictures among it, since they need a server; `Unavailable` the file that cannot
/// be read. A damaged file has a report that says so.
pub fn evaluate_plain(
    request: &EvaluationRequest,
    progress: &(dyn Fn(&str, usize, usize) + Sync),
) -> Result<Value> {
    if let Some(fault) = request.faults().into_iter().next() {
        let message = format!("`{}`: {}", fault.field(), fault.message);
        return Err(Error::invalid("bad_request", fault.field(), message));
    }
    if request.has(Check::Images) {
        let message = "pictures are made by a server with a generator, for files of its library";
        return Err(Error::invalid("needs_server", "images", message));
    }
    let mut found = Found::of(request.files.len());
    let (mut files, known) = (Vec::new(), KnownWeights::default());
    for file in &request.files {
        files.push(file_answer(request, Path::new(file), &known, &mut found, progress)?);
    }
    let outcome = beside_each_other(request, progress)?;
    outcome.findings.into_iter().for_each(|finding| found.add(None, finding));
    let mut skipped = found.take_skipped();
    skipped.extend(outcome.skipped);
    Ok(json!({
        "status": "completed",
        "schema_version": lorakeep_weights::evaluate::report::SCHEMA_VERSION,
        "tool": {"name": "lorakeep", "version": env!("CARGO_PKG_VERSION")},
        "verdict": found.verdict(),
        "files": files,
        "comparisons": outcome.comparisons,
        "series": outcome.series,
        "skipped": skipped,
    }))
}

fn file_answer(
    request: &EvaluationRequest,
    path: &Path,
    known: &KnownWeights,
    found: &mut Found,
    progress: &(dyn Fn(&str, usize, usize) + Sync),
) -> Result<Value> {
    let name = name_of(path);
    let base = request.base.as_ref().map(|base| BaseFile::at(Path::new(&base.file), base.use_weights));
    let question = Question::new(request, path, &name, base.transpose()?);
    let report = question.answer(path, known, &|| false, &|done, total| progress(&name, done, total))?;
    let written = |error| Error::internal("a report cannot be written", error);
    let Value::Object(mut report) = serde_json::to_value(&report).map_err(written)? else {
        return Err(Error::internal("a report cannot be written", "it is no object"));
    };
    let mut answer = Map::new();
    answer.insert("name".to_owned(), name.clone().into());
    answer.insert("path".to_owned(), path.display().to_string().into());
    found.take_from(&name, &mut report);
    cut(request, &mut report);
    answer.append(&mut report);
    Ok(Value::Object(answer))
}

/// Comparisons and series, as far as they were asked for and the files can be read.
fn beside_each_other(
    request: &EvaluationRequest,
    progress: &(dyn Fn(&str, usize, usize) + Sync),
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if !request.has(Check::Compare) && !request.has(Check::Series) {
        return Ok(outcome);
    }
    let mut opened = Vec::new();
    for file in &request.files {
        match Opened::read(Path::new(file), &name_of(Path::new(file))) {
            Ok(file) => opened.push(file),
            Err(error) => outcome.skipped.push(json!({"check": "compare", "reason": error.to_string()})),
        }
    }
    let note = |done, total| progress("files beside each other", done, total);
    let control = Control { threads: THREADS, cancelled: &|| false, progress: &note };
    let failed = |error| explained("files that are compared", error);
    if request.has(Check::Compare) {
        for (place, one) in opened.iter().enumerate() {
            for other in &opened[place + 1..] {
                let compared = compare(one.subject(), other.subject(), &options(opened.len()), &control);
                let compared = compared.map_err(failed)?;
                outcome.findings.extend(findings(&compared));
                outcome.comparisons.push(json!(compared));
            }
        }
    }
    if request.has(Check::Series) && opened.len() > 1 {
        let subjects: Vec<Measurable<'_>> = opened.iter().map(Opened::subject).collect();
        outcome.series = Some(json!(series(&subjects, &control).map_err(failed)?));
    }
    Ok(outcome)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What a smaller file is to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SmallerTo {
    /// Each module the lowest rank that holds this share of its energy, above 0 and at most 1.
    Energy(f64),
    /// All modules at most this rank.
    Rank(u64),
}

/// Writes the adapter at `source` smaller to `target` and answers what was kept, predicted and measured; blocks the
/// thread. What appears at `target` is whole.
///
/// `Conflict` (`file_exists`) when something is there, `Invalid` when it cannot be made smaller so.
pub fn resize_plain(
    source: &Path,
    target: &Path,
    to: SmallerTo,
    progress: &(dyn Fn(&str, usize, usize) + Sync),
) -> Result<Value> {
    if target.exists() {
        let message = format!("`{}` exists; choose another name", target.display());
        return Err(Error::conflict("file_exists", message));
    }
    let opened = Opened::read(source, &name_of(source))?;
    // A name that no program loads, until it is whole.
    let part = target.with_file_name(format!(".{}.{:x}.part", name_of(target), fastrand::u64(..)));
    let resized = write_smaller(&opened, &part, target, to, progress);
    if resized.is_err() {
        // Best effort: the failure itself is what to tell.
        drop(fs::remove_file(&part));
    }
    resized
}

fn write_smaller(
    opened: &Opened,
    part: &Path,
    target: &Path,
    to: SmallerTo,
    progress: &(dyn Fn(&str, usize, usize) + Sync),
) -> Result<Value> {
    let failed = |error: std::io::Error| crate::files::io_error("the smaller file", error);
    let mut output = OpenOptions::new().read(true).write(true).create_new(true).open(part).map_err(failed)?;
    let note = |done, total| progress("modules", done, total);
    let control = Control { threads: THREADS, cancelled: &|| false, progress: &note };
    let to = match to {
        SmallerTo::Energy(share) => ResizeTarget::Energy(share),
        SmallerTo::Rank(rank) => ResizeTarget::Rank(rank),
    };
    let resized = resize(opened.subject(), to, &mut output, &control).map_err(refused)?;
    drop(output);
    let whole = File::open(part).map_err(failed)?;
    publish_open(whole, part, target, Replace::Never).map_err(|error| Error::Unavailable {
        code: "not_written",
        message: format!("`{}` cannot be written: {error}", target.display()),
    })?;
    Ok(json!(resized))
}

fn refused(error: ResizeError) -> Error {
    let message = error.to_string();
    match error {
        ResizeError::Evaluate(error) => explained("the file", error),
        ResizeError::Energy(_) => Error::invalid("bad_energy", "energy", message),
        ResizeError::Rank => Error::invalid("bad_rank", "rank", message),
        ResizeError::NothingToResize => Error::invalid("nothing_to_resize", "file", message),
        ResizeError::Write(error) => crate::files::io_error("the smaller file", error),
        ResizeError::Wrong(_) => Error::internal(message, "what was written is not what was meant"),
    }
}
