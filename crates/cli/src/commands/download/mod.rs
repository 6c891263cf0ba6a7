//! `lorakeep download`: asks for files and watches until they are here.

mod watch;

use clap::Args;
use serde_json::{Value, json};

use crate::api::{Api, FileName};
use crate::commands::{Ended, names};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::units::counted;

/// Download files of the catalogs, with progress until they are here
///
/// A file that is here already is not fetched again unless --force is given. A download that was paused, failed or cancelled
/// goes on; what had arrived is kept. When a server runs on the data folder it does the work, and Ctrl-C only stops
/// watching; otherwise this process does it, and Ctrl-C pauses.
///
/// With --json one object is printed at the end: `{"downloads": [the API's downloads], "skipped": [{"file", "reason"}]}`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep download flux1-dev-fp8.safetensors ae.safetensors
  lorakeep download loras/wan/style.safetensors      the one in that folder
  lorakeep download --all-missing
  lorakeep download huge.safetensors --no-wait && lorakeep queue")]
pub(crate) struct DownloadArgs {
    /// File names, or folder/name when two have the same name
    #[arg(value_name = "FILE", required_unless_present = "all_missing", conflicts_with = "all_missing")]
    files: Vec<String>,
    /// Every entry of both catalogs whose file is not on disk
    #[arg(long, visible_alias = "all")]
    all_missing: bool,
    /// Fetch and replace files that are here already
    #[arg(long)]
    force: bool,
    /// Put them into the queue and leave
    #[arg(long)]
    no_wait: bool,
}

/// How files are fetched.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    force: bool,
    no_wait: bool,
    /// Nobody named these files one by one, so that one without a source is passed over.
    in_bulk: bool,
}

/// What came of it.
pub(crate) struct FetchReport {
    pub(crate) ended: Ended,
    /// The jobs as the API answers them, in the order of the files.
    pub(crate) downloads: Vec<Value>,
    /// Files without a job: `{"file", "reason"}`.
    pub(crate) skipped: Vec<Value>,
}

/// Files with a job, files without one, and whether asking failed for any.
#[derive(Default)]
struct AskedFor {
    ids: Vec<String>,
    skipped: Vec<Value>,
    failed: bool,
}

pub(crate) async fn run(args: &DownloadArgs, api: &Api, output: &Output) -> Result<Ended> {
    let files = if args.all_missing {
        missing(api).await?
    } else {
        names::resolve(&args.files, api).await?.into_iter().map(|(name, _)| name).collect()
    };
    let how = How { force: args.force, no_wait: args.no_wait, in_bulk: args.all_missing };
    let report = fetch(files, &how, api, output).await?;
    if output.is_json() {
        output.json(&json!({ "downloads": report.downloads, "skipped": report.skipped }))?;
    }
    Ok(report.ended)
}

/// Asks for the files and, unless told otherwise, waits for them.
pub(crate) async fn fetch(
    files: Vec<FileName>,
    how: &How,
    api: &Api,
    output: &Output,
) -> Result<FetchReport> {
    let asked = ask(&files, how, api, output).await?;
    if asked.ids.is_empty() {
        if how.in_bulk {
            output.say("nothing is missing that could be downloaded");
        }
        return Ok(FetchReport {
            ended: Ended::failed_if(asked.failed),
            downloads: Vec::new(),
            skipped: asked.skipped,
        });
    }
    if how.no_wait {
        return leave(asked, api, output).await;
    }
    api.start_work();
    api.share();
    let mut report = watch::until_ended(&asked.ids, api, output).await?;
    report.skipped = asked.skipped;
    if asked.failed {
        report.ended = Ended::Failed;
    }
    Ok(report)
}

async fn missing(api: &Api) -> Result<Vec<FileName>> {
    let entries = api.entries().await?;
    let missing = entries.into_iter().map(|entry| entry.data).filter(|entry| entry.status != "present");
    Ok(missing.map(|entry| FileName { dest: Some(entry.dest), file: entry.file }).collect())
}

async fn ask(files: &[FileName], how: &How, api: &Api, output: &Output) -> Result<AskedFor> {
    let mut asked = AskedFor::default();
    for name in files {
        match ask_one(name, how, api, output).await {
            Ok(Some(id)) if !asked.ids.contains(&id) => asked.ids.push(id),
            Ok(Some(_)) => {}
            Ok(None) => asked.skipped.push(json!({ "file": name.file, "reason": "present" })),
            Err(failure) if files.len() == 1 && !how.in_bulk => return Err(failure),
            Err(failure) => {
                asked.failed |= !how.in_bulk;
                asked.skipped.push(json!({ "file": name.file, "reason": failure.message }));
                if how.in_bulk {
                    output.warn(&format!("`{name}` is passed over: {}", failure.message));
                } else {
                    output.report(&failure);
                }
            }
        }
    }
    Ok(asked)
}

/// The job for a file; `None` when the file is here. A job that stands still is set going.
async fn ask_one(name: &FileName, how: &How, api: &Api, output: &Output) -> Result<Option<String>> {
    let answer = api.enqueue(name, how.force).await?.data;
    if answer.status == "present" {
        if !how.in_bulk {
            output.say(&format!("`{name}` is here already"));
        }
        return Ok(None);
    }
    let id = answer
        .download_id
        .ok_or_else(|| Failure::new(format!("the server queued `{name}` but does not say as what")))?;
    Ok(Some(id))
}

async fn leave(asked: AskedFor, api: &Api, output: &Output) -> Result<FetchReport> {
    let mut downloads = Vec::with_capacity(asked.ids.len());
    for id in &asked.ids {
        downloads.push(api.download(id).await?.json);
    }
    let queued = counted(asked.ids.len() as u64, "download");
    if api.is_local() {
        output.say(&format!(
            "{queued} in the queue; the next `lorakeep serve` or `lorakeep download` runs them"
        ));
    } else {
        output.say(&format!("{queued} in the queue; `lorakeep queue` shows how they do"));
    }
    Ok(FetchReport { ended: Ended::failed_if(asked.failed), downloads, skipped: asked.skipped })
}
