//! `lorakeep tags`: CivitAI's tags, those that are known here and bringing more.

use clap::{Args, Subcommand};

use crate::api::{Api, page_of};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output};
use crate::units::{counted, minute};

/// Show CivitAI's tags that are known here, or bring more of them
///
/// These are the tags of the site, which searches of its galleries use; the tags of entries are found with
/// `lorakeep search --facets --json`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep tags sync --all          bring all of them; that is thousands, and takes a while
  lorakeep tags list anime
  lorakeep tags --json | jq -r '.items[].name'")]
pub(crate) struct TagsArgs {
    /// `list` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the tags that are known here, in the site's order
    List {
        /// Only tags that have this in their name
        text: Option<String>,
    },
    /// Bring the next tags from the site
    Sync {
        /// Go on until all are here
        #[arg(long)]
        all: bool,
    },
}

pub(crate) async fn run(args: &TagsArgs, api: &Api, output: &Output) -> Result<Ended> {
    match &args.action {
        None => list(None, api, output).await,
        Some(Action::List { text }) => list(text.as_deref(), api, output).await,
        Some(Action::Sync { all }) => sync(*all, api, output).await,
    }
}

async fn list(text: Option<&str>, api: &Api, output: &Output) -> Result<Ended> {
    let wanted = text.unwrap_or_default().to_lowercase();
    let mut tags = api.civitai_tags().await?;
    let known = tags.len();
    tags.retain(|tag| tag.data.name.to_lowercase().contains(&wanted));
    if output.is_json() {
        output.json(&page_of(&tags))?;
        return Ok(Ended::Done);
    }
    if !tags.is_empty() {
        let rows = tags.iter().map(|tag| {
            let kind = tag.data.kind.as_deref().unwrap_or_default();
            vec![Field::text(&tag.data.name), Field::text(kind), Field::text(minute(&tag.data.synced_at))]
        });
        output.table(&["TAG", "TYPE", "SEEN"], rows.collect())?;
    }
    match known {
        0 => output.say("no tag is known yet; `lorakeep tags sync` brings them"),
        known if known > tags.len() => {
            output.say(&format!("{} of {}", tags.len(), counted(known as u64, "tag")));
        }
        known => output.say(&counted(known as u64, "tag")),
    }
    Ok(Ended::Done)
}

async fn sync(all: bool, api: &Api, output: &Output) -> Result<Ended> {
    loop {
        let sync = api.sync_civitai_tags().await?;
        let done = sync.data;
        let is_last = !all || done.unknown_remaining == 0 || done.synced == 0;
        if done.unknown_remaining > 0 {
            let hint = if is_last { "; `lorakeep tags sync` brings the next" } else { "" };
            output.say(&format!(
                "{} known, {} more at the site{hint}",
                counted(done.total_known, "tag"),
                done.unknown_remaining
            ));
        } else {
            output.say(&format!(
                "{} known, which is all that the site lists",
                counted(done.total_known, "tag")
            ));
        }
        if is_last {
            if output.is_json() {
                output.json(&sync.json)?;
            }
            return Ok(Ended::Done);
        }
    }
}
