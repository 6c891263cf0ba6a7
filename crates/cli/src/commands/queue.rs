//! `lorakeep queue`: the downloads, and what can be done with them.

use chrono::Utc;
use clap::{Args, Subcommand};

use crate::api::{Api, Download, Move, Reply, is_id, page_of, short_id};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::units::{bytes, counted, duration, speed};

/// States that the list shows unless --all is given: everything that somebody may want to act on.
const OPEN: [&str; 7] = ["downloading", "retrying", "verifying", "queued", "paused", "error", "quarantined"];

/// Show the download queue; pause, resume, cancel, retry and reorder
///
/// Downloads are named by file, by folder/file, or by the id that the list shows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep queue
  lorakeep queue pause --all
  lorakeep queue retry flux1-dev.safetensors
  lorakeep queue top ae.safetensors
  lorakeep queue priority 10 ae.safetensors")]
pub(crate) struct QueueArgs {
    /// `list` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List downloads: running first, then the queue in its order, then what failed
    List {
        /// Also those that are done or cancelled
        #[arg(long)]
        all: bool,
    },
    /// Stop downloads for now; what has arrived is kept
    Pause(Selection),
    /// Put paused downloads back into the queue
    Resume(Selection),
    /// Stop downloads for good and remove what has arrived
    Cancel(Selection),
    /// Put failed or cancelled downloads back into the queue
    Retry(Selection),
    /// Move downloads before all others of their priority
    Top(Names),
    /// Move downloads behind all others of their priority
    Bottom(Names),
    /// Change the priority of downloads: higher goes first, 0 is usual
    Priority {
        /// The priority
        #[arg(allow_negative_numbers = true)]
        priority: i64,
        #[command(flatten)]
        names: Names,
    },
}

#[derive(Debug, Args)]
struct Names {
    /// Downloads by file, folder/file or id
    #[arg(required = true, value_name = "FILE|ID")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct Selection {
    /// Downloads by file, folder/file or id
    #[arg(value_name = "FILE|ID", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: QueueArgs, api: &Api, output: &Output) -> Result<Ended> {
    match args.action.unwrap_or(Action::List { all: false }) {
        Action::List { all } => list(all, api, output).await,
        Action::Pause(selection) if selection.all => all_at_once("pause-all", "paused", api, output).await,
        Action::Resume(selection) if selection.all => all_at_once("resume-all", "resumed", api, output).await,
        Action::Pause(selection) => act(&selection, "pause", "paused", api, output).await,
        Action::Resume(selection) => act(&selection, "resume", "resumed", api, output).await,
        Action::Cancel(selection) => act(&selection, "cancel", "cancelled", api, output).await,
        Action::Retry(selection) => act(&selection, "retry", "queued again", api, output).await,
        Action::Top(names) => place(&names.names, Move::To("top"), "first", api, output).await,
        Action::Bottom(names) => place(&names.names, Move::To("bottom"), "last", api, output).await,
        Action::Priority { priority, names } => {
            place(&names.names, Move::Priority(priority), &format!("at priority {priority}"), api, output)
                .await
        }
    }
}

async fn list(all: bool, api: &Api, output: &Output) -> Result<Ended> {
    let states: &[&str] = if all { &[] } else { &OPEN };
    let jobs = api.downloads(states).await?;
    if output.is_json() {
        output.json(&page_of(&jobs))?;
        return Ok(Ended::Done);
    }
    if jobs.is_empty() {
        output.say(if all { "nothing was ever downloaded here" } else { "the queue is empty" });
        return Ok(Ended::Done);
    }
    let rows = jobs.iter().map(|job| row(&job.data)).collect();
    output.table(&["ID", "FILE", "FOLDER", "STATE", "DONE", "SIZE", "SPEED", "LEFT"], rows)?;
    for job in
        jobs.iter().map(|job| &job.data).filter(|job| job.state == "error" || job.state == "quarantined")
    {
        if let Some(error) = &job.error {
            output.error(&format!("`{}`: {error}", job.path()));
        }
    }
    for job in jobs.iter().map(|job| &job.data) {
        if let Some(why) = job.waits_for(Utc::now()) {
            output.say(&format!("`{}` waits: {why}", job.path()));
        }
    }
    let running = jobs.iter().filter(|job| job.data.is_running()).count();
    output.say(&format!("{}, {running} running", counted(jobs.len() as u64, "download")));
    if running == 0 && api.is_local() && jobs.iter().any(|job| job.data.state == "queued") {
        output.say("no server runs here; `lorakeep serve` or `lorakeep download` runs the queue");
    }
    Ok(Ended::Done)
}

