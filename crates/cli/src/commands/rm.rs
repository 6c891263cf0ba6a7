//! `lorakeep rm`: files to the bin, and their entries when asked for.

use clap::Args;

use crate::api::{Api, Deleted, FileName, short_id};
use crate::commands::{Ended, names};
use crate::failure::Result;
use crate::output::Output;

/// Delete files: into the bin, from which they can come back
///
/// The entry stays in its catalog, so that the file can be downloaded again; --catalog takes it out as well. A download
/// of the file that is under way is cancelled first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep rm old-style.safetensors
  lorakeep rm loras/v1/style.safetensors --catalog     the one in that folder, and its entry
  lorakeep rm huge.safetensors --purge --yes           free the space now, for good")]
pub(crate) struct RmArgs {
    /// File names, or folder/name when two have the same name
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Free the space at once instead of keeping the file in the bin
    #[arg(long)]
    purge: bool,
    /// Take the entry out of its catalog as well
    #[arg(long)]
    catalog: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(args: &RmArgs, api: &Api, output: &Output) -> Result<Ended> {
    let found = names::resolve(&args.files, api).await?;
    if args.purge
        && !args.yes
        && !output.confirm(&question(&found.iter().map(|(name, _)| name).collect::<Vec<_>>()))?
    {
        output.say("nothing was deleted");
        return Ok(Ended::Failed);
    }
    let mut answers = Vec::new();
    let mut failed = false;
    for (name, _) in &found {
        match remove(name, args, api, output).await {
            Ok(mut jsons) => answers.append(&mut jsons),
            Err(failure) if found.len() == 1 => return Err(failure),
            Err(failure) => {
                failed = true;
                output.report(&failure);
            }
        }
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::failed_if(failed))
}

async fn remove(
    name: &FileName,
    args: &RmArgs,
    api: &Api,
    output: &Output,
) -> Result<Vec<serde_json::Value>> {
    let deleted = api.delete_file(name, args.purge).await?;
    output.say(&told(&deleted.data, args));
    let mut answers = vec![deleted.json];
    if args.catalog {
        let removed = api.remove_entry(name).await?;
        output.say(&format!("took `{name}` out of its catalog"));
        answers.push(removed.json);
    }
    Ok(answers)
}

fn told(deleted: &Deleted, args: &RmArgs) -> String {
    match &deleted.bin_id {
        Some(id) => {
            format!(
                "moved `{}` to the bin; `lorakeep bin restore {}` brings it back",
                deleted.file,
                short_id(id)
            )
        }
        None if args.purge => format!("deleted `{}` for good", deleted.file),
        None => format!("`{}` was not on disk", deleted.file),
    }
}

fn question(names: &[&FileName]) -> String {
    match names {
        [name] => format!("delete `{name}` for good?"),
        names => format!("delete {} files for good?", names.len()),
    }
}
