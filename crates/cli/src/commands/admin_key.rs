//! `lorakeep admin-key`: the key that opens the studio.

use clap::{Args, Subcommand};

use crate::api::Api;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::Output;

/// Replace the admin key when it is lost or somebody else has it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep admin-key rotate
  lorakeep admin-key rotate --yes --json | jq -r .key")]
pub(crate) struct AdminKeyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key and print it once; the old one stops and every browser is logged out
    ///
    /// On this machine it needs no key, so it also helps when the key is lost. A key that is set by API_KEY is changed
    /// there instead.
    Rotate {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(args: &AdminKeyArgs, api: &Api, output: &Output) -> Result<Ended> {
    let Action::Rotate { yes } = args.action;
    let question = "the present admin key stops and every browser is logged out; go on?";
    if !yes && !output.confirm(question)? {
        output.say("the key stays");
        return Ok(Ended::Failed);
    }
    let made = api.rotate_admin_key().await?;
    if output.is_json() {
        output.json(&made.json)?;
    } else {
        Output::line(&made.data.key)?;
        output.say("this is the new admin key; keep it, it is shown only now");
    }
    Ok(Ended::Done)
}
