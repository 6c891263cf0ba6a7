//! `lorakeep sync`: merge the repository's catalog into ours.

use clap::Args;

use crate::api::Api;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::Output;

/// Merge the repository's catalog: its entries appear or update, ours and our edits stay
///
/// Needs `lorakeep update-check` first, or a folder `.repo/` in the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep sync
  lorakeep sync --dry-run     say what would change, and change nothing")]
pub(crate) struct SyncArgs {
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: &SyncArgs, api: &Api, output: &Output) -> Result<Ended> {
    let report = api.sync(args.dry_run).await?;
    if output.is_json() {
        output.json(&report.json)?;
        return Ok(Ended::Done);
    }
    let data = &report.data;
    if data.status == "up_to_date" {
        output.say(&format!("the catalog is up to date (version {})", data.version.unwrap_or_default()));
        return Ok(Ended::Done);
    }
    for (mark, files) in [("+", &data.added), ("~", &data.updated)] {
        for file in files {
            output.say(&format!("{mark} {file}"));
        }
    }
    for conflict in &data.conflicts {
        output.warn(&format!(
            "`{}` of `{}` was changed here and there; ours stays",
            conflict.field, conflict.file
        ));
    }
    let verb = if args.dry_run { "would be" } else { "is" };
    let counts = format!(
        "{} added, {} updated, {} kept as they are here",
        data.added.len(),
        data.updated.len(),
        data.kept.len()
    );
    output.say(&format!("{counts}; the catalog {verb} version {}", data.new_version.unwrap_or_default()));
    Ok(Ended::Done)
}
