//! `lorakeep verify`: hashes files again and says what is not as it was.

use std::time::{Duration, Instant};

use clap::Args;

use crate::api::{Api, Reply, VerificationReport, VerifiedFile};
use crate::commands::{Ended, names};
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::progress::ByteProgress;
use crate::signals::Signals;
use crate::units::{bytes, counted, duration, speed};

/// How often the run is looked at: soon at first, since small files take no time.
const FIRST_STEP: Duration = Duration::from_millis(10);
const LONGEST_STEP: Duration = Duration::from_millis(200);

/// Read files again and compare their SHA-256 with what their sources published
///
/// Outcomes: `verified` (as published), `hashed` (nothing was published to compare with), `mismatch` (not as published).
/// Exits with 1 when a file does not match or cannot be read. Ctrl-C stops; what was hashed is kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep verify                                  every file that is here
  lorakeep verify flux1-dev-fp8.safetensors
  lorakeep verify --json | jq '.files[] | select(.outcome == \"mismatch\")'")]
pub(crate) struct VerifyArgs {
    /// File names; all files that are here when absent
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Show the run that goes on or the last one, and start none
    #[arg(long, conflicts_with = "files")]
    status: bool,
}

pub(crate) async fn run(args: &VerifyArgs, api: &Api, output: &Output) -> Result<Ended> {
    if args.status {
        let report = api.verification().await?;
        return tell(&report, None, output);
    }
    names::resolve(&args.files, api).await?;
    let began = Instant::now();
    api.share();
    let started = api.start_verification(&args.files).await?;
    let (report, was_stopped) = watch(started, began, api, output).await?;
    if was_stopped {
        output.say("stopped; what was hashed is kept");
        tell(&report, Some(began.elapsed()), output)?;
        return Ok(Ended::Failed);
    }
    tell(&report, Some(began.elapsed()), output)
}

async fn watch(
    mut report: Reply<VerificationReport>,
    began: Instant,
    api: &Api,
    output: &Output,
) -> Result<(Reply<VerificationReport>, bool)> {
    let mut signals = Signals::listen()?;
    let progress = ByteProgress::new(output, "hashing");
    let mut was_stopped = false;
    let mut step = FIRST_STEP;
    while report.data.is_running {
        progress.show(report.data.done_bytes, report.data.total_bytes, began);
        tokio::select! {
            _ = signals.next() => {
                was_stopped = true;
                report = api.cancel_verification().await?;
                break;
            }
            () = tokio::time::sleep(step) => report = api.verification().await?,
        }
        step = (step * 3 / 2).min(LONGEST_STEP);
    }
    progress.finish();
    Ok((report, was_stopped))
}

fn tell(report: &Reply<VerificationReport>, took: Option<Duration>, output: &Output) -> Result<Ended> {
    let files = &report.data.files;
    let is_bad = |file: &&VerifiedFile| file.outcome == "mismatch" || file.error.is_some();
    let bad = files.iter().filter(is_bad).count();
    if output.is_json() {
        output.json(&report.json)?;
        return Ok(Ended::failed_if(bad > 0));
    }
    if !files.is_empty() {
        output.table(&["OUTCOME", "FILE", "SIZE", "SHA-256"], files.iter().map(row).collect())?;
    }
    for file in files.iter().filter(is_bad) {
        tell_bad(file, output);
    }
    output.say(&sums(&report.data, took));
    Ok(Ended::failed_if(bad > 0))
}

fn row(file: &VerifiedFile) -> Vec<Field> {
    let tone = match file.outcome.as_str() {
        "verified" => Tone::Good,
        "hashed" => Tone::Plain,
        "mismatch" => Tone::Bad,
        _ => Tone::Warning,
    };
    vec![
        Field::toned(&file.outcome, tone),
        Field::text(&file.path),
        Field::number(bytes(file.size_bytes)),
        Field::toned(file.sha256.as_deref().unwrap_or("-"), Tone::Faint),
    ]
}

fn tell_bad(file: &VerifiedFile, output: &Output) {
    if let Some(error) = &file.error {
        output.error(&format!("`{}` could not be hashed: {error}", file.path));
        return;
    }
    let expected = file.expected_sha256.as_deref().unwrap_or("another hash");
    output.error(&format!("`{}` is not what it should be: expected SHA-256 {expected}", file.path));
    output.hint(&format!("`lorakeep download {} --force` fetches it again", file.path));
}

fn sums(report: &VerificationReport, took: Option<Duration>) -> String {
    let count = |outcome: &str| report.files.iter().filter(|file| file.outcome == outcome).count();
    let mut line = format!(
        "{} of {}: {} verified, {} hashed, {} not matching",
        report.files.len(),
        counted(report.total_files, "file"),
        count("verified"),
        count("hashed"),
        count("mismatch")
    );
    if let Some(took) = took {
        let rate = report.done_bytes as f64 / took.as_secs_f64().max(0.001);
        line = format!("{line} ({} in {}, {})", bytes(report.done_bytes), duration(took), speed(rate));
    }
    line
}
