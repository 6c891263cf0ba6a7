//! `lorakeep settings`: what can be changed while the server runs.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::api::{Api, Settings};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output};
use crate::units::{parse_bytes, speed};

/// Show or change what can be changed while the server runs
///
/// A change is in force at once and after a restart.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep settings
  lorakeep settings parallel 5
  lorakeep settings bandwidth 20M
  lorakeep settings bandwidth unlimited
  lorakeep settings paused true")]
pub(crate) struct SettingsArgs {
    /// What to change
    #[arg(value_enum, value_name = "SETTING", requires = "value")]
    setting: Option<Setting>,
    /// To what: a number of downloads (1 to 10); bytes per second such as 500k, 20M or `unlimited`; true or false
    value: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Setting {
    /// Downloads at once, 1 to 10
    Parallel,
    /// Bytes per second for all downloads together
    Bandwidth,
    /// Whether the queue stands still
    Paused,
}

pub(crate) async fn run(args: &SettingsArgs, api: &Api, output: &Output) -> Result<Ended> {
    let settings = match (args.setting, &args.value) {
        (Some(setting), Some(value)) => api.change_settings(&change(setting, value)?).await?,
        _ => api.settings().await?,
    };
    if output.is_json() {
        output.json(&settings.json)?;
    } else {
        output.table(&["SETTING", "VALUE"], rows(&settings.data))?;
    }
    Ok(Ended::Done)
}

fn rows(settings: &Settings) -> Vec<Vec<Field>> {
    let bandwidth = settings.bandwidth.map_or_else(|| "unlimited".to_owned(), |limit| speed(limit as f64));
    [
        ("parallel", settings.max_concurrent.to_string()),
        ("bandwidth", bandwidth),
        ("paused", settings.downloads_paused.to_string()),
    ]
    .map(|(key, value)| vec![Field::text(key), Field::text(value)])
    .into()
}

fn change(setting: Setting, value: &str) -> Result<Value> {
    let wrong = |expected: &str| Failure::usage(format!("`{value}` is not {expected}"));
    Ok(match setting {
        Setting::Parallel => {
            let count: u32 =
                value.parse().map_err(|_| wrong("a number of downloads").hint("give 1 to 10"))?;
            json!({ "max_concurrent": count })
        }
        Setting::Bandwidth if matches!(value, "unlimited" | "none" | "0") => json!({ "bandwidth": null }),
        Setting::Bandwidth => {
            let limit = parse_bytes(value).filter(|limit| *limit > 0);
            let limit = limit.ok_or_else(|| {
                wrong("a number of bytes per second").hint("give one like 500k, 20M or `unlimited`")
            })?;
            json!({ "bandwidth": limit })
        }
        Setting::Paused => {
            let paused: bool = value.parse().map_err(|_| wrong("`true` or `false`"))?;
            json!({ "downloads_paused": paused })
        }
    })
}
