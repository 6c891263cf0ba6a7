//! `lorakeep import`: entries from catalog files, or the built-in list.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::api::{Api, ImportReport, Reply};
use crate::args::Catalog;
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::units::counted;

/// A catalog of a hundred thousand entries is smaller; what is larger is something else.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// Add entries from catalog files, or the built-in list of well-known models
///
/// A catalog file is JSON: an object with `categories`, as `lorakeep export` writes it, or an array of entries. Entries
/// that are there already stay as they are; an entry that cannot be used is left out and reported, the others are added.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep import --builtin
  lorakeep import models.json
  lorakeep import --catalog loras styles.json
  curl -s https://files.example/models.json | lorakeep import -")]
pub(crate) struct ImportArgs {
    /// Catalog files; `-` reads standard input
    #[arg(value_name = "FILE", required_unless_present = "builtin", conflicts_with = "builtin",
          value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Add the built-in list of well-known public models
    #[arg(long, conflicts_with = "catalog")]
    builtin: bool,
    /// The catalog they go to
    #[arg(long, value_enum, default_value = "models")]
    catalog: Catalog,
}

pub(crate) async fn run(args: &ImportArgs, api: &Api, output: &Output) -> Result<Ended> {
    let mut reports: Vec<Value> = Vec::new();
    let mut failed = false;
    if args.builtin {
        let report = api.import_builtin().await?;
        failed |= tell("the built-in list", &report, output);
        reports.push(report.json);
    }
    for file in &args.files {
        let document = read(file)?;
        let report = api.import(args.catalog, &document).await.map_err(|failure| naming(failure, file))?;
        failed |= tell(&shown(file), &report, output);
        reports.push(report.json);
    }
    if output.is_json() {
        match reports.as_slice() {
            [report] => output.json(report)?,
            reports => output.json(&reports)?,
        }
    }
    Ok(Ended::failed_if(failed))
}

/// Says what was done; whether entries were refused.
fn tell(source: &str, report: &Reply<ImportReport>, output: &Output) -> bool {
    let report = &report.data;
    for fault in &report.errors {
        let file = fault
            .file
            .as_str()
            .filter(|file| !file.is_empty())
            .map(|file| format!(" (`{file}`)"))
            .unwrap_or_default();
        output.error(&format!("{source}: entry {}{file}: {}", fault.index, fault.message));
    }
    if report.added.is_empty() && report.skipped.is_empty() && report.errors.is_empty() {
        output.warn(&format!("{source}: there are no entries in it"));
        return false;
    }
    let known = report.skipped.len().saturating_sub(report.errors.len());
    let mut parts = vec![format!("{} added", counted(report.added.len() as u64, "entry"))];
    if known > 0 {
        parts.push(format!("{known} there already"));
    }
    if !report.errors.is_empty() {
        parts.push(format!("{} refused", report.errors.len()));
    }
    output.say(&format!("{source}: {}", parts.join(", ")));
    !report.errors.is_empty()
}

fn read(file: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let cannot = |error: std::io::Error| {
        Failure::new(format!("cannot read `{}`: {}", shown(file), reason(&error))).caused_by(&error)
    };
    let mut document = Vec::new();
    let mut source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(cannot)?)
    };
    source.by_ref().take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut document).map_err(cannot)?;
    if document.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(Failure::new(format!("`{}` is too large for a catalog file", shown(file)))
            .hint("a catalog is JSON of at most 64 MiB; is it a model file?"));
    }
    Ok(document)
}

fn naming(failure: Failure, file: &Path) -> Failure {
    Failure { message: format!("{}: {}", shown(file), failure.message), ..failure }
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
