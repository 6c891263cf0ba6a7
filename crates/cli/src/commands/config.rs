//! `lorakeep config`: every setting, its value in force, and who said it.

use clap::{Args, Subcommand};
use lorakeep_registry::Error;
use lorakeep_registry::config::{Config, ConfigFlags, ShownValue, ValueOrigin};
use serde_json::json;

use crate::args::{ConfigurationArgs, GlobalArgs};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};

/// Show the configuration
///
/// Flags win over the environment, the environment over `lorakeep.toml` in the data folder, that over the defaults.
/// Secrets are masked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep config show
  lorakeep config show --data-dir /srv/lorakeep --json")]
pub(crate) struct ConfigArgs {
    /// `show` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every setting with its value and who said it
    Show,
}

pub(crate) fn run(args: &ConfigArgs, global: &GlobalArgs, output: &Output) -> Result<Ended> {
    let Action::Show = args.action.as_ref().unwrap_or(&Action::Show);
    let config = load(&global.configuration)?;
    if output.is_json() {
        let items: Vec<_> = config.shown().iter().map(as_json).collect();
        output.json(&json!({ "items": items, "next_cursor": null, "total": items.len() }))?;
    } else {
        output.table(
            &["SETTING", "VALUE", "ORIGIN", "ENVIRONMENT", "FLAG"],
            config.shown().iter().map(row).collect(),
        )?;
    }
    Ok(Ended::Done)
}

/// Puts the configuration together.
pub(crate) fn load(args: &ConfigurationArgs) -> Result<Config> {
    let flags = ConfigFlags {
        data_dir: args.data_dir.clone(),
        models_dir: args.models_dir.clone(),
        listen: args.listen.clone(),
        database_url: args.database_url.clone(),
        comfyui_dir: args.comfyui_dir.clone(),
        comfyui_url: args.comfyui_url.clone(),
    };
    Config::load(&flags, &|name| std::env::var(name).ok()).map_err(|error| match error {
        Error::Invalid(_) => {
            Failure::usage(error.to_string()).hint("`lorakeep --help` names every flag and variable")
        }
        other => Failure::new(other.to_string()),
    })
}

fn row(value: &ShownValue) -> Vec<Field> {
    let tone = if value.origin == ValueOrigin::Default { Tone::Faint } else { Tone::Active };
    vec![
        Field::text(value.name),
        Field::text(value.value.as_deref().unwrap_or("-")),
        Field::toned(value.origin.as_str(), tone),
        Field::toned(value.environment.unwrap_or("-"), Tone::Faint),
        Field::toned(value.flag.unwrap_or("-"), Tone::Faint),
    ]
}

fn as_json(value: &ShownValue) -> serde_json::Value {
    json!({
        "name": value.name,
        "value": value.value,
        "origin": value.origin.as_str(),
        "environment": value.environment,
        "flag": value.flag,
    })
}