fn row(job: &Download) -> Vec<Field> {
    let tone = match job.state.as_str() {
        "done" => Tone::Good,
        "error" | "quarantined" => Tone::Bad,
        "paused" | "cancelled" => Tone::Faint,
        _ => Tone::Active,
    };
    let is_moving = job.state == "downloading";
    let left = job.eta_seconds.filter(|seconds| is_moving && (0.0..1e7).contains(seconds));
    vec![
        Field::toned(short_id(&job.id), Tone::Faint),
        Field::text(&job.file),
        Field::text(&job.dest),
        Field::toned(&job.state, tone),
        Field::number(bytes(job.bytes_downloaded)),
        Field::number(if job.bytes_total == 0 { "?".to_owned() } else { bytes(job.bytes_total) }),
        Field::number(if is_moving { speed(job.speed) } else { "-".to_owned() }),
        Field::number(
            left.map_or_else(|| "-".to_owned(), |left| duration(std::time::Duration::from_secs_f64(left))),
        ),
    ]
}

async fn all_at_once(action: &str, done: &str, api: &Api, output: &Output) -> Result<Ended> {
    let (changed, json) = api.act_on_all(action).await?;
    output.say(&format!("{done} {}", counted(changed, "download")));
    if output.is_json() {
        output.json(&json)?;
    }
    Ok(Ended::Done)
}

async fn act(selection: &Selection, action: &str, done: &str, api: &Api, output: &Output) -> Result<Ended> {
    let jobs = api.downloads(&[]).await?;
    let jobs = if selection.all {
        jobs.iter().map(|job| &job.data).filter(|job| takes(action, job)).cloned().collect()
    } else {
        find(&selection.names, action, &jobs)?
    };
    let mut answers = Vec::new();
    let mut failed = false;
    for job in &jobs {
        match api.act(&job.id, action).await {
            Ok(answer) => {
                output.say(&format!("{done}: `{}`", job.path()));
                answers.push(answer.json);
            }
            Err(failure) if jobs.len() == 1 => return Err(failure),
            Err(failure) => {
                failed = true;
                output.report(&failure);
            }
        }
    }
    if jobs.is_empty() {
        output.say(&format!("there is nothing to {action}"));
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::failed_if(failed))
}

async fn place(names: &[String], to: Move, where_to: &str, api: &Api, output: &Output) -> Result<Ended> {
    let mut jobs = find(names, "move", &api.downloads(&[]).await?)?;
    // Each goes before the one that was moved before it, so that the last shall be first.
    if matches!(to, Move::To("top")) {
        jobs.reverse();
    }
    let mut answers = Vec::new();
    for job in &jobs {
        answers.push(api.move_to(&job.id, to).await?.json);
        output.say(&format!("`{}` is {where_to} now", job.path()));
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::Done)
}

/// The job that each name means: by id, else the newest of that file for which the action makes sense, else the newest.
fn find(names: &[String], action: &str, jobs: &[Reply<Download>]) -> Result<Vec<Download>> {
    names
        .iter()
        .map(|name| {
            let mut named = jobs
                .iter()
                .map(|job| &job.data)
                .filter(|job| is_id(&job.id, name) || job.file == *name || job.path() == *name);
            let first = named.clone().next();
            named.find(|job| takes(action, job)).or(first).cloned().ok_or_else(|| {
                Failure::new(format!("there is no download of `{name}`"))
                    .hint("`lorakeep queue list --all` shows them")
            })
        })
        .collect()
}

/// Whether the action can change anything for this job; the server decides for a job that is named.
fn takes(action: &str, job: &Download) -> bool {
    match action {
        "pause" => !job.is_ended() && job.state != "paused",
        "resume" => job.state == "paused",
        "retry" => matches!(job.state.as_str(), "error" | "cancelled" | "quarantined"),
        _ => !job.is_ended(),
    }
}
