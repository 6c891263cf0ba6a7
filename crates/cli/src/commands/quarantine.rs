//! `lorakeep quarantine`: files that may not be loaded, and what to do with them.

use clap::{Args, Subcommand};

use crate::api::{Api, Quarantined, page_of};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::{bytes, counted};

/// Show files that may not be loaded, release them by their SHA-256, or remove them
///
/// Downloads and uploads whose content may be a program are kept apart, where no loader finds them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep quarantine
  lorakeep quarantine rm 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  lorakeep quarantine release 9f86d081…  when you know what it is and trust who made it")]
pub(crate) struct QuarantineArgs {
    /// `list` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them with the rule that they broke, newest first
    List,
    /// Put a file where it was to go although it may run a program when it is loaded
    Release {
        /// Its SHA-256, all 64 digits
        sha256: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Remove files for good
    Rm {
        /// Their SHA-256, all 64 digits
        #[arg(required = true, value_name = "SHA256")]
        hashes: Vec<String>,
    },
}

pub(crate) async fn run(args: QuarantineArgs, api: &Api, output: &Output) -> Result<Ended> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(api, output).await,
        Action::Release { sha256, yes } => release(&sha256, yes, api, output).await,
        Action::Rm { hashes } => remove(&hashes, api, output).await,
    }
}

async fn list(api: &Api, output: &Output) -> Result<Ended> {
    let files = api.quarantine().await?;
    if output.is_json() {
        output.json(&page_of(&files))?;
        return Ok(Ended::Done);
    }
    if files.is_empty() {
        output.say("nothing is in quarantine");
        return Ok(Ended::Done);
    }
    let rows = files.iter().map(|file| row(&file.data)).collect();
    output.table(&["SHA-256", "FILE", "FOLDER", "SIZE", "FROM", "REASON"], rows)?;
    output.say(&counted(files.len() as u64, "file"));
    Ok(Ended::Done)
}

fn row(file: &Quarantined) -> Vec<Field> {
    vec![
        Field::toned(&file.sha256, Tone::Faint),
        Field::text(&file.file),
        Field::text(&file.dest),
        Field::number(bytes(file.size_bytes)),
        Field::text(&file.source),
        Field::toned(&file.reason, Tone::Bad),
    ]
}

async fn release(sha256: &str, yes: bool, api: &Api, output: &Output) -> Result<Ended> {
    let question = format!("loading `{sha256}` may run a program; release it?");
    if !yes && !output.confirm(&question)? {
        output.say("nothing was released");
        return Ok(Ended::Failed);
    }
    let released = api.release_quarantined(sha256).await?;
    output.say(&format!("released `{}` to `{}`", released.data.file, released.data.dest));
    if output.is_json() {
        output.json(&released.json)?;
    }
    Ok(Ended::Done)
}

async fn remove(hashes: &[String], api: &Api, output: &Output) -> Result<Ended> {
    let mut answers = Vec::new();
    for sha256 in hashes {
        let removed = api.remove_quarantined(sha256).await?;
        output.say(&format!("removed `{sha256}` ({})", bytes(removed.data.bytes)));
        answers.push(removed.json);
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::Done)
}
