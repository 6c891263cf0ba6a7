//! `lorakeep list`: what the catalogs know, and what of it is here.

use clap::Args;
use serde_json::json;

use super::filters::FilterArgs;
use crate::api::{Api, Entry, Reply, Stats};
use crate::args::Catalog;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::{bytes, counted};

/// Conflicts of base models that are shown in full.
const MAX_CONFLICTS: usize = 5;

/// List what the catalogs know and what of it is on disk
///
/// One row an entry: its name, file, folder below the models root, size, base model and status. The sums go to standard
/// error. With --json: `{"items": […], "next_cursor": …, "total": n, "stats": {"models": …, "loras": …}}`, where an
/// item has every field of its catalog file, then `status`, `state`, `progress`, `on_disk_bytes`, `expected_bytes`,
/// `speed`, `error`, `verification`, `sha256_on_disk`; `id`, `catalog` and `category` stand before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep list
  lorakeep list flux --status not_downloaded
  lorakeep list --catalog loras --family 'Wan Video 2.2'
  lorakeep list --limit 100 --json                  one page; `next_cursor` is for --cursor
  lorakeep list --status present --json | jq -r '.items[].file'")]
pub(crate) struct ListArgs {
    /// Only entries that have all of these words, as `lorakeep search` finds them
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// Only so many entries; all when absent
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// `next_cursor` of the page before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[command(flatten)]
    filters: FilterArgs,
}

pub(crate) async fn run(args: &ListArgs, api: &Api, output: &Output) -> Result<Ended> {
    let mut query = "sort=place".to_owned();
    let filters = args.filters.query(&args.text);
    if !filters.is_empty() {
        query.push('&');
        query.push_str(&filters);
    }
    let found = api.search_up_to(&query, args.limit, args.cursor.as_deref()).await?;
    let stats = api.stats().await?;
    let wanted = |catalog: Catalog| args.filters.catalog.is_none_or(|wanted| wanted == catalog);
    if output.is_json() {
        let items: Vec<_> = found.entries.iter().map(|entry| &entry.json).collect();
        let all = Catalog::ALL.into_iter().filter(|catalog| wanted(*catalog)).map(Catalog::as_str);
        let stats: serde_json::Map<_, _> =
            all.map(|name| (name.to_owned(), stats.json[name].clone())).collect();
        let next_cursor = found.next_cursor();
        output.json(
            &json!({ "items": items, "next_cursor": next_cursor, "total": found.total, "stats": stats }),
        )?;
        return Ok(Ended::Done);
    }
    print_table(&found.entries, output)?;
    warn_of_conflicts(&found.entries, output);
    let known = [(Catalog::Models, &stats.data.models), (Catalog::Loras, &stats.data.loras)];
    let total =
        known.iter().filter(|(catalog, _)| wanted(*catalog)).map(|(_, stats)| stats.total_count).sum();
    say_sums(&found.entries, total, &stats.data.models, output);
    Ok(Ended::Done)
}

/// Files that CivitAI calls otherwise than their keys do; the first few by name.
fn warn_of_conflicts(entries: &[Reply<Entry>], output: &Output) {
    let conflicts: Vec<(&str, &str)> = entries
        .iter()
        .filter_map(|entry| Some((entry.data.file.as_str(), entry.data.base_model_conflict.as_deref()?)))
        .collect();
    for (file, text) in conflicts.iter().take(MAX_CONFLICTS) {
        output.warn(&format!("`{file}`: {text}"));
    }
    if conflicts.len() > MAX_CONFLICTS {
        output
            .warn(&format!("the same of {} more; `--json` names them all", conflicts.len() - MAX_CONFLICTS));
    }
}

/// Entries as a table; nothing when there is none.
pub(super) fn print_table(entries: &[Reply<Entry>], output: &Output) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows = entries.iter().map(|entry| row(&entry.data)).collect();
    output.table(&["NAME", "FILE", "FOLDER", "SIZE", "BASE MODEL", "STATUS"], rows)
}

fn row(entry: &Entry) -> Vec<Field> {
    let size = match (entry.on_disk_bytes, entry.expected_bytes) {
        (on_disk, _) if entry.status == "present" => bytes(on_disk),
        (_, 0) => "?".to_owned(),
        (_, expected) => bytes(expected),
    };
    vec![
        Field::text(&entry.name),
        Field::text(&entry.file),
        Field::text(&entry.dest),
        Field::number(size),
        Field::text(&entry.base_model),
        status(entry),
    ]
}

/// The status with the finer state where that says more, and how far it is.
fn status(entry: &Entry) -> Field {
    let is_wrong = entry.status == "present" && entry.verification == "mismatch";
    let tone = match entry.status.as_str() {
        "present" if is_wrong => Tone::Bad,
        "present" => Tone::Good,
        "downloading" | "queued" => Tone::Active,
        "error" => Tone::Bad,
        _ => Tone::Faint,
    };
    let word = match (entry.status.as_str(), entry.state.as_deref()) {
        ("not_downloaded", _) => "not downloaded",
        ("present", _) if is_wrong => "present, mismatch",
        ("present", _) if entry.verification == "verified" => "present, verified",
        ("queued" | "downloading" | "error", Some(state)) => state,
        (status, _) => status,
    };
    match entry.progress {
        Some(percent) if entry.status == "downloading" => {
            Field::toned(format!("{word} {percent:.0} %"), tone)
        }
        _ => Field::toned(word, tone),
    }
}

fn say_sums(entries: &[Reply<Entry>], total: u64, stats: &Stats, output: &Output) {
    if total == 0 {
        output.say("the catalog is empty");
        output.say("hint: `lorakeep import --builtin` adds well-known public models, `lorakeep add REFERENCE` one of your choice");
        return;
    }
    let count = |status: &str| entries.iter().filter(|entry| entry.data.status == status).count();
    let here: u64 = entries
        .iter()
        .filter(|entry| entry.data.status == "present")
        .map(|entry| entry.data.on_disk_bytes)
        .sum();
    let mut parts = vec![counted(entries.len() as u64, "entry")];
    if (entries.len() as u64) < total {
        parts[0] = format!("{} of {}", entries.len(), counted(total, "entry"));
    }
    parts.push(format!("{} present ({})", count("present"), bytes(here)));
    for (status, word) in [("downloading", "downloading"), ("queued", "queued"), ("error", "failed")] {
        if count(status) > 0 {
            parts.push(format!("{} {word}", count(status)));
        }
    }
    // Both catalogs lie on one disk.
    parts.push(format!("{} free", bytes(stats.free_bytes)));
    if stats.bin_bytes > 0 {
        parts.push(format!("{} in the bin", bytes(stats.bin_bytes)));
    }
    if stats.unlisted_count > 0 {
        parts.push(format!("{} unlisted (`lorakeep scan`)", counted(stats.unlisted_count, "file")));
    }
    output.say(&parts.join(", "));
}
