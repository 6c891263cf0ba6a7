//! `lorakeep sidecars`: what other programs read beside models, written from what is known here.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::api::{Api, Reply, SidecarReport};
use crate::commands::{Ended, names};
use crate::failure::Result;
use crate::output::Output;
use crate::signals::Signals;
use crate::units::counted;

/// How often the run is looked at: soon at first, since a few files take no time.
const FIRST_STEP: Duration = Duration::from_millis(10);
const LONGEST_STEP: Duration = Duration::from_millis(250);
/// Refusals that are printed; more stand in `--json`.
const SHOWN: usize = 20;

/// Write what is known of models beside them, for A1111, Forge, LoRA Manager, Stability Matrix and others
///
/// A sidecar that somebody else wrote keeps every word of it and gains what it lacks; one of ours follows its entry. With
/// `LORAKEEP_KEEP_SIDECARS=true` the server does this by itself after each edit, fetch of metadata and download.
/// With --json: the API's report, `{"is_running", "total_files", "done_files", "written", "not_written", "refusals", …}`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep sidecars write                          beside every model that is here
  lorakeep sidecars write ink.safetensors --flavours a1111,lora_manager
  lorakeep sidecars status")]
pub(crate) struct SidecarsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write sidecars; Ctrl-C stops, and what was written stays
    Write {
        /// File names, or folder/name when two have the same name; every model that is here when absent
        #[arg(value_name = "FILE")]
        files: Vec<String>,
        /// civitai_info, lora_manager, stability_matrix, a1111; those of LORAKEEP_SIDECARS when absent
        #[arg(long, value_name = "FLAVOUR", value_delimiter = ',')]
        flavours: Vec<String>,
    },
    /// Show the run that goes on or the last one
    Status,
}

pub(crate) async fn run(args: &SidecarsArgs, api: &Api, output: &Output) -> Result<Ended> {
    let (report, was_stopped) = match &args.action {
        Action::Status => (api.sidecar_report().await?, false),
        Action::Write { files, flavours } => {
            names::resolve(files, api).await?;
            api.share();
            watch(api.start_sidecars(files, flavours).await?, api, output).await?
        }
    };
    if output.is_json() {
        output.json(&report.json)?;
    } else {
        tell(&report.data, output);
    }
    Ok(Ended::failed_if(was_stopped || report.data.error.is_some()))
}

async fn watch(
    mut report: Reply<SidecarReport>,
    api: &Api,
    output: &Output,
) -> Result<(Reply<SidecarReport>, bool)> {
    let mut signals = Signals::listen()?;
    let mut step = FIRST_STEP;
    while report.data.is_running {
        output.detail(&format!(
            "{} of {}",
            report.data.done_files,
            counted(report.data.total_files, "model")
        ));
        tokio::select! {
            _ = signals.next() => return Ok((api.cancel_sidecars().await?, true)),
            () = tokio::time::sleep(step) => report = api.sidecar_report().await?,
        }
        step = (step * 3 / 2).min(LONGEST_STEP);
    }
    Ok((report, false))
}

fn tell(report: &SidecarReport, output: &Output) {
    for refusal in report.refusals.iter().take(SHOWN) {
        output.warn(&format!("`{}` was left as it is: {}", refusal.path, refusal.reason));
    }
    if report.not_written > SHOWN as u64 {
        output.warn(&format!("the same of {} more; `--json` names them", report.not_written - SHOWN as u64));
    }
    if let Some(error) = &report.error {
        output.error(&format!("the run ended early: {error}"));
    }
    let done = counted(report.done_files, "model");
    let word = if report.is_running { "so far: " } else { "" };
    output.say(&format!("{word}{} written beside {done}", counted(report.written, "sidecar")));
}
