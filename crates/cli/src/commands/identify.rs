//! `lorakeep identify`: what are these files that nobody knows?

use std::time::{Duration, Instant};

use clap::Args;

use crate::api::{Api, LookedUp, LookupReport, Reply};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::progress::ByteProgress;
use crate::signals::Signals;
use crate::units::counted;

/// How often the run is looked at: soon at first, since hashed files take no time.
const FIRST_STEP: Duration = Duration::from_millis(10);
const LONGEST_STEP: Duration = Duration::from_millis(300);

/// Look files up at CivitAI by their hash, and say what they say of themselves
///
/// Without paths: every model file whose entry names no source, and every one that no catalog knows. Files whose hash is not
/// known are read first. With --apply what CivitAI says is written into the entries as a metadata fetch would, and a file
/// without an entry gets one; what a user wrote stays. Ctrl-C stops; what was done stays.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep identify
  lorakeep identify loras/unknown.safetensors --apply
  lorakeep identify --json | jq '.files[] | select(.civitai == null) | .path'")]
pub(crate) struct IdentifyArgs {
    /// File names of entries, or paths below the models folder
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Write what is found into the entries
    #[arg(long)]
    apply: bool,
}

pub(crate) async fn run(args: &IdentifyArgs, api: &Api, output: &Output) -> Result<Ended> {
    api.share();
    let started = api.start_lookup(&args.paths, args.apply).await?;
    let (report, was_stopped) = watch(started, api, output).await?;
    tell(&report, args, output)?;
    if let Some(error) = report.data.error {
        return Err(Failure::new(error).hint("what was looked up before is shown; the same command goes on"));
    }
    if was_stopped {
        output.say("stopped; what was done stays");
    }
    let failed = report.data.files.iter().any(|file| file.error.is_some());
    Ok(Ended::failed_if(failed || was_stopped))
}

async fn watch(
    mut report: Reply<LookupReport>,
    api: &Api,
    output: &Output,
) -> Result<(Reply<LookupReport>, bool)> {
    let mut signals = Signals::listen()?;
    let (progress, began) = (ByteProgress::new(output, "hashing"), Instant::now());
    let (mut step, mut was_stopped) = (FIRST_STEP, false);
    while report.data.is_running {
        if report.data.total_bytes > 0 {
            progress.show(report.data.done_bytes, report.data.total_bytes, began);
        }
        tokio::select! {
            _ = signals.next() => {
                was_stopped = true;
                report = api.cancel_lookup().await?;
                break;
            }
            () = tokio::time::sleep(step) => report = api.lookup().await?,
        }
        step = (step * 3 / 2).min(LONGEST_STEP);
    }
    progress.finish();
    Ok((report, was_stopped))
}

fn tell(report: &Reply<LookupReport>, args: &IdentifyArgs, output: &Output) -> Result<()> {
    if output.is_json() {
        return output.json(&report.json);
    }
    let files = &report.data.files;
    if !files.is_empty() {
        let headers = ["FILE", "ON CIVITAI", "ITS BASE MODEL", "THE FILE SAYS"];
        output.table(&headers, files.iter().map(row).collect())?;
    }
    for file in files {
        if let Some(error) = &file.error {
            output.error(&format!("`{}`: {error}", file.path));
        }
        if !file.applied.is_empty() {
            output.say(&format!("`{}`: {}", file.path, file.applied.join(", ")));
        }
    }
    let known = files.iter().filter(|file| file.civitai.is_some()).count();
    output.say(&format!(
        "{} of {} looked up, {known} known to CivitAI",
        report.data.done_files,
        counted(report.data.total_files, "file")
    ));
    if known > 0 && !args.apply {
        output.say("hint: the same command with --apply writes it into the entries");
    }
    Ok(())
}

fn row(file: &LookedUp) -> Vec<Field> {
    let on_civitai = match &file.civitai {
        None => Field::toned("nothing known", Tone::Faint),
        Some(found) => {
            let model = found.model.as_deref().unwrap_or("a model without a name");
            let version = found.version.as_deref().map(|version| format!(", {version}")).unwrap_or_default();
            Field::toned(format!("{model}{version}"), Tone::Good)
        }
    };
    let base_model = file.civitai.as_ref().and_then(|found| found.base_model.clone()).unwrap_or_default();
    let said = file.file_facts.as_ref().map(|said| match &said.base_model {
        Some(base_model) => format!("{}, {base_model} ({:.0} %)", said.kind, said.confidence * 100.0),
        None => said.kind.clone(),
    });
    vec![Field::text(&file.path), on_civitai, Field::text(base_model), Field::text(said.unwrap_or_default())]
}
