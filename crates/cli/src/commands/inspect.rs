//! `lorakeep inspect`: what files say of themselves, without a server and without a data folder.

use std::path::{Path, PathBuf};

use clap::Args;
use lorakeep_registry::{FileFacts, inspect_file};
use serde_json::json;

use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::units::counted;

/// Say what files are: kind, base model, rank, trigger words, and whether they may be loaded
///
/// Reads the files where they are and changes nothing; needs neither a server nor a data folder. Exit code 1 when a file
/// cannot be read or may not be loaded.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep inspect style.safetensors
  lorakeep inspect *.safetensors --json")]
pub(crate) struct InspectArgs {
    /// Files on this machine
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Result<Ended> {
    let mut all = Vec::new();
    let mut failed = false;
    for file in &args.files {
        match inspect(file) {
            Ok(facts) => {
                failed |= facts.verdict["verdict"] != "clean";
                all.push(facts);
            }
            Err(failure) if args.files.len() == 1 => return Err(failure),
            Err(failure) => {
                failed = true;
                output.report(&failure);
            }
        }
    }
    if output.is_json() {
        output.json(&json!({ "items": all, "next_cursor": null, "total": all.len() }))?;
    } else {
        show(&all, output)?;
    }
    Ok(Ended::failed_if(failed))
}

fn inspect(file: &Path) -> Result<FileFacts> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    inspect_file(file, &name).map_err(|error| {
        Failure::new(format!("cannot inspect `{}`: {error}", file.display())).caused_by(&error)
    })
}

fn show(all: &[FileFacts], output: &Output) -> Result<()> {
    output.table(
        &["FILE", "FORMAT", "KIND", "BASE MODEL", "RANK", "TRIGGER WORDS", "VERDICT"],
        all.iter().map(row).collect(),
    )?;
    for facts in all {
        if let Some(reason) = facts.verdict["reason"].as_str() {
            output.say(&format!("`{}`: {reason}", facts.path));
        }
        for warning in &facts.warnings {
            output.say(&format!("`{}`: {warning}", facts.path));
        }
    }
    output.say(&counted(all.len() as u64, "file"));
    Ok(())
}

fn row(facts: &FileFacts) -> Vec<Field> {
    let kind = match &facts.algorithm {
        Some(algorithm) if *algorithm != facts.kind => format!("{} ({algorithm})", facts.kind),
        _ => facts.kind.clone(),
    };
    let words: Vec<&str> = facts.trigger_words.iter().take(5).map(|word| word.word.as_str()).collect();
    let verdict = facts.verdict["verdict"].as_str().unwrap_or_default();
    let tone = if verdict == "clean" { Tone::Good } else { Tone::Bad };
    vec![
        Field::text(&facts.path),
        Field::text(&facts.format),
        Field::text(kind),
        Field::text(base_model(facts)),
        Field::number(facts.rank.map(|rank| rank.to_string()).unwrap_or_default()),
        Field::text(words.join(", ")),
        Field::toned(verdict, tone),
    ]
}

/// The base model with how sure it is, or the ones that it may be.
fn base_model(facts: &FileFacts) -> String {
    match &facts.base_model {
        Some(base_model) => format!("{base_model} ({:.0} %)", facts.confidence * 100.0),
        None if facts.candidates.is_empty() => String::new(),
        None => format!("one of {}", facts.candidates.join(", ")),
    }
}
