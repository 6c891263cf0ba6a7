//! `lorakeep settings`: what can be changed while the server runs.

use std::io::{BufRead, IsTerminal};

use clap::{Args, ValueEnum};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::api::{Api, EnvSetting, Reply, Settings};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output};
use crate::units::{bytes, parse_bytes, speed};

/// Show or change what can be changed while the server runs
///
/// A change is in force at once and after a restart, and stands before flags, environment and file. The value `default`
/// gives a setting back to them. Keys are never shown, and never taken from the command line, which other users of the
/// machine can read: `lorakeep settings civitai-key` asks for it, or reads it from standard input.
/// With --json: the settings, and `env` with each of them by the name of its environment variable.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep settings
  lorakeep settings parallel 5
  lorakeep settings bandwidth 20M
  lorakeep settings bandwidth unlimited
  lorakeep settings upload-limit 2G
  lorakeep settings bin-days default
  lorakeep settings civitai-key < key.txt
  lorakeep settings paused true")]
pub(crate) struct SettingsArgs {
    /// What to change
    #[arg(value_enum, value_name = "SETTING")]
    setting: Option<Setting>,
    /// To what: a number of downloads (1 to 10) or days; bytes (per second) such as 500k, 20M or `unlimited`; true or
    /// false; `default`
    value: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// Downloads at once, 1 to 10
    Parallel,
    /// Bytes per second for all downloads together
    Bandwidth,
    /// Whether the queue stands still
    Paused,
    /// The largest upload, bytes
    UploadLimit,
    /// Days that a deleted file can come back
    BinDays,
    /// The key that is sent to CivitAI and to nobody else
    CivitaiKey,
    /// The token that is sent to Hugging Face and to nobody else
    HuggingfaceToken,
}

pub(crate) async fn run(args: &SettingsArgs, api: &Api, output: &Output) -> Result<Ended> {
    match args.setting {
        None => {}
        Some(Setting::Paused) => {
            let is_paused = is_paused(args.value.as_deref())?;
            api.change_settings(&json!({ "downloads_paused": is_paused })).await?;
        }
        Some(setting) => {
            let value = match setting.judged(args.value.as_deref())? {
                Judged::Default => None,
                Judged::Value(value) => Some(value),
                Judged::Asked => Some(read_secret()?),
            };
            api.set_env(setting.key(), value.as_deref()).await?;
        }
    }
    show(api, output).await
}

impl SettingsArgs {
    /// Refuses a value that cannot be meant.
    pub(crate) fn check(&self) -> Result<()> {
        match self.setting {
            None => Ok(()),
            Some(Setting::Paused) => is_paused(self.value.as_deref()).map(drop),
            Some(setting) => setting.judged(self.value.as_deref()).map(drop),
        }
    }
}

/// What a value means.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    /// What the configuration says counts again.
    Default,
    /// As the API takes it.
    Value(String),
    /// Somebody types it or standard input has it.
    Asked,
}

fn is_paused(value: Option<&str>) -> Result<bool> {
    let value = value.ok_or_else(|| no_value(Setting::Paused))?;
    value.parse().map_err(|_| wrong(value, "`true` or `false`"))
}

async fn show(api: &Api, output: &Output) -> Result<Ended> {
    let (settings, env) = (api.settings().await?, api.env_settings().await?);
    if output.is_json() {
        let mut json = settings.json;
        json["env"] = env.iter().map(|own| own.json.clone()).collect();
        output.json(&json)?;
    } else {
        output.table(&["SETTING", "VALUE", "FROM"], rows(&settings.data, &env))?;
    }
    Ok(Ended::Done)
}

fn rows(settings: &Settings, env: &[Reply<EnvSetting>]) -> Vec<Vec<Field>> {
    let all = Setting::value_variants().iter();
    all.map(|setting| {
        let own = env.iter().map(|own| &own.data).find(|own| own.key == setting.key());
        let shown = match own {
            Some(own) => setting.shown(own),
            None if *setting == Setting::Paused => settings.downloads_paused.to_string(),
            None => String::new(),
        };
        let origin = own.map_or("", |own| own.origin.as_str());
        vec![Field::text(setting.word()), Field::text(shown), Field::text(origin)]
    })
    .collect()
}

