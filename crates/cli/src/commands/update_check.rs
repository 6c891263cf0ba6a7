//! `lorakeep update-check`: whether the repository's catalog has something new.

use clap::Args;

use crate::api::Api;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::Output;

/// Fetch the configured repository and say whether its catalog has something new
///
/// `REPO_URL` names the repository, `REPO_BRANCH` its branch. `lorakeep sync` takes over what is new.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep update-check
  lorakeep update-check && lorakeep sync --dry-run")]
pub(crate) struct UpdateCheckArgs {}

pub(crate) async fn run(api: &Api, output: &Output) -> Result<Ended> {
    let check = api.check_updates().await?;
    if output.is_json() {
        output.json(&check.json)?;
        return Ok(Ended::Done);
    }
    let data = &check.data;
    if data.status == "up_to_date" {
        output.say(&format!("the catalog is up to date (version {})", data.version));
        return Ok(Ended::Done);
    }
    let version =
        data.remote_version.map_or_else(|| "without a number".to_owned(), |number| number.to_string());
    let date = data.remote_date.as_deref().map_or_else(String::new, |date| format!(" of {date}"));
    output.say(&format!(
        "version {version}{date} is there; `lorakeep sync` takes it over (here: {})",
        data.version
    ));
    Ok(Ended::Done)
}
