//! `lorakeep duplicates`: the same content more than once, and what it wastes.

use clap::Args;
use serde_json::json;

use crate::api::{Api, DuplicateFile, DuplicateGroup, Duplicates, Reply};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::{bytes, counted};

/// Show files that are there more than once
///
/// `content` means the same bytes; `tensors` the same model with other words in its header. Copies that share their bytes on the
/// disk waste nothing. --bin moves copies of the same content to the bin and keeps one of each: the one that a catalog
/// knows, then the oldest, then the first by path. Files of the same tensors are never moved.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep duplicates
  lorakeep duplicates --bin
  lorakeep duplicates --json | jq .wasted_bytes")]
pub(crate) struct DuplicatesArgs {
    /// Move all copies but one to the bin, from which they can come back
    #[arg(long)]
    bin: bool,
    /// Do not ask
    #[arg(long, short, requires = "bin")]
    yes: bool,
}

pub(crate) async fn run(args: &DuplicatesArgs, api: &Api, output: &Output) -> Result<Ended> {
    let report = api.duplicates().await?;
    if !args.bin {
        if output.is_json() {
            output.json(&report.json)?;
        } else {
            tell(&report.data, output)?;
        }
        return Ok(Ended::Done);
    }
    bin(&report, args, api, output).await
}

fn tell(report: &Duplicates, output: &Output) -> Result<()> {
    let rows: Vec<Vec<Field>> = report.items.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        output.table(&["SAME", "FILE", "SIZE", "WASTED", ""], rows)?;
    }
    if report.total > report.items.len() as u64 {
        output.say(&format!("and {} groups more", report.total - report.items.len() as u64));
    }
    if report.unhashed_files > 0 {
        output.warn(&format!(
            "the hash of {} ({}) is not known yet; a running server hashes them by and by, `lorakeep verify` now",
            counted(report.unhashed_files, "file"),
            bytes(report.unhashed_bytes)
        ));
    }
    match report.wasted_bytes {
        0 => output.say("no bytes are wasted by copies"),
        wasted => output.say(&format!("{} wasted; `lorakeep duplicates --bin` frees them", bytes(wasted))),
    }
    Ok(())
}

fn rows(group: &DuplicateGroup) -> Vec<Vec<Field>> {
    let row = |(index, file): (usize, &DuplicateFile)| {
        let note = match file {
            file if file.is_kept => "kept",
            file if file.is_shared => "shares its bytes",
            file if file.is_listed => "in a catalog",
            _ => "",
        };
        let first = index == 0;
        vec![
            Field::text(if first { group.same.as_str() } else { "" }),
            Field::text(&file.path),
            Field::number(bytes(file.size_bytes)),
            Field::number(if first && group.wasted_bytes > 0 {
                bytes(group.wasted_bytes)
            } else {
                String::new()
            }),
            Field::toned(note, if file.is_kept { Tone::Good } else { Tone::Faint }),
        ]
    };
    group.files.iter().enumerate().map(row).collect()
}

async fn bin(report: &Reply<Duplicates>, args: &DuplicatesArgs, api: &Api, output: &Output) -> Result<Ended> {
    let copies: Vec<&DuplicateFile> = report
        .data
        .items
        .iter()
        .filter(|group| group.same == "content")
        .flat_map(|group| group.files.iter().filter(|file| !file.is_kept))
        .collect();
    if copies.is_empty() {
        output.say("there are no copies");
        if output.is_json() {
            output.json(&json!([]))?;
        }
        return Ok(Ended::Done);
    }
    if !output.is_json() {
        tell(&report.data, output)?;
    }
    let question = format!(
        "move {} to the bin and keep one of each content (in a catalog first, then the oldest)?",
        counted_copies(copies.len())
    );
    if !args.yes && !output.confirm(&question)? {
        output.say("nothing was moved");
        return Ok(Ended::Failed);
    }
    let (mut answers, mut failed) = (Vec::new(), false);
    for copy in copies {
        match api.bin_duplicate(&copy.path).await {
            Ok(item) => {
                output.say(&format!("moved `{}` to the bin", copy.path));
                answers.push(item.json);
            }
            Err(failure) => {
                failed = true;
                output.report(&failure);
            }
        }
    }
    if output.is_json() {
        output.json(&answers)?;
    } else {
        output.say("`lorakeep bin restore` brings them back, `lorakeep bin purge` frees the space");
    }
    Ok(Ended::failed_if(failed))
}

fn counted_copies(count: usize) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}
