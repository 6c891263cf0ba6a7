//! `lorakeep key`: keys of teams, with which programs call the public API.

use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::{Api, Reply, TeamKey, page_of};
use crate::commands::Ended;
use crate::commands::token::parse_span;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::{counted, minute};

/// Make, take over, list, replace and end keys of teams
///
/// A key is shown once, when it is made; only its hash is kept. The admin key is another: see `lorakeep admin-key`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep key create --team Northlight
  lorakeep key create --team Northlight --name preview --scope styles:read --ttl 90d --limit 600
  lorakeep key import --team Northlight og_0123456789abcdefghij
  lorakeep key rotate al_live_Ab12Cd34 --overlap 7d
  lorakeep key revoke al_live_Ab12Cd34")]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them, newest first
    List {
        /// Of that team alone
        #[arg(long, value_name = "NAME")]
        team: Option<String>,
    },
    /// Make one and print it once
    Create(NewKeyArgs),
    /// Take over a key that begins with og_, so that its programs go on as they are
    Import {
        #[command(flatten)]
        new: NewKeyArgs,
        /// The key
        #[arg(value_name = "KEY")]
        legacy_key: String,
    },
    /// Make one like it and print it once; the old one goes on for a while
    Rotate {
        /// Its first characters, as `list` shows them, or its id
        #[arg(value_name = "PREFIX")]
        which: String,
        /// How long the old one goes on: a number with s, m, h or d
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_span)]
        overlap: TimeDelta,
    },
    /// End keys; they stop on every server within a second
    Revoke {
        /// Their first characters, as `list` shows them, or their ids
        #[arg(required = true, value_name = "PREFIX")]
        which: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct NewKeyArgs {
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    team: String,
    /// What to call it
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// What it allows: styles:read, generations:run; everything when absent
    #[arg(long, value_name = "WORD")]
    scope: Vec<String>,
    /// How long it holds: a number with s, m, h or d; for good when absent
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    ttl: Option<TimeDelta>,
    /// Calls a minute; no limit when absent
    #[arg(long, value_name = "CALLS")]
    limit: Option<u32>,
}

impl NewKeyArgs {
    fn body(&self) -> Value {
        json!({
            "team": self.team, "name": self.name, "scopes": self.scope, "calls_per_minute": self.limit,
            "expires_at": self.ttl.map(|ttl| (Utc::now() + ttl).to_rfc3339()),
        })
    }
}

pub(crate) async fn run(args: KeyArgs, api: &Api, output: &Output) -> Result<Ended> {
    match args.action {
        Action::List { team } => list(team.as_deref(), api, output).await,
        Action::Create(new) => show_once(&api.create_team_key(&new.body()).await?, output),
        Action::Import { new, legacy_key } => {
            let mut body = new.body();
            body["key"] = legacy_key.into();
            let imported = api.create_team_key(&body).await?;
            output.say(&format!("`{}…` is a key of `{}` now", imported.data.prefix, imported.data.team));
            if output.is_json() {
                output.json(&imported.json)?;
            }
            Ok(Ended::Done)
        }
        Action::Rotate { which, overlap } => {
            show_once(&api.rotate_team_key(&which, overlap.num_seconds()).await?, output)
        }
        Action::Revoke { which } => revoke(&which, api, output).await,
    }
}

fn show_once(made: &Reply<TeamKey>, output: &Output) -> Result<Ended> {
    if output.is_json() {
        output.json(&made.json)?;
        return Ok(Ended::Done);
    }
    if let Some(key) = &made.data.key {
        Output::line(key)?;
    }
    output.say(&format!("this is a key of `{}`; keep it, it is shown only now", made.data.team));
    Ok(Ended::Done)
}

async fn revoke(which: &[String], api: &Api, output: &Output) -> Result<Ended> {
    let mut answers = Vec::new();
    for key in which {
        let revoked = api.revoke_team_key(key).await?;
        output.say(&format!("ended `{}…` of `{}`", revoked.data.prefix, revoked.data.team));
        answers.push(revoked.json);
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::Done)
}

async fn list(team: Option<&str>, api: &Api, output: &Output) -> Result<Ended> {
    let keys = api.team_keys(team).await?;
    if output.is_json() {
        output.json(&page_of(&keys))?;
        return Ok(Ended::Done);
    }
    if keys.is_empty() {
        output.say("there is no key; `lorakeep key create --team NAME` makes one");
        return Ok(Ended::Done);
    }
    let rows = keys.iter().map(|key| row(&key.data)).collect();
    output.table(&["KEY", "TEAM", "NAME", "STATUS", "SCOPES", "ENDS", "USED"], rows)?;
    output.say(&counted(keys.len() as u64, "key"));
    Ok(Ended::Done)
}

fn row(key: &TeamKey) -> Vec<Field> {
    let tone = if key.status == "active" { Tone::Good } else { Tone::Faint };
    let moment = |time: &Option<String>| time.as_deref().map_or_else(|| "never".to_owned(), minute);
    vec![
        Field::text(&key.prefix),
        Field::text(&key.team),
        Field::text(&key.name),
        Field::toned(&key.status, tone),
        Field::text(key.scopes.join(" ")),
        Field::text(moment(&key.expires_at)),
        Field::text(moment(&key.last_used_at)),
    ]
}
