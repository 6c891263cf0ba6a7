//! `lorakeep resize`: writes a smaller LoRA and says what it still holds.

use std::path::PathBuf;

use clap::Args;
use lorakeep_registry::{SmallerTo, resize_plain};

use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output};
use crate::progress::CountProgress;
use crate::units::bytes;

/// Write a LoRA at a lower rank, and measure what the new file still holds
///
/// Works on files of this machine without a server. `--energy` gives each module the lowest rank that holds this share
/// of its energy; `--rank` gives all of them at most this rank. The old file stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep resize style.safetensors --energy 0.95 -o style-small.safetensors
  lorakeep resize style.safetensors --rank 16 -o style-r16.safetensors")]
pub(crate) struct ResizeArgs {
    /// The LoRA
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Share of each module's energy that is kept, above 0 and at most 1
    #[arg(long, value_name = "SHARE", required_unless_present = "rank", conflicts_with = "rank")]
    energy: Option<f64>,
    /// The highest rank
    #[arg(long, value_name = "RANK")]
    rank: Option<u64>,
    /// The new file; nothing may be there
    #[arg(long, short, value_name = "OUT", value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,
}

pub(crate) fn run(args: &ResizeArgs, output: &Output) -> Result<Ended> {
    let to = match (args.energy, args.rank) {
        (_, Some(rank)) => SmallerTo::Rank(rank),
        (energy, None) => SmallerTo::Energy(energy.unwrap_or(1.0)),
    };
    let progress = CountProgress::new(output);
    let resized =
        resize_plain(&args.file, &args.output, to, &|what, done, total| progress.show(what, done, total));
    progress.finish();
    let resized = resized.map_err(|error| Failure::new(error.to_string()).caused_by(&error))?;
    if output.is_json() {
        output.json(&resized)?;
        return Ok(Ended::Done);
    }
    let number = |name: &str| resized[name].as_u64().unwrap_or_default();
    let share = |name: &str| format!("{:.2} %", resized[name].as_f64().unwrap_or_default() * 100.0);
    output.table(
        &["", "SIZE", "RANK"],
        vec![
            vec![
                Field::text("before"),
                Field::number(bytes(number("size_before"))),
                Field::number(number("rank_before").to_string()),
            ],
            vec![
                Field::text("after"),
                Field::number(bytes(number("size_after"))),
                Field::number(number("rank_after").to_string()),
            ],
        ],
    )?;
    output.say(&format!(
        "energy kept: {} predicted, {} measured in the new file",
        share("predicted_energy"),
        share("measured_energy")
    ));
    for note in resized["notes"].as_array().into_iter().flatten().filter_map(|note| note.as_str()) {
        output.say(note);
    }
    Ok(Ended::Done)
}
