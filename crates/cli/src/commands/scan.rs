//! `lorakeep scan`: what is on disk, files that no catalog knows, and making entries of them.

use clap::Args;
use serde_json::json;

use crate::api::{Api, ScanReport, page_of};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output};
use crate::units::{bytes, counted};

/// Look at every file below the models root, and list those that no catalog knows
///
/// Nothing is read but names, sizes and times, so it is quick; `lorakeep verify` reads contents.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep scan
  lorakeep scan --adopt                             make entries of all unlisted files
  lorakeep scan --adopt loras/mine/a.safetensors    of that one only")]
pub(crate) struct ScanArgs {
    /// Make entries of unlisted files: of all, or of those that are named
    #[arg(long)]
    adopt: bool,
    /// Paths below the models root, as the list shows them
    #[arg(value_name = "PATH", requires = "adopt")]
    paths: Vec<String>,
}

pub(crate) async fn run(args: &ScanArgs, api: &Api, output: &Output) -> Result<Ended> {
    let report = api.scan().await?;
    output.say(&summary(&report.data));
    if args.adopt {
        return adopt(args, &report.json, api, output).await;
    }
    let unlisted = api.unlisted().await?;
    if output.is_json() {
        output.json(&json!({ "scan": report.json, "unlisted": page_of(&unlisted) }))?;
        return Ok(Ended::Done);
    }
    if !unlisted.is_empty() {
        let rows = unlisted
            .iter()
            .map(|file| vec![Field::text(&file.data.path), Field::number(bytes(file.data.size_bytes))])
            .collect();
        output.table(&["UNLISTED FILE", "SIZE"], rows)?;
        output.say("`lorakeep scan --adopt` makes entries of them");
    }
    Ok(Ended::Done)
}

async fn adopt(args: &ScanArgs, scan: &serde_json::Value, api: &Api, output: &Output) -> Result<Ended> {
    let report = api.adopt(&args.paths).await?;
    for file in &report.data.skipped {
        output.error(&format!("`{}` was not adopted: {}", file.path, file.reason));
    }
    if output.is_json() {
        output.json(&json!({ "scan": scan, "adopt": report.json }))?;
    } else {
        for path in &report.data.adopted {
            Output::line(path)?;
        }
    }
    output.say(&format!("{} adopted", counted(report.data.adopted.len() as u64, "file")));
    Ok(Ended::failed_if(!report.data.skipped.is_empty()))
}

fn summary(report: &ScanReport) -> String {
    let mut parts = vec![
        counted(report.files, "file"),
        format!("{} present", counted(report.present, "entry")),
        format!("{} missing", report.missing),
        format!("{} unlisted", report.unlisted),
    ];
    for (count, word) in [(report.appeared, "new"), (report.vanished, "gone"), (report.changed, "changed")] {
        if count > 0 {
            parts.push(format!("{count} {word} since the last look"));
        }
    }
    format!("{} ({} ms)", parts.join(", "), report.elapsed_ms)
}
