//! `lorakeep export`: a catalog as its file, byte for byte.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::api::Api;
use crate::args::Catalog;
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Write a catalog as the JSON file that `lorakeep import` reads
///
/// The bytes are those of `catalogs/models.json` or `catalogs/loras.json` in the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep export > models.json
  lorakeep export --catalog loras --output styles.json")]
pub(crate) struct ExportArgs {
    /// The catalog to write
    #[arg(long, value_enum, default_value = "models")]
    catalog: Catalog,
    /// Write to that file instead of standard output; it is replaced when it exists
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
}

pub(crate) async fn run(args: &ExportArgs, api: &Api, output: &Output) -> Result<Ended> {
    let document = api.export(args.catalog).await?;
    match args.output.as_deref().filter(|file| *file != Path::new("-")) {
        None => Output::raw(&document)?,
        Some(file) => {
            replace(file, &document)?;
            output.say(&format!("wrote `{}`", file.display()));
        }
    }
    Ok(Ended::Done)
}

/// Writes beside the target and renames, so that a full disk leaves the old file as it was.
fn replace(file: &Path, document: &[u8]) -> Result<()> {
    let cannot = |error: std::io::Error| Failure::new(format!("cannot write `{}`: {error}", file.display()));
    let name =
        file.file_name().ok_or_else(|| Failure::usage(format!("`{}` is not a file name", file.display())))?;
    let mut partial_name = name.to_owned();
    partial_name.push(format!(".{}.part", std::process::id()));
    let partial = file.with_file_name(partial_name);
    let written = write_synced(&partial, document).and_then(|()| std::fs::rename(&partial, file));
    written.map_err(|error| {
        // The error is what the user must hear; a left-over of it can only be tried.
        let _ = std::fs::remove_file(&partial);
        cannot(error)
    })
}

fn write_synced(path: &Path, document: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(document)?;
    file.sync_all()
}
