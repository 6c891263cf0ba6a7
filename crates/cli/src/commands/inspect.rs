//! `lorakeep inspect`: what files say of themselves, without a server and without a data folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use lorakeep_registry::{FileFacts, hash_file, inspect_file};
use serde_json::json;

use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::progress::ByteProgress;
use crate::units::counted;

/// Say what files are: kind, base model, rank, trigger words, and whether they may be loaded
///
/// Reads the files where they are and changes nothing; needs neither a server nor a data folder. Exit code 1 when a file
/// cannot be read or may not be loaded.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep inspect style.safetensors
  lorakeep inspect *.safetensors --json
  lorakeep inspect style.safetensors --hashes          SHA-256, AutoV1 to AutoV3, BLAKE3, CRC32")]
pub(crate) struct InspectArgs {
    /// Files on this machine
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Read the files whole for the hashes that other tools know them by
    #[arg(long)]
    hashes: bool,
}

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Result<Ended> {
    let mut all = Vec::new();
    let mut failed = false;
    for file in &args.files {
        match inspect(file, args.hashes, output) {
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

fn inspect(file: &Path, with_hashes: bool, output: &Output) -> Result<FileFacts> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let wrong = |error: std::io::Error| {
        Failure::new(format!("cannot inspect `{}`: {error}", file.display())).caused_by(&error)
    };
    let mut facts = inspect_file(file, &name).map_err(wrong)?;
    if with_hashes {
        let (total, began) = (std::fs::metadata(file).map_or(0, |metadata| metadata.len()), Instant::now());
        let progress = ByteProgress::new(output, "hashing");
        facts.hashes = Some(hash_file(file, |done| progress.show(done, total, began)).map_err(wrong)?);
        progress.finish();
    }
    Ok(facts)
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
        if let Some(hashes) = &facts.hashes {
            let none = || "none".to_owned();
            Output::line(&format!(
                "{}\n  SHA-256  {}\n  AutoV1   {}\n  AutoV2   {}\n  AutoV3   {}\n  BLAKE3   {}\n  CRC32    {}",
                facts.path,
                hashes.sha256,
                hashes.auto_v1.clone().unwrap_or_else(none),
                hashes.auto_v2,
                hashes.auto_v3.clone().unwrap_or_else(none),
                hashes.blake3,
                hashes.crc32
            ))?;
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
