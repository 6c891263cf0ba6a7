//! `lorakeep adopt`: takes over the folder of another program, and shows how far that is.

mod place;
mod tell;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::api::{AdoptBody, Adoption, Api, Reply};
use crate::args::GlobalArgs;
use crate::commands::Ended;
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::signals::Signals;

/// How often it is looked at: soon at first, since a small folder takes no time.
const FIRST_STEP: Duration = Duration::from_millis(10);
const LONGEST_STEP: Duration = Duration::from_millis(250);

/// Take over the folder of a ComfyUI Studio, or models with the sidecars of other programs
///
/// Takes `catalogs/`, `assets/images/` (the gallery), `.repo/` and the models tree, and changes nothing there. Run it
/// again whenever you like: what is here already is passed over. When the folder is the data folder itself, everything
/// stays where it lies. The models folder of a folder that is adopted first is remembered in `lorakeep.toml`.
///
/// Afterwards the SHA-256 of every model is computed by and by, by the server or, with --wait, by this command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep adopt /workspace/studio --dry-run          say what would be taken
  lorakeep adopt /workspace/studio
  lorakeep adopt ~/ComfyUI --unlisted --wait          make entries of all models, and hash them now
  lorakeep adopt ~/ComfyUI --sidecars=a1111           tell A1111 what is known here
  lorakeep adopt --status")]
pub(crate) struct AdoptArgs {
    /// The folder: a studio's, ComfyUI's, or one of models
    #[arg(value_name = "FOLDER", value_hint = clap::ValueHint::DirPath, required_unless_present_any = ["status", "cancel"])]
    path: Option<PathBuf>,
    /// Say what would be taken, and take nothing
    #[arg(long)]
    dry_run: bool,
    /// Make entries of model files that no catalog knows
    #[arg(long)]
    unlisted: bool,
    /// Write sidecars for other programs beside the models of entries; their own words in them stay
    ///
    /// Flavours: civitai_info, lora_manager, stability_matrix, a1111; those of LORAKEEP_SIDECARS when none is named.
    #[arg(long, value_name = "FLAVOUR", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "")]
    sidecars: Option<Vec<String>>,
    /// Wait until every model is hashed
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Show the adoption that goes on or the last one, and how far the hashing is
    #[arg(long, conflicts_with_all = ["path", "cancel", "dry_run", "unlisted", "sidecars"])]
    status: bool,
    /// Stop the adoption that goes on; what was taken stays
    #[arg(long, conflicts_with_all = ["path", "dry_run", "unlisted", "wait", "sidecars"])]
    cancel: bool,
}

impl AdoptArgs {
    fn flavours(&self) -> serde_json::Value {
        match self.sidecars.as_deref() {
            None => false.into(),
            Some([word]) if word.is_empty() => true.into(),
            Some(words) => words.into(),
        }
    }
}

pub(crate) async fn run(args: &AdoptArgs, global: &GlobalArgs, output: &Output) -> Result<Ended> {
    let (global, scratch) = match &args.path {
        Some(path) => place::settle(path, args.dry_run, global, output).await?,
        None => (global.clone(), None),
    };
    let api = Api::new(Connection::open(&global, output).await?);
    let ended = talk(args, &api, output).await;
    api.close().await;
    drop(scratch);
    ended
}

async fn talk(args: &AdoptArgs, api: &Api, output: &Output) -> Result<Ended> {
    let mut adoption = if args.cancel {
        api.cancel_adoption().await?
    } else if let Some(path) = &args.path {
        let body = AdoptBody {
            path: place::named(path)?,
            dry_run: args.dry_run,
            unlisted: args.unlisted,
            sidecars: args.flavours(),
        };
        api.share();
        let started = api.start_adoption(&body).await?;
        watch(started, api, output).await?
    } else {
        api.adoption().await?
    };
    if args.wait {
        adoption = wait_for_hashes(adoption, api, output).await?;
    }
    tell::adoption(&adoption, args.path.is_none(), api.is_local(), output)
}

/// Shows the adoption until it ends; Ctrl-C stops it.
async fn watch(mut adoption: Reply<Adoption>, api: &Api, output: &Output) -> Result<Reply<Adoption>> {
    let mut signals = Signals::listen()?;
    let mut progress = tell::Steps::new(output);
    let mut step = FIRST_STEP;
    while adoption.data.state == "running" {
        progress.show(&adoption.data);
        tokio::select! {
            _ = signals.next() => {
                adoption = api.cancel_adoption().await?;
                break;
            }
            () = tokio::time::sleep(step) => adoption = api.adoption().await?,
        }
        step = (step * 3 / 2).min(LONGEST_STEP);
    }
    progress.finish();
    Ok(adoption)
}

/// Shows the hashing until nothing is left; Ctrl-C leaves, and what was hashed is kept.
async fn wait_for_hashes(
    mut adoption: Reply<Adoption>,
    api: &Api,
    output: &Output,
) -> Result<Reply<Adoption>> {
    let mut signals = Signals::listen()?;
    let began = std::time::Instant::now();
    let progress = crate::progress::ByteProgress::new(output, "hashing");
    let mut step = FIRST_STEP;
    loop {
        let hashing = &adoption.data.hashing;
        if hashing.left_files == 0 {
            break;
        }
        if !hashing.is_running && began.elapsed() > place::PATIENCE {
            progress.finish();
            return Err(Failure::new("nobody hashes the files")
                .hint("background hashing is switched off by LORAKEEP_BACKGROUND_HASHING; `lorakeep verify` hashes all"));
        }
        progress.show(hashing.done_bytes, hashing.done_bytes + hashing.left_bytes, began);
        tokio::select! {
            _ = signals.next() => break,
            () = tokio::time::sleep(step) => adoption = api.adoption().await?,
        }
        step = (step * 3 / 2).min(LONGEST_STEP);
    }
    progress.finish();
    Ok(adoption)
}
