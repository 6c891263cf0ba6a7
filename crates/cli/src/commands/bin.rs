//! `lorakeep bin`: what was deleted, getting it back, freeing it.

use clap::{Args, Subcommand};

use crate::api::{Api, BinItem, Reply, is_id, page_of, short_id};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::units::{bytes, counted, minute};

/// Show deleted files, bring them back, or free their space
///
/// Deleted files stay in the bin for 7 days (LORAKEEP_BIN_DAYS), or until a download needs the space.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep bin
  lorakeep bin restore style.safetensors
  lorakeep bin purge --older-than 2
  lorakeep bin purge --yes")]
pub(crate) struct BinArgs {
    /// `list` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the bin, newest first
    List,
    /// Move files back to their places
    Restore {
        /// File names (the newest of that name), folder/name, or ids of the list
        #[arg(required = true, value_name = "FILE|ID")]
        items: Vec<String>,
    },
    /// Free space for good: of everything, unless told otherwise
    Purge {
        /// File names (the newest of that name), folder/name, or ids of the list; everything when absent
        #[arg(value_name = "FILE|ID")]
        items: Vec<String>,
        /// What was deleted at least that many days ago
        #[arg(long, value_name = "DAYS", conflicts_with = "items")]
        older_than: Option<u32>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(args: BinArgs, api: &Api, output: &Output) -> Result<Ended> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(api, output).await,
        Action::Restore { items } => restore(&items, api, output).await,
        Action::Purge { items, older_than, yes } => {
            if items.is_empty() {
                purge_by_age(older_than.unwrap_or(0), yes, api, output).await
            } else {
                purge_items(&items, yes, api, output).await
            }
        }
    }
}

async fn list(api: &Api, output: &Output) -> Result<Ended> {
    let items = api.bin().await?;
    if output.is_json() {
        output.json(&page_of(&items))?;
        return Ok(Ended::Done);
    }
    if items.is_empty() {
        output.say("the bin is empty");
        return Ok(Ended::Done);
    }
    let sum = items.iter().map(|item| item.data.size_bytes).sum();
    output.table(
        &["ID", "FILE", "FOLDER", "SIZE", "DELETED", "PURGED"],
        items.iter().map(|item| row(&item.data)).collect(),
    )?;
    output.say(&format!("{}, {}", counted(items.len() as u64, "file"), bytes(sum)));
    Ok(Ended::Done)
}

fn row(item: &BinItem) -> Vec<Field> {
    vec![
        Field::toned(short_id(&item.id), Tone::Faint),
        Field::text(&item.file),
        Field::text(&item.dest),
        Field::number(bytes(item.size_bytes)),
        Field::text(minute(&item.deleted_at)),
        Field::text(item.expires_at.as_deref().map_or_else(|| "never".to_owned(), minute)),
    ]
}

async fn restore(wanted: &[String], api: &Api, output: &Output) -> Result<Ended> {
    let items = find(wanted, &api.bin().await?)?;
    let mut answers = Vec::new();
    for item in &items {
        let restored = api.restore(&item.id).await?;
        let place = if restored.data.dest.is_empty() { "the models root" } else { &restored.data.dest };
        output.say(&format!("restored `{}` to {place}", restored.data.file));
        answers.push(restored.json);
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::Done)
}

async fn purge_items(wanted: &[String], yes: bool, api: &Api, output: &Output) -> Result<Ended> {
    let items = find(wanted, &api.bin().await?)?;
    let sum = items.iter().map(|item| item.size_bytes).sum();
    let question = format!("free {} ({}) for good?", counted(items.len() as u64, "file"), bytes(sum));
    if !yes && !output.confirm(&question)? {
        return Ok(kept(output));
    }
    let mut answers = Vec::new();
    for item in &items {
        let purged = api.purge_item(&item.id).await?;
        output.say(&format!("freed `{}` ({})", item.file, bytes(item.size_bytes)));
        answers.push(purged.json);
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::Done)
}

async fn purge_by_age(days: u32, yes: bool, api: &Api, output: &Output) -> Result<Ended> {
    let question = match days {
        0 => "free everything in the bin for good?".to_owned(),
        days => format!("free what was deleted at least {} ago for good?", counted(days.into(), "day")),
    };
    if !yes && !output.confirm(&question)? {
        return Ok(kept(output));
    }
    let purged = api.purge_bin(days).await?;
    output.say(&format!("freed {}, {}", counted(purged.data.items, "file"), bytes(purged.data.bytes)));
    if output.is_json() {
        output.json(&purged.json)?;
    }
    Ok(Ended::Done)
}

fn kept(output: &Output) -> Ended {
    output.say("nothing was freed");
    Ended::Failed
}

/// The items that are meant, each once: by id, by path, or the newest of that file name.
fn find(wanted: &[String], items: &[Reply<BinItem>]) -> Result<Vec<BinItem>> {
    let mut found: Vec<BinItem> = Vec::new();
    for name in wanted {
        let named = |item: &BinItem| {
            is_id(&item.id, name) || item.file == *name || format!("{}/{}", item.dest, item.file) == *name
        };
        let is_new = |item: &BinItem| found.iter().all(|other| other.id != item.id);
        let item = items.iter().map(|item| &item.data).find(|item| named(item) && is_new(item)).ok_or_else(
            || Failure::new(format!("`{name}` is not in the bin")).hint("`lorakeep bin list` shows what is"),
        )?;
        found.push(item.clone());
    }
    Ok(found)
}
