//! `lorakeep team`: who calls the public API.

use clap::{Args, Subcommand};

use crate::api::{Api, Team, page_of};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output};
use crate::units::{counted, minute};

/// Show, make and remove teams of the public API, and pin the version that their calls mean
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep team create Northlight
  lorakeep team pin Northlight 2026-05-15
  lorakeep key create --team Northlight --name 'render farm'")]
pub(crate) struct TeamArgs {
    /// `list` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them by name
    List,
    /// Make one
    Create {
        /// What it is called
        name: String,
    },
    /// Pin the version of the API that its calls mean when they name none
    Pin {
        /// Which team
        name: String,
        /// The version, such as 2026-05-15, or `default` for the system's
        date: String,
    },
    /// Remove one; its keys stop
    Rm {
        /// Which team
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(args: TeamArgs, api: &Api, output: &Output) -> Result<Ended> {
    let (done, said) = match args.action.unwrap_or(Action::List) {
        Action::List => return list(api, output).await,
        Action::Create { name } => {
            let team = api.create_team(&name).await?;
            let said = format!("made the team `{}`", team.data.name);
            (team, said)
        }
        Action::Pin { name, date } => {
            let team = api.pin_team(&name, (date != "default").then_some(&date)).await?;
            let said = format!("calls of `{}` mean {}", team.data.name, version(&team.data));
            (team, said)
        }
        Action::Rm { name, yes } => {
            if !yes && !output.confirm(&format!("remove `{name}`, so that its keys stop?"))? {
                output.say("the team stays");
                return Ok(Ended::Failed);
            }
            let team = api.remove_team(&name).await?;
            let said = format!("removed the team `{}`", team.data.name);
            (team, said)
        }
    };
    output.say(&said);
    if output.is_json() {
        output.json(&done.json)?;
    }
    Ok(Ended::Done)
}

async fn list(api: &Api, output: &Output) -> Result<Ended> {
    let teams = api.teams().await?;
    if output.is_json() {
        output.json(&page_of(&teams))?;
        return Ok(Ended::Done);
    }
    if teams.is_empty() {
        output.say("there is no team; `lorakeep team create NAME` makes one");
        return Ok(Ended::Done);
    }
    let row = |team: &Team| {
        vec![Field::text(&team.name), Field::text(version(team)), Field::text(minute(&team.created_at))]
    };
    output.table(&["TEAM", "VERSION", "MADE"], teams.iter().map(|team| row(&team.data)).collect())?;
    output.say(&counted(teams.len() as u64, "team"));
    Ok(Ended::Done)
}

fn version(team: &Team) -> String {
    team.pinned_version.clone().unwrap_or_else(|| "the default version".to_owned())
}
