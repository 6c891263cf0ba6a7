//! `lorakeep events`: what happened lately, and what happens now.

use std::collections::HashSet;

use clap::Args;
use clap::builder::PossibleValuesParser;
use lorakeep_registry::Severity;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::{Api, Event, Reply};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::units::second;

/// Show what happened: downloads, deletes, fetches of metadata, adoptions
///
/// The last thousand events are kept, also over a restart. With --json: a list of events, and with --follow one event a
/// line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep events
  lorakeep events --severity error --limit 20
  lorakeep events --follow
  lorakeep events --follow --type model.download.completed --json | jq -r .data.file")]
pub(crate) struct EventsArgs {
    /// So many of the last ones, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only events of these types, such as model.download.failed
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Only events that are meant so
    #[arg(long, value_name = "SEVERITY", value_parser = severities())]
    severity: Option<String>,
    /// Go on with what happens from now on, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

pub(crate) async fn run(args: &EventsArgs, api: &Api, output: &Output) -> Result<Ended> {
    let filter = args.filter();
    if args.follow {
        return follow(args.limit, &filter, api, output).await;
    }
    let events = api.events(&format!("limit={}{filter}", args.limit)).await?;
    if output.is_json() {
        output.json(&events.iter().map(|event| &event.json).collect::<Vec<_>>())?;
    } else if events.is_empty() {
        output.say("nothing has happened yet");
    } else {
        let rows = events.iter().map(|event| row(&event.data)).collect();
        output.table(&["TIME", "SEVERITY", "TYPE", "MESSAGE"], rows)?;
    }
    Ok(Ended::Done)
}

async fn follow(limit: u32, filter: &str, api: &Api, output: &Output) -> Result<Ended> {
    if api.is_local() {
        return Err(Failure::new("no server runs here, so nothing happens that could be followed")
            .hint("`lorakeep serve` starts one; without --follow the kept events are shown"));
    }
    // Watched before the last ones are read: what happens in between comes twice, and is shown once.
    let mut coming = api.watch_events(filter.trim_start_matches('&')).await?;
    let mut shown = HashSet::new();
    for event in api.events(&format!("limit={limit}{filter}")).await? {
        print(&event, output)?;
        shown.insert(event.data.id);
    }
    while let Some(event) = coming.next().await? {
        if !shown.remove(&event.data.id) {
            print(&event, output)?;
        }
    }
    Err(Failure::new("the server has ended, and its events with it"))
}

fn print(event: &Reply<Event>, output: &Output) -> Result<()> {
    if output.is_json() {
        return Output::line(&event.json.to_string());
    }
    let Event { timestamp, severity, message, .. } = &event.data;
    Output::line(&format!("{}  {severity:<7}  {message}", second(timestamp)))
}

fn row(event: &Event) -> Vec<Field> {
    let tone = match event.severity.as_str() {
        "success" => Tone::Good,
        "warning" => Tone::Warning,
        "error" => Tone::Bad,
        _ => Tone::Faint,
    };
    vec![
        Field::text(second(&event.timestamp)),
        Field::toned(&event.severity, tone),
        Field::text(&event.kind),
        Field::text(&event.message),
    ]
}

impl EventsArgs {
    /// The filter as the end of a query.
    fn filter(&self) -> String {
        let mut filter = String::new();
        if !self.types.is_empty() {
            let types = self.types.join(",");
            filter.push_str("&types=");
            filter.extend(utf8_percent_encode(&types, NON_ALPHANUMERIC));
        }
        if let Some(severity) = &self.severity {
            filter.push_str("&severity=");
            filter.push_str(severity);
        }
        filter
    }
}

fn severities() -> PossibleValuesParser {
    Severity::ALL.map(Severity::as_str).into()
}