impl Setting {
    /// What is typed.
    fn word(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Bandwidth => "bandwidth",
            Self::Paused => "paused",
            Self::UploadLimit => "upload-limit",
            Self::BinDays => "bin-days",
            Self::CivitaiKey => "civitai-key",
            Self::HuggingfaceToken => "huggingface-token",
        }
    }

    /// The environment variable; empty for what has none.
    fn key(self) -> &'static str {
        match self {
            Self::Parallel => "MAX_CONCURRENT_DOWNLOADS",
            Self::Bandwidth => "LORAKEEP_BANDWIDTH",
            Self::Paused => "",
            Self::UploadLimit => "LORAKEEP_MAX_UPLOAD_BYTES",
            Self::BinDays => "LORAKEEP_BIN_DAYS",
            Self::CivitaiKey => "CIVITAI_API_KEY",
            Self::HuggingfaceToken => "HF_TOKEN",
        }
    }

    /// The value for people.
    fn shown(self, own: &EnvSetting) -> String {
        let value = own.value.as_deref().unwrap_or_default();
        match (self, value.parse::<u64>()) {
            (Self::CivitaiKey | Self::HuggingfaceToken, _) => match &own.last4 {
                Some(ending) => format!("set, ends with {ending}"),
                None if own.is_set => "set".to_owned(),
                None => "not set".to_owned(),
            },
            (Self::Bandwidth, Ok(limit)) => speed(limit as f64),
            (Self::UploadLimit, Ok(limit)) => bytes(limit),
            _ => value.to_owned(),
        }
    }

    fn judged(self, value: Option<&str>) -> Result<Judged> {
        if value == Some("default") {
            return Ok(Judged::Default);
        }
        match (self, value) {
            (Self::CivitaiKey | Self::HuggingfaceToken, None | Some("-")) => Ok(Judged::Asked),
            (Self::CivitaiKey | Self::HuggingfaceToken, Some(_)) => {
                Err(Failure::usage("a key is not taken from the command line, where others can read it")
                    .hint(format!(
                        "`lorakeep settings {}` asks for it, or reads standard input",
                        self.word()
                    )))
            }
            (Self::Bandwidth, Some("unlimited" | "none" | "0")) => Ok(Judged::Value("unlimited".to_owned())),
            (Self::Bandwidth | Self::UploadLimit, Some(value)) => {
                let number = parse_bytes(value).filter(|bytes| *bytes > 0);
                number
                    .map(|bytes| Judged::Value(bytes.to_string()))
                    .ok_or_else(|| wrong(value, "a number of bytes").hint("give one like 500k, 20M or 2G"))
            }
            (_, Some(value)) => {
                let number: u32 = value.parse().map_err(|_| wrong(value, "a whole number"))?;
                Ok(Judged::Value(number.to_string()))
            }
            (_, None) => Err(no_value(self)),
        }
    }
}

fn wrong(value: &str, expected: &str) -> Failure {
    Failure::usage(format!("`{value}` is not {expected}"))
}

fn no_value(setting: Setting) -> Failure {
    let word = setting.word();
    Failure::usage(format!("`{word}` needs a value")).hint("`lorakeep settings --help` says which")
}

/// One line of standard input, typed unseen on a terminal.
fn read_secret() -> Result<String> {
    let stdin = std::io::stdin();
    let unseen = stdin.is_terminal().then(Unseen::begin).transpose()?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    drop(unseen);
    read.map_err(|error| Failure::new("cannot read standard input").caused_by(&error))?;
    let secret = line.trim();
    if secret.is_empty() {
        return Err(Failure::usage("no key was given").hint("`default` takes the one that is set away"));
    }
    Ok(secret.to_owned())
}

/// A terminal that shows nothing of what is typed, until dropped.
struct Unseen(rustix::termios::Termios);

impl Unseen {
    fn begin() -> Result<Self> {
        let cannot = |error: rustix::io::Errno| Failure::new("cannot ask on this terminal").caused_by(&error);
        let before = tcgetattr(std::io::stdin()).map_err(cannot)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet).map_err(cannot)?;
        crate::output::prompt("key (is not shown): ");
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that went away needs no repair.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        crate::output::prompt("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_before_anything_is_asked() {
        let judged =
            |setting: Setting, value: &str| setting.judged(Some(value)).map_err(|failure| failure.kind);
        assert_eq!(judged(Setting::Bandwidth, "20M"), Ok(Judged::Value("20000000".to_owned())));
        assert_eq!(judged(Setting::Bandwidth, "0"), Ok(Judged::Value("unlimited".to_owned())));
        assert_eq!(judged(Setting::BinDays, "default"), Ok(Judged::Default));
        for (setting, value) in [
            (Setting::Parallel, "many"),
            (Setting::UploadLimit, "unlimited"),
            (Setting::BinDays, "-1"),
            (Setting::CivitaiKey, "abc"),
        ] {
            assert_eq!(
                judged(setting, value),
                Err(crate::failure::FailureKind::Usage),
                "{setting:?} {value}"
            );
        }
    }
}
