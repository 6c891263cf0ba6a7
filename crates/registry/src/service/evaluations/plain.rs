//! Files that no library holds: for a command line that is given paths.

use std::path::{Path, PathBuf};

use lorakeep_weights::evaluate::report::FileReport;

use super::report::Question;
use super::request::EvaluationRequest;
use crate::error::Result;

/// A file by its path.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainSubject {
    /// Where it is.
    pub path: PathBuf,
    /// What was found.
    pub report: FileReport,
}

/// Evaluates the files of a request as paths, in their order; blocks the thread. `progress` hears the place of the
/// file, modules done and modules in all.
///
/// Fails at the first file that cannot be read; a damaged one has a report that says so.
pub fn evaluate_plain(
    request: &EvaluationRequest,
    progress: &(dyn Fn(usize, usize, usize) + Sync),
) -> Result<Vec<PlainSubject>> {
    let evaluated = |(place, file): (usize, &String)| {
        let path = Path::new(file);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let question = Question::new(request, path, &name);
        let report = question.answer(path, &|| false, &|done, total| progress(place, done, total))?;
        Ok(PlainSubject { path: path.to_owned(), report })
    };
    request.files.iter().enumerate().map(evaluated).collect()
}
